"""Layouts of folders: which files are images, which are masks, and what belongs together."""
