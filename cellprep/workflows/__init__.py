"""Workflows that join learning and commands."""
