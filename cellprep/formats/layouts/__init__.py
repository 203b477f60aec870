"""Which file in a folder is what: images, masks, and what belongs together."""
