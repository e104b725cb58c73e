"""Figures, one file a subject: losses, fits, transfer, plans. Each is data in, ``Figure`` out."""
