"""COCO: files of data sets, of results, and what is written."""
