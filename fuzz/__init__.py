"""Tests with hostile input, made by damaging good input: ``python -m fuzz --inputs 100000``."""
