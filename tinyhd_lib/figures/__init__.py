"""The figures of the notebooks: small functions from numbers to a matplotlib figure, and a few tables."""
