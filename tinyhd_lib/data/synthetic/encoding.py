"""The files of made-up data sets, each with the same bytes whenever it is made of the same content."""

import io
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from scipy.io import savemat

from tinyhd_lib.data.gaze import ASSUMED_WIDTH_DEGREES, Gaze, blur
from tinyhd_lib.data.synthetic.drawing import render
from tinyhd_lib.data.synthetic.scenes import Clip
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.writer import VideoWriter

_MAT_HEADER = b"MATLAB 5.0 MAT-file, synthetic".ljust(116)


def ground_truth(fixations: Image, sigma: float | None = None) -> Image:
    """The map that data sets make of fixations: blurred, its highest place white.

    Args:
        fixations: (H, W), 0 and 1.
        sigma: standard deviation of the Gaussian in pixels; by default one degree, as a picture's width is assumed.

    Returns:
        (H, W) uint8; black if nobody looked.
    """
    blurred = blur(fixations.astype(np.float32), sigma or fixations.shape[1] / ASSUMED_WIDTH_DEGREES)
    grey: Image = np.rint(blurred * (255 / (blurred.max() or 1))).astype(np.uint8)
    return grey


def write_mp4(path: Path, clip: Clip) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, clip.rate) as film:
        for index in range(clip.frames):
            film.write(render(clip, index), float(index / clip.rate))


def write_avi(path: Path, clip: Clip) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path.absolute()), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=clip.rate, options={"flags": "+qscale", "global_quality": "354"})
        stream.height, stream.width, stream.pix_fmt = *clip.size, "yuv420p"
        for index in range(clip.frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(render(clip, index), format="rgb24")))
        container.mux(stream.encode(None))


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def png(image: Image) -> bytes:
    """An RGB or grey picture as a PNG file."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return cv2.imencode(".png", pixels)[1].tobytes()


def mat(fixations: Image) -> bytes:
    """A fixation map as MATLAB saves it."""
    file = io.BytesIO()
    savemat(file, {"I": fixations}, do_compression=True)
    # The header is free text, in which the date would make every file another one.
    return _MAT_HEADER + file.getvalue()[len(_MAT_HEADER) :]


def npz(gaze: Gaze, fps: float) -> bytes:
    """Gaze by viewer in the small types in which it is handed round, wider only where a count would not fit."""
    order = np.argsort(gaze.viewer, kind="stable")
    height, width = gaze.size
    fields: dict[str, Any] = {"width": width, "height": height, "frames": gaze.frames, "fps": fps}
    for name, counts, kind in (("frame", gaze.frame, np.int16), ("viewer", gaze.viewer, np.int8)):
        needed = np.min_scalar_type(-int(counts.max(initial=1)))
        fields[name] = counts[order].astype(np.promote_types(kind, needed))
    for name, places, end in (("x", gaze.x, width - 0.5), ("y", gaze.y, height - 0.5)):
        # Half precision may round a point near the right edge, or the lower one, out of the frame.
        fields[name] = np.minimum(places[order].astype(np.float16), np.nextafter(np.float16(end), np.float16(0)))
    file = io.BytesIO()
    np.savez_compressed(file, **fields)
    return file.getvalue()
