"""From decoded frames to pictures: the right way up, and in the usual range of tones."""

from functools import cache
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData

from tinyhd_lib.data.transforms import Image

TONES = {16: "PQ", 18: "HLG"}
"""FFmpeg's numbers of the transfer curves of a high dynamic range (SMPTE ST 2084 and ARIB STD-B67)."""


class Upright:
    """From decoded frames to (H, W, 3) uint8 RGB, as large as the first one, turned and mirrored as the video says.

    A high dynamic range is mapped to the usual one, of which the models have learnt.
    """

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._matrix = np.eye(3, dtype=np.int32)

    def __call__(self, decoded: av.VideoFrame) -> Image:
        """Return the picture."""
        if self._size is None:
            self._size = decoded.width, decoded.height
            matrix: Any = decoded.side_data.get(SideData.DISPLAYMATRIX)  # type: ignore[call-overload]
            if matrix:
                self._matrix = np.frombuffer(matrix, np.int32).reshape(3, 3)
        width, height = self._size
        tone = TONES.get(decoded.color_trc)
        image: Image = decoded.to_ndarray(format="rgb48le" if tone else "rgb24", width=width, height=height)
        return oriented(_usual_range(tone)[image] if tone else image, self._matrix)


def oriented(image: Image, matrix: np.ndarray) -> Image:
    """Return a picture turned and mirrored as a display matrix (3, 3) says, of which only signs and places count.

    Source: ISO/IEC 14496-12, the matrix of a track header: x' = a x + c y, y' = b x + d y.
    """
    (a, b), (c, d) = matrix[:2, :2].tolist()
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


@cache
def _usual_range(tone: str) -> Image:
    """Return (65536,) uint8: what each level of a high dynamic range becomes; paper, at 203 nits, is nearly white.

    Source: ITU-R BT.2100 for the curves, BT.2408 for white.
    """
    level = np.arange(2**16) / (2**16 - 1)
    if tone == "PQ":
        root = level ** (1 / 78.84375)
        nits = 1e4 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    else:
        scene = np.where(level <= 0.5, level**2 / 3, (np.exp((level - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        nits = 1e3 * scene**1.2
    white = nits / 203
    return np.rint(255 * (white / (1 + white**4) ** 0.25) ** (1 / 2.2)).astype(np.uint8)
