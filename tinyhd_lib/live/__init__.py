"""Predicting while frames arrive: source -> queue -> ring -> forward pass -> maps, each bounded."""
