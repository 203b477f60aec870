"""Files of label images, or of one mask per cell."""
