"""Label images, one or one per cell, in files."""
