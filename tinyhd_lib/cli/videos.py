"""The commands for videos and data sets: a function's parameters are the options, its results are printed or shown.

Slow parts of the library are imported only when a command runs.
"""

import logging
import time
import webbrowser
from collections.abc import Iterable, Sequence
from os.path import commonpath
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated, Literal

from tqdm import tqdm
from tyro.conf import Positional, PositionalRequiredArgs, UseAppendAction, arg

from tinyhd_lib.data.options import GazeImport
from tinyhd_lib.engine import connected
from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.options import EvaluateOptions
from tinyhd_lib.files import write_atomically, write_json
from tinyhd_lib.live.options import LiveOptions
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS, short_names
from tinyhd_lib.prediction.options import Drawing, ModelOptions, PredictOptions

if TYPE_CHECKING:
    from tinyhd_lib.prediction.jobs import Job

logger = logging.getLogger(__name__)


def predict(
    videos: Positional[Annotated[tuple[str, ...], arg(metavar="VIDEO [VIDEO ...]")]],
    model: ModelOptions,
    writing: PredictOptions,
    drawing: Drawing,
    out: Path | None = None,
    overlay: Path | None = None,
    workers: int = 1,
    cluster: str | None = None,
    json: Path | None = None,
) -> None:
    """Write saliency maps, and overlay videos if wanted, of one video or of many.

    Args:
        videos: A video, a folder of frames, a folder of videos at any depth, or @FILE: a list of these, one per line.
        model: Which model runs, and where.
        writing: What is written.
        drawing: How the overlay video is drawn.
        out: Folder for map files and run.json, with a subfolder per video if several; VIDEO_saliency if not given.
        overlay: Also write an overlay video, FILE.mp4; a folder of overlay videos if there are several videos.
        workers: Videos processed in parallel, each in its own process.
        cluster: A Dask scheduler to use instead (tcp://host:8786), or a YAML file that describes a cluster.
        json: Also write the time that each video took to this JSON file.
    """
    from tinyhd_lib.prediction.jobs import jobs_of

    paths = [Path(video) for word in videos for video in _listed(word)]
    if not paths:
        raise BadInput("name a video: tinyhd predict VIDEO")
    _run_jobs(jobs_of(paths, out, overlay, writing, drawing), model, workers, cluster, json)


def generate(
    kind: Positional[str],
    model: ModelOptions,
    writing: PredictOptions,
    out: Path,
    dir: Positional[Path | None] = None,
    split: str | None = None,
    submission: Literal["dhf1k"] | None = None,
    workers: int = 1,
    cluster: str | None = None,
    json: Path | None = None,
) -> None:
    """Write the saliency maps of a whole data set, under its published video and frame names.

    Args:
        kind: dhf1k, ucf, hollywood2, kinetics, folder, gaze or avimos.
        model: Which model runs, and where.
        writing: What is written.
        out: Folder for the results, one subfolder per video.
        dir: The data set's folder; $TINYHD_<KIND> if not given.
        split: A split of the data set, or all; if not given, the split that papers evaluate on.
        submission: Predict the test split and also write OUT.zip, to submit to the data set's authors.
        workers: Videos processed in parallel, each in its own process.
        cluster: A Dask scheduler to use instead (tcp://host:8786), or a YAML file that describes a cluster.
        json: Also write the time that each video took to this JSON file.
    """
    from tinyhd_lib.data.datasets import check_names, find_kind, open_dataset
    from tinyhd_lib.prediction.jobs import dataset_jobs, pack_maps

    if submission and (kind != submission or split not in {None, "test"} or writing.maps != "png"):
        raise BadInput(f"`submission={submission}` needs dhf1k's test split and 8-bit PNG: leave out what differs")
    dataset = open_dataset(kind, dir, split or ("test" if submission else find_kind(kind).evaluated))
    for each in dataset.skipped:
        logger.warning("skipped: %s", each.reason)
    check_names((video.name for video in dataset.videos), "choose one split by `split`")
    _run_jobs(dataset_jobs(dataset.videos, out, writing), model, workers, cluster, json)
    if submission:
        logger.info("%d videos -> %s", len(dataset.videos), pack_maps(out, dataset.videos))


