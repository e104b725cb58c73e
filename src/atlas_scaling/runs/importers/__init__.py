"""Importers: other people's logs as run tables, one source a file.

``importing.import_runs`` is the way in; ``column_map.ColumnMap`` says which column is what.
"""
