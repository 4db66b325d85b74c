"""Whether what runs a model gives its maps: to 1e-5 in float32; with fewer bits, nearly, or it is refused."""

from functools import cache

import numpy as np

from tinyhd_lib.data.transforms import Map, preprocess
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.data.windows import windows
from tinyhd_lib.files import shipped
from tinyhd_lib.metrics import cc
from tinyhd_lib.models.graph import PARITY_TOLERANCE
from tinyhd_lib.models.spec import CLIP_FRAMES, CLIP_SHAPE
from tinyhd_lib.runtime.base import LEAST_CC, Runtime, Unusable

_EXAMPLES = ("pursuit.mp4", "popout.mp4")


def check_exact(runtime: Runtime, exact: Runtime) -> None:
    """Hold the maps of a runtime against those of an exact one.

    Raises:
        Unusable: in float32 they differ by more than 1e-5; with fewer bits their CC on the example clips, the mean over
            all maps, is below the least that is allowed.
    """
    if runtime.precision == "float32":
        clip = np.random.default_rng(0).standard_normal((1, *CLIP_SHAPE), np.float32)
        difference = float(np.abs(runtime(clip) - exact(clip)).max())
        if not difference <= PARITY_TOLERANCE:
            raise Unusable(f"{runtime.name} differs from torch by {difference:.1e} on this machine")
        return
    least = LEAST_CC[runtime.precision]
    mean = float(np.mean([cc(runtime([clip])[0], exact([clip])[0]) for clip in example_clips()]))
    if not mean >= least:
        raise Unusable(
            f"{runtime.name}: refused, CC to float32 on the example clips is {mean:.4f}, and {least} the least; "
            'use `precision="float32"`'
        )


@cache
def example_clips() -> tuple[Map, ...]:
    """Return clips (3, 16, 192, 256) of the videos that come with us, one every sixteen frames.

    Raises:
        BadInput: the videos are missing.
    """
    videos = [read_frames(shipped("example_data", name)) for name in _EXAMPLES]
    looks = [window for video in videos for window in windows((preprocess(each.image) for each in video), CLIP_FRAMES)]
    return tuple(np.stack(window.clip, axis=1) for window in looks)
