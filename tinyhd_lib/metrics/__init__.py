"""How well a saliency map tells where people looked: the field's metrics, as pure functions on arrays.

Every function takes NumPy arrays or torch tensors (on any device), one frame (H, W) or a batch (N, H, W), and answers
with a number or with one for each frame, as the same kind of array. They compute in float64 (float32 where the device
has none), as the MATLAB code of the DHF1K benchmark does, which they equal to 1e-6 (docs/evaluation.md). A map that
several of them score is prepared by `prepare` first, fixations by `prepare_fixations`: then what they share, as how
values rank, is made once.

What the definitions leave open is decided here once, for all of them:

- **Another size**: the prediction is resized bicubically to the ground truth (antialiased, with the filter of MATLAB's
  imresize), and held to its own range, which the filter would otherwise leave.
- **A constant prediction** says nothing, and scores as chance: AUC 0.5, CC and NSS 0, and the uniform distribution for
  SIM, KL and information gain. (The MATLAB code answers NaN there, and the benchmark drops NaN, which would reward it.)
- **Empty ground truth** (no fixation; a map that is all zero, or constant for CC): NaN, there is nothing to measure.
  AUC-Judd and `auc_rank` also where every pixel is fixated, and none is left for a false alarm.
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
