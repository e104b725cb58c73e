"""Where runs are carried out. An engine takes planned runs and reports events; see ``base.py``."""
