"""Speed and memory, measured: ``python -m benchmarks`` prints the tables of README.md beside this file."""
