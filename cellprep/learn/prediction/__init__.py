"""Prediction: images to instances, with trained networks. Whatever does not need torch works without it."""
