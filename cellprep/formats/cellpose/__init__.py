"""Cellpose's own files: ``_seg.npy``, and text files of outlines."""
