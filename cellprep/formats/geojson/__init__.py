"""GeoJSON as written by QuPath and other programs."""
