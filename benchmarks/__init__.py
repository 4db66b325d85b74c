"""Benchmarks for your machine: ``python -m benchmarks --help``. Not a part of the package."""
