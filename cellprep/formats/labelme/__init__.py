"""LabelMe: a JSON file for each image."""
