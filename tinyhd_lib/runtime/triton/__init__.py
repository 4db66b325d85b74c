"""The forward pass on a GPU by kernels of our own, in Triton, from the plan that the CPU's kernels follow, too."""
