"""Run records: the directory format, and the reader that makes one long table of any number."""
