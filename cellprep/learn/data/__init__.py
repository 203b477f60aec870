"""Training data from stores: crops and whole images, in batches."""
