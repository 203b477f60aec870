"""Training a network on a store."""
