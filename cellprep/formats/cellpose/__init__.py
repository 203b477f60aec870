"""Cellpose's own files: ``_seg.npy`` of its program, and outlines in text."""
