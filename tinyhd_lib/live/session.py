"""Run a stream from its source to maps, an overlay video and a page in the browser."""

import logging
import math
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tinyhd_lib.data.images import as_jpeg, encode_grey
from tinyhd_lib.data.transforms import Map, to_grey
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically, write_json
from tinyhd_lib.live.options import LiveOptions
from tinyhd_lib.live.page import Page
from tinyhd_lib.live.sources import open_source
from tinyhd_lib.live.stream import LivePrediction, Statistics, Stream, as_table
from tinyhd_lib.prediction.overlay import draw
from tinyhd_lib.records import RunRecord, peak_memory
from tinyhd_lib.runtime import open_runtime

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def watch(options: LiveOptions) -> "Iterator[Statistics | pd.DataFrame]":
    """Show a stream until it ends; yield its statistics every second, and a table of the whole stream at the end.

    The end of the source or of ``seconds``, and Ctrl-C, are all normal ends. If the stream fails, the results up to
    then are complete all the same.

    Raises:
        BadInput: an option cannot be used; the source or the model failed.
    """
    source = open_source(options.source, options.speed, options.idle)
    cv2.setNumThreads(1)  # source, model and drawing have threads of their own; more only get in their way
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # if a camera is not there, our own line says so
    runtime = open_runtime(options.weights, options.device, options.precision)
    drop = options.drop or ("latest" if source.live else "block")
    stream = Stream(source, runtime, drop=drop, every=options.every, queue=options.queue)
    key = {"source": source.name, "weights": options.weights, "model": runtime.spec.label, "runtime": runtime.name}
    record = RunRecord("live", {**key, "drop": drop, "every": stream.every, "smooth": options.smooth})
    logger.info("%s: %s on %s", source.name, runtime.spec.label, runtime.name)
    rows: list[Statistics] = []
    failure = yield from _show(stream, options, rows)
    if stream.summary().maps:
        stated = stream.stated_latency()
        besides = {"stated_ms": stated and round(1e3 * stated, 1), "peak_mib": peak_memory()}
        record.details, record.complete = {"summary": stream.summary()._asdict() | besides}, failure is None
        if options.out:
            record.write(options.out)
        if options.json:
            record.details["rows"] = [row._asdict() for row in rows]
            write_json(options.json, asdict(record))
        yield as_table([asdict(record)])
    if failure:
        raise failure


def eased(items: Iterable[LivePrediction | Statistics], seconds: float) -> Iterator[LivePrediction | Statistics]:
    """Yield the items of `Stream.watch`, each map replaced by an exponential moving average of the maps so far.

    Args:
        items: predictions, in order, and anything else among them.
        seconds: time in which the weight of a map falls to 1/e; 0 leaves the maps as they are.
    """
    before = -math.inf
    mean: Map = np.zeros(1, np.float32)
    for item in items:
        if not (seconds and isinstance(item, LivePrediction)):
            yield item
            continue
        share = np.float32(math.exp(-max(0.0, item.time - before) / seconds))
        mean = share * mean + (1 - share) * item.map
        before = item.time
        yield item._replace(map=mean)


def _show(stream: Stream, options: LiveOptions, rows: list[Statistics]) -> Generator[Statistics, None, BadInput | None]:
    """Write a stream's maps; yield its statistics, add them to the rows for ``json``, and return its error, if any."""
    with ExitStack() as stack:
        page = stack.enter_context(Page(options.serve)) if options.serve else None
        # The rate is nominal: a frame is shown at its own time, rounded to a quarter of a period of this rate.
        overlay = stack.enter_context(VideoWriter(options.overlay, Fraction(60))) if options.overlay else None
        _end_on_signals(stack, stream.end)
        stack.enter_context(stream)
        if page:
            logger.info("to watch: %s", page.url)
        try:
            for item in eased(stream.watch(min(1.0, options.seconds or 1.0)), options.smooth):
                if isinstance(item, LivePrediction):
                    _keep(item, options, overlay, page)
                    continue
                if page:
                    page.line = str(item)
                if options.json:
                    rows.append(item)
                yield item
                if options.seconds and stream.summary().seconds >= options.seconds:
                    stream.end()
        except BadInput as error:
            return error  # not raised, so that the results up to then are kept
    return None


def _keep(seen: LivePrediction, options: LiveOptions, overlay: VideoWriter | None, page: Page | None) -> None:
    """Write and draw the outputs that are wanted; nothing is drawn for a page that no browser shows."""
    watched = page is not None and page.watched
    if not (options.out or overlay or watched):
        return
    grey = to_grey(seen.map, seen.image.shape[:2])
    if options.out:
        write_atomically(options.out / f"{seen.frame}.png", encode_grey(grey))
    if overlay or watched:
        picture = draw(seen.image, grey, options.drawing)
        if overlay:
            overlay.write(picture, seen.time)
        if page and watched:
            page.show(as_jpeg(picture), seen.time)


def _end_on_signals(stack: ExitStack, end: Callable[[], None]) -> None:
    """Let Ctrl-C, or the signal that services are stopped by, end a stream; a second one does what it usually does."""
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, _frame: object) -> None:
        signal.signal(number, usual[signal.Signals(number)])
        end()

    for number, handler in usual.items():
        signal.signal(number, on_signal)
        stack.callback(signal.signal, number, handler)
