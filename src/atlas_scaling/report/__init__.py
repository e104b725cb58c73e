"""Figures, tables and the one-file report made of them. Altair is imported when a figure is made."""
