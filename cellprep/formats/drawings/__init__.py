"""Shapes that people draw with annotation tools: what the readers of these tools' files have in common."""
