"""Measurements of speed and memory: ``python -m benchmarks`` prints the tables that README.md here describes."""
