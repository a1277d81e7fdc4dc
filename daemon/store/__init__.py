"""The SQLite file: one writer, a checksum for every kept row, and what becomes of a damaged file."""