def view(
    videos: Positional[Annotated[tuple[Path, ...], arg(metavar="VIDEO [VIDEO ...]")]],
    maps: UseAppendAction[tuple[Path, ...]] = (),
    weights: UseAppendAction[tuple[str, ...]] = (),
    gaze: Path | None = None,
    html: Path | None = None,
) -> None:
    """Show a video with its saliency maps, or several side by side: a page for any browser, without Python.

    Args:
        videos: A video file or a folder of frames; several play in step.
        maps: A folder of map files, with one subfolder per video if there are several; may be given several times.
        weights: A model's name or checkpoint, to compute maps with; may be given several times. The default model if
            neither maps nor weights are given.
        gaze: A gaze data set, as evaluate takes it: gaze points are shown for the videos that belong to it.
        html: File to write the page to; if not given, the page opens in the browser.
    """
    from tinyhd_lib.data.datasets import open_dataset
    from tinyhd_lib.viewer import SaliencyViewer, SaliencyViewers

    if not videos:
        raise BadInput("name a video: tinyhd view VIDEO")
    if html and html.suffix.lower() not in {".html", ".htm"}:
        raise BadInput(f"`html={html}`: a page is an .html file")
    sources = short_names([*map(str, maps), *weights] or [DEFAULT_WEIGHTS])
    place = html or Path(mkdtemp(prefix="tinyhd-view-")) / f"{videos[0].stem}.html"
    known = {each.source.resolve(): each for each in open_dataset("gaze", gaze).videos} if gaze else {}
    for video in videos if gaze else ():
        if video.resolve() not in known:
            logger.warning("%s: is not one of the videos in %s, so where people looked is not shown", video, gaze)
    shown = [known.get(video.resolve(), video) for video in videos]
    print(SaliencyViewers([SaliencyViewer(each, sources, points=gaze is not None) for each in shown]).save_html(place))
    if html is None:
        webbrowser.open(place.as_uri())


def live(stream: PositionalRequiredArgs[LiveOptions]) -> None:
    """Show saliency maps of a live stream: a camera, a network address, a video or a folder.

    Args:
        stream: What is watched, how, and what is written.
    """
    from tinyhd_lib.live.session import watch
    from tinyhd_lib.live.stream import Statistics

    for item in watch(stream):
        if isinstance(item, Statistics):
            logger.info("%s", item)
        else:
            print(item.to_string(header=False))


def evaluate(scoring: PositionalRequiredArgs[UseAppendAction[EvaluateOptions]]) -> None:
    """Score saliency maps, of any model, against recorded fixations.

    Args:
        scoring: What is scored, and how.
    """
    from tinyhd_lib.evaluation.folder import evaluate as evaluate_maps

    print(evaluate_maps(scoring))


def compare(
    scores: Positional[Annotated[tuple[Path, ...], arg(metavar="SCORES SCORES [SCORES ...]")]],
    json: Path | None = None,
    latex: Path | None = None,
    html: Path | None = None,
) -> None:
    """Compare evaluations of the same data, with paired tests.

    Args:
        scores: The folders of two or more evaluations.
        json: Also write the figures to this file.
        latex: Also write the table to this file, the best in bold, for a paper that loads booktabs.
        html: Also write the table to this file as a page.
    """
    from tinyhd_lib.evaluation.compare import compare as compare_evaluations
    from tinyhd_lib.evaluation.folder import read_evaluation

    if len(scores) < 2:
        raise BadInput("name the folders of two evaluations or more: tinyhd compare SCORES SCORES")
    comparison = compare_evaluations([read_evaluation(each) for each in scores])
    print(comparison)
    if json:
        write_json(json, comparison.to_json())
    for place, as_text in ((latex, comparison.to_latex), (html, comparison.to_html)):
        if place:
            write_atomically(place, as_text().encode())


def synthesise(
    kind: Positional[str],
    dir: Positional[Path],
    videos: int = 3,
    frames: int = 24,
    size: str = "160x96",
    observers: int = 12,
    seed: int = 0,
) -> None:
    """Write a small synthetic data set in the layout of a real one.

    Args:
        kind: dhf1k, ucf, hollywood2, kinetics, folder, gaze or avimos.
        dir: A folder that does not exist yet.
        videos: Videos in each split.
        frames: Frames of each video.
        size: WIDTHxHEIGHT in pixels.
        observers: Observers of each video.
        seed: Random seed of everything else.
    """
    from tinyhd_lib.data.synthetic import synthesise as write

    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise BadInput(f"`size={size}`: WIDTHxHEIGHT in pixels, such as 640x360")
    shape = int(height), int(width)
    made = write(kind, dir, videos=videos, frames=frames, size=shape, observers=observers, seed=seed)
    logger.info("%d videos -> %s", sum(1 for _ in tqdm(made, desc=kind, unit=" videos")), dir)


