"""Numbers of fewer bits: faster on some processors, and refused where the maps suffer."""

from collections.abc import Iterator
from functools import cache
from itertools import islice

import numpy as np

from tinyhd_lib.data.transforms import Map, preprocess
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.data.windows import windows
from tinyhd_lib.files import shipped
from tinyhd_lib.metrics import cc
from tinyhd_lib.models.spec import CLIP_FRAMES
from tinyhd_lib.runtime.base import LEAST_CC, Runtime, Unusable

_EXAMPLES = ("pursuit.mp4", "popout.mp4")
_CALIBRATION_STRIDE = 4


def check_agreement(runtime: Runtime, exact: Runtime) -> None:
    """Hold the maps of a runtime of fewer bits against those in float32, on the example clips.

    Raises:
        Unusable: their CC, the mean over all maps, is below the least that is allowed.
    """
    least = LEAST_CC[runtime.precision]
    scores = [
        cc(low, high)
        for clip in example_clips(CLIP_FRAMES)
        for low, high in zip(runtime([clip])[0], exact([clip])[0], strict=True)
    ]
    mean = float(np.mean(scores))
    if not mean >= least:
        raise Unusable(
            f"{runtime.name}: refused, CC to float32 on the example clips is {mean:.4f}, and {least} the least; "
            "use `precision=float32`"
        )


@cache
def example_clips(stride: int = _CALIBRATION_STRIDE) -> tuple[Map, ...]:
    """Clips (3, 16, 192, 256) of the videos that come with us, one every ``stride`` frames.

    Raises:
        BadInput: the videos are missing.
    """
    return tuple(clip for name in _EXAMPLES for clip in _clips(name, stride))


def _clips(name: str, stride: int) -> Iterator[Map]:
    frames = (preprocess(frame.image) for frame in read_frames(shipped("example_data", name)))
    # The first windows repeat the first frame.
    for window in islice(windows(frames, stride), CLIP_FRAMES // stride - 1, None):
        yield np.stack(window.clip, axis=1)
