"""A student on a CPU, each inverted residual computed in one pass, compiled by Numba for the local processor."""