def stills(folder: Positional[Path], out: Positional[Path], seed: int = 0) -> None:
    """Write photographs with fixations as a data set of the kind gaze: sixteen frames each, mostly with zooms and pans.

    Args:
        folder: Photographs named by number, and fixations.npz with image, observer, x and y of every fixation.
        out: Folder of the data set to write.
        seed: Random seed of the zooms and pans.
    """
    from tinyhd_lib.data.stills import clips_of_stills

    made = tqdm(clips_of_stills(folder, out, seed), desc="stills", unit=" videos")
    logger.info("%d videos -> %s", sum(1 for _ in made), out)


def import_gaze(export: GazeImport) -> int:
    """Make a data set of the kind gaze from an eye tracker's export; exit status 1 if it has errors.

    Args:
        export: The exported files, and how to read them.
    """
    from tinyhd_lib.data.trackers import import_gaze

    gaze = import_gaze(export)
    logger.info("points: %d, observers: %d -> %s", len(gaze.x), len(set(gaze.observer)), export.out)
    return verify("gaze", export.out, workers=1)


def verify(
    kind: Positional[str],
    dir: Positional[Path | None] = None,
    split: str | None = None,
    complete: bool = False,
    json: Path | None = None,
    workers: int | None = None,
    cluster: str | None = None,
) -> int:
    """Check a whole data set and report what is wrong with it; exit status 1 if anything is.

    Args:
        kind: dhf1k, ucf, hollywood2, kinetics, folder, gaze or avimos.
        dir: The data set's folder; $TINYHD_<KIND> if not given.
        split: Check only this split.
        complete: Also report published videos that are missing.
        json: Also write counts and findings to this file.
        workers: Worker processes; if not given, one per core where Dask is installed.
        cluster: A Dask scheduler to use instead (tcp://host:8786), or a YAML file that describes a cluster.
    """
    from tinyhd_lib.data.datasets import open_dataset
    from tinyhd_lib.data.verify import verify

    dataset = open_dataset(kind, dir, split)
    with connected(workers, cluster) as client:
        report = verify(dataset, client, complete=complete)
    print(report)
    if json:
        write_json(json, report.to_json())
    return 1 if report.findings else 0


def _run_jobs(jobs: "Sequence[Job]", model: ModelOptions, workers: int, cluster: str | None, json: Path | None) -> None:
    """Run jobs, with a progress bar, a line for each refused video, and a JSON report even of an interrupted run.

    Raises:
        BadInput: some videos were refused.
    """
    import cv2

    from tinyhd_lib.data.video import probe
    from tinyhd_lib.prediction.files import opened, predict_many
    from tinyhd_lib.records import hardware, versions

    alone = jobs[0] if len(jobs) == 1 else None
    frames = probe(alone.video).frames if alone else None  # a mistyped path fails before a model is loaded
    cv2.setNumThreads(1)  # decoding, forward pass and writing have threads of their own; more only get in their way
    done, begun = [], time.perf_counter()
    bar = tqdm(desc=f"0/{len(jobs)} videos", total=frames * alone.passes if alone and frames else None, unit=" frames")
    try:
        with connected(min(workers, len(jobs)), cluster) as client, bar:
            if client is None:
                runtime = opened(model)
                logger.info("%s on %s: %d videos", runtime.spec.label, runtime.name, len(jobs))
            for each in predict_many(jobs, model, client, None if client else bar.update):
                done.append(each)
                bar.update(each.frames if client else 0)
                bar.set_description(f"{len(done)}/{len(jobs)} videos")
                if each.refused and not alone:
                    logger.warning("tinyhd: %s", each.refused)
    finally:
        if json:
            seconds = time.perf_counter() - begun
            rows = [each._asdict() | {"job": str(each.job.video), "out": str(each.job.out)} for each in done]
            write_json(json, {"hardware": hardware(), "versions": versions(), "seconds": seconds, "videos": rows})
    refused = [each.refused for each in done if each.refused]
    if refused and alone:
        raise BadInput(refused[0])
    fresh = sum(each.frames > 0 for each in done)
    logger.info("%d videos done, %d were done already", fresh, len(jobs) - fresh - len(refused))
    logger.info("%d frames -> %s", sum(each.frames for each in done), commonpath([job.out for job in jobs]))
    if refused:
        raise BadInput(f"{len(refused)} of {len(jobs)} videos could not be used; the others are done")


def _listed(word: str) -> Iterable[str]:
    """Return the video, or the videos listed in @FILE: one per line, without empty lines and # comments."""
    if not word.startswith("@"):
        return [word]
    lines = map(str.strip, Path(word[1:]).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
