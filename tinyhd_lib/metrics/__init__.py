"""The field's metrics of how well a saliency map predicts fixations, as pure functions on arrays.

Every function takes NumPy arrays or torch tensors (on any device), one frame (H, W) or a batch (N, H, W), and returns a
number or one number per frame, as the same kind of array. They compute in float64 (float32 where the device has none),
as the MATLAB code of the DHF1K benchmark does, with which they agree to 1e-6 (docs/evaluation.md). To score a map by
several metrics, prepare it with `prepare`, and fixations with `prepare_fixations`: then shared steps, such as ranking
the values, are computed once.

What the definitions leave open is decided here, the same for all of them:

- **Different sizes**: the prediction is resized bicubically to the ground truth's size (antialiased, with the filter of
  MATLAB's imresize), and clipped to its own range, which the filter could exceed.
- **A constant prediction** scores as chance: AUC 0.5, CC and NSS 0, and the uniform distribution for SIM, KL and
  information gain. (The MATLAB code returns NaN there, and the benchmark drops NaN, which would reward it.)
- **Empty ground truth** (no fixation; a map that is all zero, or constant for CC): NaN, since nothing can be measured.
  AUC-Judd and `auc_rank` also return NaN if every pixel is fixated, since there are no negatives.
- **One fixation** is enough for every metric.
- **NaN or infinity** in a map, negative densities, shapes that are empty or do not fit, fixations that are not boolean:
  ValueError.
"""

from tinyhd_lib.metrics.arrays import prepare, prepare_fixations
from tinyhd_lib.metrics.auc import auc_borji, auc_judd, auc_rank, auc_shuffled
from tinyhd_lib.metrics.maps import cc, emd, information_gain, kl_div, log_likelihood, nss, sim

__all__ = [
    "auc_borji",
    "auc_judd",
    "auc_rank",
    "auc_shuffled",
    "cc",
    "emd",
    "information_gain",
    "kl_div",
    "log_likelihood",
    "nss",
    "prepare",
    "prepare_fixations",
    "sim",
]
