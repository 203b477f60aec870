"""YOLO: a text file of normalised outlines for each image."""
