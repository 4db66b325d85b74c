"""``tinyhd live``."""

import argparse
import json
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any

import cv2
from av.error import FFmpegError

from tinyhd_lib.data.media import as_jpeg
from tinyhd_lib.data.transforms import to_grey
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.live.page import Page
from tinyhd_lib.live.sources import Settings, open_source
from tinyhd_lib.live.statistics import Statistics, as_line, as_table
from tinyhd_lib.live.stream import LivePrediction, Stream
from tinyhd_lib.prediction.map_files import MAP_FORMATS, own_bounds
from tinyhd_lib.prediction.overlay import Style, draw
from tinyhd_lib.records import hardware, peak_memory, versions
from tinyhd_lib.runtime import open_runtime

logger = logging.getLogger(__name__)

_FILM_RATE = Fraction(60)  # nominal: a frame is shown at its own time, to a quarter of this


def live(options: argparse.Namespace) -> int:
    """``tinyhd live``: the end of the source or of ``--seconds``, and Ctrl-C, are all a normal end."""
    style = Style(options.style, options.alpha, options.colormap, options.floor)
    _check_places(options)
    source = open_source(options.source, Settings(options.speed, options.idle))
    drop = options.drop or ("latest" if source.live else "block")
    cv2.setNumThreads(1)  # source, model and drawing have threads of their own; more only get in their way
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # if a camera is not there, our own line says so
    runtime = open_runtime(options.weights, options.device, options.precision)
    stream = Stream(source, runtime, drop=drop, stride=options.stride, queue=options.queue)
    report = {
        "hardware": hardware(),
        "versions": versions(),
        "source": source.name,
        "weights": options.weights,
        "model": runtime.spec.label,
        "runtime": runtime.name,
        "drop": drop,
        "stride": stream.plan.stride,
    }
    logger.info("%s: %s on %s", source.name, runtime.spec.label, runtime.name)
    rows, failure = _run(stream, style, options)
    summary = stream.summary()
    if summary.maps:
        stated = stream.stated_latency()
        figures = {"stated_ms": round(1e3 * stated, 1) if stated else None, "peak_mib": peak_memory()}
        report |= {"summary": summary.to_dict() | figures}
        sys.stdout.write(f"{report['hardware']}\n\n{as_table([report])}")
        if options.json:
            write_atomically(Path(options.json), json.dumps(report | {"rows": rows}, indent=2).encode())
    if failure:
        raise failure
    return 0


def _check_places(options: argparse.Namespace) -> None:
    """Refuse what would be written over, before anything is opened."""
    if options.seconds is not None and options.seconds <= 0:
        raise BadInput(f"--seconds {options.seconds}: more than 0")
    out, film = Path(options.out or ""), Path(options.overlay or "")
    if options.out and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: is there already, and not an empty folder; give another --out")
    if options.overlay and film.suffix.lower() != ".mp4":
        raise BadInput(f"--overlay {film}: a film is an .mp4 file")
    if options.overlay and film.exists():
        raise BadInput(f"{film}: is there already; give another --overlay")


def _run(stream: Stream, style: Style, options: argparse.Namespace) -> tuple[list[dict[str, Any]], BadInput | None]:
    """Show a stream until it ends; its statistics second by second if they are wanted, and what broke it off.

    What was seen until then is whole all the same.
    """
    rows: list[dict[str, Any]] = []
    try:
        with ExitStack() as stack:
            page = stack.enter_context(Page(options.serve)) if options.serve else None
            if page:
                logger.info("to watch: %s", page.url)
            film = stack.enter_context(VideoWriter(Path(options.overlay), _FILM_RATE)) if options.overlay else None
            view = _View(style, Path(options.out) if options.out else None, film, page)
            try:
                for row in _watch(stream, view, options.seconds):
                    logger.info("%s", as_line(row))
                    if options.json:
                        rows.append(row.to_dict())
            except BadInput as error:
                return rows, error
    except FFmpegError as error:
        raise BadInput(f"{options.overlay}: cannot be written ({error.strerror})") from error
    return rows, None


def _watch(stream: Stream, view: "_View", seconds: float | None) -> Iterator[Statistics]:
    """Show the maps of a stream until it ends; its statistics, once a second."""
    with _ended_by_signals(stream), stream:
        for item in stream.watch(min(1.0, seconds or 1.0)):
            if isinstance(item, LivePrediction):
                view.show(item)
                continue
            view.tell(item)
            yield item
            if seconds and stream.summary().seconds >= seconds:
                stream.end()


@dataclass(frozen=True)
class _View:
    """What becomes of a map: a file, a frame of a film, a picture on the page."""

    style: Style
    folder: Path | None
    film: VideoWriter | None
    page: Page | None

    def show(self, seen: LivePrediction) -> None:
        """Write and draw what is wanted; nothing is drawn that nobody would see."""
        watched = self.page is not None and self.page.watched
        if not (self.folder or self.film or watched):
            return
        size, bounds = (seen.image.shape[0], seen.image.shape[1]), own_bounds(seen.map)
        if self.folder:
            content, grey = MAP_FORMATS["png"].encode(seen.map, size, bounds)
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / f"{seen.frame}.png", content)
        else:
            grey = to_grey(seen.map, size, bounds)
        if self.film or watched:
            picture = draw(seen.image, grey, self.style)
            if self.film:
                self.film.write(picture, seen.time)
            if self.page and watched:
                self.page.show(as_jpeg(picture), seen.time)

    def tell(self, statistics: Statistics) -> None:
        """Put the statistics on the page."""
        if self.page:
            self.page.line = as_line(statistics)


@contextmanager
def _ended_by_signals(stream: Stream) -> Iterator[None]:
    """Ctrl-C, or the signal that services are stopped by, ends the stream; a second one does what it usually does."""
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def end(_number: int, _frame: FrameType | None) -> None:
        restore()
        stream.end()

    for number in usual:
        signal.signal(number, end)
    try:
        yield
    finally:
        restore()
