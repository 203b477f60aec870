"""YOLO's data sets for segmentation: a text per image with an outline a line."""
