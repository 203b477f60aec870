"""Kaggle's CSV, as it is read and written."""
