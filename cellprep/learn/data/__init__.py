"""What networks see of a store: crops and whole images, in batches."""
