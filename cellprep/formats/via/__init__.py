"""VIA, the VGG Image Annotator: a JSON file, or a CSV, of several images."""
