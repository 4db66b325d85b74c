"""Render the README's picture: ``python docs/render_picture.py VIDEO WEIGHTS``.

Four moments of a video, the frames above and their overlays below.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from tinyhd_lib import predict
from tinyhd_lib.data.transforms import to_grey
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.prediction.options import Drawing
from tinyhd_lib.prediction.overlay import draw

PARTS = (0.155, 0.28, 0.405, 0.466)


def main() -> None:
    """Write ``docs/overlay.jpg``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("weights")
    options = parser.parse_args()
    frames = list(read_frames(options.video))
    maps = [prediction.map for prediction in predict(iter(frames), options.weights)]
    columns = []
    for part in PARTS:
        frame, saliency = frames[int(part * len(frames))], maps[int(part * len(frames))]
        grey = to_grey(saliency, frame.image.shape[:2])
        pair = np.vstack([frame.image, draw(frame.image, grey, Drawing())])
        columns.append(cv2.resize(pair, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    picture = cv2.cvtColor(np.hstack(columns), cv2.COLOR_RGB2BGR)
    target = Path(__file__).with_name("overlay.jpg")
    target.write_bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())


if __name__ == "__main__":
    main()
