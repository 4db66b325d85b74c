"""Writing films: H.264 in mp4, as every browser plays it."""

from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import cv2

from tinyhd_lib.data.audio import AudioTrack, open_sound
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.files import partial_path

TICKS_PER_FRAME = 4
"""A film's clock ticks four times a frame: exact for a constant rate, and near enough for a variable one."""

# What OpenCV converts RGB to, by FFmpeg's numbers; players take an HD film for BT.709 unless they are told.
_SMPTE_170M, _LIMITED_RANGE = 6, 1


class VideoWriter:
    """A film that every browser plays: H.264, yuv420p, index in front; it appears when it is whole.

    Use it as a context manager; where an error ends the block, or nothing was written, there is no film.

    Args:
        path: of the .mp4 file.
        rate: frames a second, exact.
        sound_of: a video whose sound track the film takes over.
    """

    def __init__(self, path: Path, rate: Fraction, sound_of: Path | None = None) -> None:
        self._path, self._rate, self._sound_of = path, rate, sound_of
        self._partial = partial_path(path)
        self._container: Any = None
        self._stream: Any = None
        self._sound: AudioTrack | None = None
        self._last_tick = -1

    def __enter__(self) -> Self:
        return self

    def write(self, image: Image, time: float) -> None:
        """Append a frame, (H, W, 3) uint8 RGB, shown ``time`` seconds after the first."""
        image = _pad_to_even(image)
        if self._container is None:
            self._start(*image.shape[:2])
        tick = max(round(Fraction(time) * self._rate * TICKS_PER_FRAME), self._last_tick + 1)
        planes: Image = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = tick, self._stream.codec_context.time_base
        if self._sound:
            self._sound.mux_until(time)
        self._container.mux(self._stream.encode(frame))
        self._last_tick = tick

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._container is None:
            return
        try:
            with closing(self._container):
                if error is None:
                    self._container.mux(self._stream.encode(None))
                    if self._sound:
                        self._sound.mux_until(
                            float((self._last_tick + TICKS_PER_FRAME) / (self._rate * TICKS_PER_FRAME))
                        )
                        self._sound.finish()
            if error is None:
                self._partial.replace(self._path)
        finally:
            if self._sound:
                self._sound.close()
            self._partial.unlink(missing_ok=True)

    def _start(self, height: int, width: int) -> None:
        self._container = av.open(str(self._partial.absolute()), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream(
            "libx264", rate=self._rate, options={"preset": "superfast", "tune": "zerolatency", "crf": "20"}
        )
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        context = self._stream.codec_context
        context.time_base = 1 / (self._rate * TICKS_PER_FRAME)
        context.colorspace, context.color_range = _SMPTE_170M, _LIMITED_RANGE
        if self._sound_of is not None:
            self._sound = open_sound(self._sound_of, self._container)


def _pad_to_even(image: Image) -> Image:
    height, width = image.shape[:2]
    if height % 2 == width % 2 == 0:
        return image
    return cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
