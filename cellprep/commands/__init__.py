"""A room for each command."""
