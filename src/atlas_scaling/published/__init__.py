"""Published constants and tables, each with its source and table number."""
