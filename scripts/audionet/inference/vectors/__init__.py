"""Vectors of files and of their chunks: where they come from, kept in an index, searched, and written to files."""
