"""Figures, tables and the one-file report. Altair is imported when a figure is made."""
