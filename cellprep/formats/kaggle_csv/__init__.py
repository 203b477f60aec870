"""Kaggle's CSV."""
