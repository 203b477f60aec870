"""LabelMe's JSON: the shapes of one image in a file."""
