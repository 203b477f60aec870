"""Functions of arrays, independent of files."""
