"""COCO: data sets, results, and writing."""
