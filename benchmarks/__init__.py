"""Speed and memory, measured: ``python -m benchmarks`` prints the tables that README.md beside this file tells of."""
