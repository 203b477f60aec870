"""YOLO: a text of normalised outlines for each image."""
