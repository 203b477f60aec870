"""Shapes drawn with annotation tools: the common part of the readers of these tools' files."""
