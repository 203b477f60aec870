"""Layouts of folders: which files are images, which are masks, and which belong together."""
