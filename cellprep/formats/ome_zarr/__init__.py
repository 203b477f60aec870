"""OME-Zarr images and label images."""
