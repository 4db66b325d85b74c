"""The forward pass on a GPU by kernels of our own, from the plan that the CPU's engine computes too."""
