"""VIA, the VGG Image Annotator: a file of JSON, or a CSV, of several images."""
