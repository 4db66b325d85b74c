"""Find, copy and run the five notebooks."""
