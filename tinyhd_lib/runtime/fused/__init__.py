"""A student on a CPU, its inverted residuals computed in one pass each, compiled by Numba for the processor at hand."""
