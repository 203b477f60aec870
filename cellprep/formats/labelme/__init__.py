"""LabelMe: a file of JSON for each image."""
