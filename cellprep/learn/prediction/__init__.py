"""Prediction: images to instances, by networks that were trained. What needs no torch here is known without it."""
