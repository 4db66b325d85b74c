"""How fast things are, measured on your machine: ``python -m benchmarks --help``. Not a part of the package."""
