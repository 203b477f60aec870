"""Workflows that combine learning and commands."""
