"""A viewer without its kernel or its reader: a sheet of moments, and a film."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from tinyhd_lib.data.images import as_jpeg
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.viewer.scene import Scene
from tinyhd_lib.viewer.settings import Settings

_MOMENTS = 8
_COLUMNS = 4
_THUMBNAIL = 320
_SMALL_FILM = 320
_FILM_FRAMES = 250


def contact_sheet(scene: Scene, settings: Settings, moments: int = _MOMENTS) -> Image:
    """Evenly spaced frames as they are drawn, each with its number and time, in rows of four: (H, W, 3) RGB."""
    count = scene.reader.count
    indices = sorted({round(place) for place in np.linspace(0, count - 1, min(moments, count))})
    pictures = []
    for index in indices:
        picture = _narrowed(scene.draw(replace(settings, frame=index)), _THUMBNAIL)
        text = f"{index}  {scene.reader.times[index]:.2f} s"
        for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(picture, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)
        pictures.append(picture)
    blank = np.full_like(pictures[0], 255)
    pictures += [blank] * (-len(pictures) % _COLUMNS)
    return np.vstack([np.hstack(pictures[row : row + _COLUMNS]) for row in range(0, len(pictures), _COLUMNS)])


def write_film(
    scene: Scene, shown: Sequence[Settings], path: Path, frames: Iterable[int] | None = None, width: int | None = None
) -> Iterator[int]:
    """Write a film of the clip as it is drawn; answers how many frames are done, after each.

    Args:
        scene: what is shown.
        shown: how, once for each picture of a row.
        path: of the .mp4; it appears when it is whole.
        frames: which ones; all if None.
        width: at most; as drawn if None.
    """
    times = scene.reader.times
    chosen = list(range(scene.reader.count) if frames is None else frames)
    with VideoWriter(path, scene.reader.rate) as writer:
        for done, index in enumerate(chosen, start=1):
            drawn = np.hstack([scene.draw(replace(settings, frame=index)) for settings in shown])
            writer.write(_narrowed(drawn, width or drawn.shape[1]), times[index] - times[chosen[0]])
            yield done


def as_html(scene: Scene, settings: Settings) -> str:
    """A sheet of moments and a small film, in a page that needs nothing else."""
    caption = escape(scene.caption(settings))
    sheet = base64.b64encode(as_jpeg(contact_sheet(scene, settings))).decode()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        for _ in write_film(scene, [settings], path, range(min(scene.reader.count, _FILM_FRAMES)), _SMALL_FILM):
            pass
        film = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="moments; {caption}" src="data:image/jpeg;base64,{sheet}" style="max-width:100%">'
        f'<br><video controls loop muted playsinline src="data:video/mp4;base64,{film}" style="max-width:100%"></video>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _narrowed(image: Image, width: int) -> Image:
    if image.shape[1] <= width:
        return image.copy()
    return cv2.resize(image, (width, round(image.shape[0] * width / image.shape[1])), interpolation=cv2.INTER_AREA)
