"""GeoJSON as QuPath and others have it."""
