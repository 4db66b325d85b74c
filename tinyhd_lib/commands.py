"""What each command of ``tinyhd`` does: it calls the library, shows progress, and prints what comes back.

Parameters are options, their names and texts are tyro's help. The library is imported when a command runs.
"""

import json as json_format
import logging
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm
from tyro.conf import Positional, UseAppendAction, arg

from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.options import EvaluateOptions
from tinyhd_lib.files import write_atomically
from tinyhd_lib.live.options import LiveOptions
from tinyhd_lib.prediction.options import ModelOptions, PredictOptions

if TYPE_CHECKING:
    from tinyhd_lib.prediction.files import Job

logger = logging.getLogger(__name__)

_KINDS = "dhf1k, ucf, hollywood2, kinetics, folder or gaze"
Kind = Annotated[str, arg(metavar="KIND", help=f"Kind of the data set: {_KINDS}.")]
Folder = Annotated[Path | None, arg(metavar="DIR", help="Its folder; $TINYHD_<KIND> if not given.")]
Settings = UseAppendAction[tuple[Annotated[str, arg(metavar="NAME=VALUE")], ...]]


def predict(
    videos: Positional[Annotated[tuple[str, ...], arg(metavar="VIDEO [VIDEO ...]")]],
    writing: PredictOptions,
    model: ModelOptions,
    out: Path | None = None,
    overlay: Path | None = None,
    decoders: int = 1,
    json: Path | None = None,
) -> None:
    """Write saliency maps and an overlay video of a video, or of many.

    Args:
        videos: A video, a folder of frames, a folder of videos at any depth, or @FILE: a list of these, one a line.
        writing: What is written.
        model: Which model runs, and where.
        out: Folder of map files and run.json, with a folder a video if there are several; VIDEO_saliency if not given.
        overlay: Also write an overlay video, FILE.mp4; a folder of overlay videos if there are several videos.
        decoders: Of many videos, how many at once.
        json: Of many videos, also write there how long each took; a file a torchrun rank.
    """
    from tinyhd_lib.data.video import probe
    from tinyhd_lib.prediction.jobs import is_collection, job_of, jobs_of

    paths = [Path(video) for word in videos for video in _listed(word)]
    if not paths:
        raise BadInput("name a video: tinyhd predict VIDEO")
    if len(paths) != 1 or is_collection(paths[0]):
        _do_jobs(jobs_of(paths, out, overlay, writing), model, decoders, json, force=writing.force)
        return
    if json:
        raise BadInput("`json` sums up many videos; of one, run.json beside its maps tells")
    job = job_of(paths[0], out, overlay, writing)
    probe(job.video)  # a typing mistake is told before a model is loaded
    _do_job(job, model)


def generate(
    kind: Positional[Kind],
    writing: PredictOptions,
    model: ModelOptions,
    out: Path,
    dir: Positional[Folder] = None,  # noqa: A002
    split: str | None = None,
    decoders: int = 1,
    json: Path | None = None,
) -> None:
    """Write the maps of a whole data set, named as published.

    Args:
        kind: See above.
        writing: What is written.
        model: Which model runs, and where.
        out: Where a folder a video goes.
        dir: See above.
        split: Of the data set, or all; the one that its papers evaluate on if not given.
        decoders: How many videos at once.
        json: Also write there how long each video took; a file a torchrun rank.
    """
    from tinyhd_lib.data.datasets import find_kind, open_dataset
    from tinyhd_lib.prediction.jobs import dataset_jobs

    split = split or find_kind(kind).evaluated
    dataset = open_dataset(kind, dir, None if split == "all" else split)
    for each in dataset.skipped:
        logger.warning("skipped: %s", each.reason)
    _do_jobs(dataset_jobs(dataset, out, writing), model, decoders, json, force=writing.force)


def live(source: Positional[Annotated[str, arg(metavar="SOURCE")]], stream: LiveOptions) -> None:
    """Show the saliency of what happens now: a camera, an address, a video, a folder.

    Args:
        source: A camera's number, an rtsp or http address, a video (at its own speed), or a folder that fills.
        stream: How it is watched, and what is kept of it.
    """
    from tinyhd_lib.live.session import watch
    from tinyhd_lib.live.statistics import Statistics

    for item in watch(source, stream):
        if isinstance(item, Statistics):
            logger.info("%s", item)
        else:
            _print(item.to_string(header=False))


def evaluate(
    predictions: Positional[Annotated[Path, arg(metavar="PREDICTIONS")]],
    kind: Positional[Kind],
    scoring: UseAppendAction[EvaluateOptions],
    dir: Positional[Folder] = None,  # noqa: A002
    split: str | None = None,
    out: Path | None = None,
) -> None:
    """Score anybody's maps against where people looked.

    Args:
        predictions: A folder with a folder of images or .npz, or a video of maps, for each video.
        kind: See above.
        scoring: How they are scored.
        dir: See above.
        split: Of the data set, or all; the one that its papers evaluate on if not given.
        out: Where tables, report.html and summary.json go; PREDICTIONS_scores if not given.
    """
    from tinyhd_lib.data.datasets import open_dataset
    from tinyhd_lib.evaluation.folder import SUMMARY_NAME, evaluate_into

    dataset = open_dataset(kind, dir, sigma_degrees=scoring.sigma)
    for each in dataset.skipped:
        logger.warning("skipped: %s", each.reason)
    out = out or predictions.resolve().with_name(f"{predictions.resolve().name}_scores")
    with logging_redirect_tqdm():
        scored = evaluate_into(out, predictions, dataset, split, scoring)
    _print(str(scored.summary))
    logger.info("%s and report.html in %s", SUMMARY_NAME, out)


def compare(
    first: Positional[Annotated[Path, arg(metavar="A")]],
    second: Positional[Annotated[Path, arg(metavar="B")]],
    json: Path | None = None,
) -> None:
    """Hold two evaluations against each other, with a paired test.

    Args:
        first: The folder of an evaluation.
        second: The folder of another one of the same data.
        json: Also write the figures there.
    """
    from tinyhd_lib.evaluation.compare import compare as compare_results
    from tinyhd_lib.evaluation.results import read_results

    found = compare_results(read_results(first), read_results(second))
    _print(str(found))
    if json:
        _write_json(json, found.to_json())


def train(
    recipe: str | None = None,
    list: bool = False,  # noqa: A002
    set: Settings = (),  # noqa: A002
    out: Path | None = None,
    tensorboard: bool = False,
    device: str = "auto",
    workers: int = 0,
    force: bool = False,
) -> None:
    """Teach a student; what was cut off goes on.

    Args:
        recipe: One of ours (--list) or a YAML file.
        list: Print the names of our recipes.
        set: Change an entry of the recipe, as often as needed, such as EPOCHS=2 or SIZE='[96, 128]'.
        out: Checkpoints, log and record; runs/RECIPE if not given.
        tensorboard: Also write OUT/tensorboard.
        device: auto, cpu, cuda or cuda:N.
        workers: Processes that prepare clips.
        force: Begin anew, over what is there.
    """
    from tinyhd_lib.training.recipe import read_recipe, read_settings, recipe_names

    if list:
        _print("\n".join(recipe_names()))
        return
    if recipe is None:
        raise BadInput(f"`recipe`: name one ({', '.join(recipe_names())}) or a YAML file")
    chosen = read_recipe(recipe, **read_settings(set))
    from tinyhd_lib.training.loop import on_tensorboard
    from tinyhd_lib.training.loop import train as run

    out = out or Path("runs") / Path(recipe).stem
    entries = run(chosen, out, device=device, workers=workers, force=force)
    with logging_redirect_tqdm():
        for entry in on_tensorboard(entries, out) if tensorboard else entries:
            if "scores" in entry:
                scores = ", ".join(f"{name} {value:.4f}" for name, value in entry["scores"].items())
                logger.info("epoch %d of %d: %s", entry["epoch"], chosen.epochs, scores)
    logger.info("%s", out)


def ablate(
    models: Positional[Annotated[tuple[str, ...], arg(metavar="SWEEP|MODEL [...]")]],
    recipe: str,
    set: Settings = (),  # noqa: A002
    out: Path = Path("runs/ablation"),
    device: str = "auto",
    workers: int = 0,
    force: bool = False,
) -> None:
    """Train many models alike, and compare them.

    Args:
        models: decoders, outputs, reductions or reductions_single (the paper's comparisons), or models.
        recipe: How each of them is trained: one of ours, or a YAML file.
        set: Change an entry of the recipe, as often as needed.
        out: A folder a model, and the table.
        device: auto, cpu, cuda or cuda:N.
        workers: Processes that prepare clips.
        force: Begin anew, over what is there.
    """
    from tinyhd_lib.training.recipe import read_recipe, read_settings

    chosen = read_recipe(recipe, **read_settings(set))
    from tinyhd_lib.training.ablate import ablate as run
    from tinyhd_lib.training.ablate import as_table, specs_of

    table = []
    with logging_redirect_tqdm():
        for comparison in run(specs_of(models), chosen, out, device=device, workers=workers, force=force):
            table.append(comparison)
            logger.info("%s: %s", comparison.model, comparison.scores)
    _print(as_table(table).to_markdown(index=False))


def data_synthesise(
    kind: Positional[Kind],
    dir: Positional[Annotated[Path, arg(metavar="DIR")]],  # noqa: A002
    videos: int = 3,
    frames: int = 24,
    size: str = "160x96",
    observers: int = 12,
    seed: int = 0,
) -> None:
    """Write a small made-up data set in the layout of a real one.

    Args:
        kind: See above.
        dir: A folder that does not exist yet.
        videos: In each split.
        frames: Of a video.
        size: WIDTHxHEIGHT in pixels.
        observers: Of a video.
        seed: Decides everything else.
    """
    from tinyhd_lib.data.synthetic import synthesise

    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise BadInput(f"`size={size}`: WIDTHxHEIGHT in pixels, such as 640x360")
    made = synthesise(
        kind, dir, videos=videos, frames=frames, size=(int(height), int(width)), observers=observers, seed=seed
    )
    logger.info("%d videos -> %s", sum(1 for _ in tqdm(made, desc=kind, unit=" videos")), dir)


def data_verify(
    kind: Positional[Kind],
    dir: Positional[Folder] = None,  # noqa: A002
    split: str | None = None,
    complete: bool = False,
    json: Path | None = None,
    workers: int | None = None,
) -> int:
    """Read all of a data set and tell what is wrong; exit status 1 if so.

    Args:
        kind: See above.
        dir: See above.
        split: Only this one.
        complete: It is wrong too if it is not all that was published.
        json: Also write counts and findings there.
        workers: Processes; one a core if not given.
    """
    from tinyhd_lib.data.datasets import open_dataset
    from tinyhd_lib.data.verify import check_set, check_videos

    dataset = open_dataset(kind, dir, split)
    with logging_redirect_tqdm():
        checks = tqdm(check_videos(dataset, workers), total=len(dataset.videos), desc="reading", unit=" videos")
        report = check_set(dataset, checks, complete=complete)
    _print(str(report))
    if json:
        _write_json(json, report.to_json())
    return 1 if report.findings else 0


def weights_list(markdown: bool = False) -> None:
    """List the models that have names.

    Args:
        markdown: As the README has it.
    """
    from tinyhd_lib.models.weights import LICENCE_NOTE, TEACHER_NOTE, weights_table

    table = weights_table()
    if markdown:
        _print(table.to_markdown(index=False))
        return
    _print(table.to_string(index=False))
    _print("\nNSS and CC: the authors' own, DHF1K validation set (mean over frames, then over videos).")
    _print("workbench-*: trained by this project and part of it; figures and licence lineage are in weights/.")
    _print(f"Published students: {LICENCE_NOTE}.\nTeacher: {TEACHER_NOTE}.")


def weights_get(name: Positional[Annotated[str, arg(metavar="NAME")]]) -> None:
    """Download a published file, verified, and print its path.

    Args:
        name: Of published weights (tinyhd weights list).
    """
    from tinyhd_lib.models.weights import get_published

    _print(str(get_published(name)))


def weights_convert(file: Positional[Annotated[str, arg(metavar="FILE")]], out: Path | None = None) -> None:
    """Turn a published .pth into a self-describing .safetensors.

    Args:
        file: A name or path.
        out: A .safetensors file; beside FILE if not given.
    """
    from tinyhd_lib.models.checkpoints import convert
    from tinyhd_lib.models.weights import locate_weights

    source = locate_weights(file)
    out = out or source.with_suffix(".safetensors")
    _print(f"{out}: {convert(source, out).spec.label}")


def weights_halve(
    file: Positional[Annotated[str, arg(metavar="FILE")]],
    out: Positional[Annotated[Path, arg(metavar="FILE.safetensors")]],
) -> None:
    """Write a .safetensors of ours again in float16.

    Args:
        file: A name or path.
        out: The new file.
    """
    from tinyhd_lib.files import sha256
    from tinyhd_lib.models.checkpoints import halve
    from tinyhd_lib.models.weights import locate_weights

    model = halve(locate_weights(file), out)
    _print(f"{out}: {model.spec.label}, SHA-256 {sha256(out)}")


def export(
    model: Positional[Annotated[str, arg(metavar="NAME|PATH")]],
    to: Literal["onnx", "openvino", "torch"],
    input: Literal["clips", "frames"] = "clips",  # noqa: A002
    out: Path | None = None,
    force: bool = False,
) -> None:
    """Write a model as a file for other software, held against torch.

    Args:
        model: A name (tinyhd weights list), a .pth or a .safetensors file.
        to: The kind of file.
        input: What it takes: clips (N, 3, 16, 192, 256) float32, preprocessed; or frames (N, 16, H, W, 3) uint8 RGB of
            any size, with preprocessing inside.
        out: NAME.onnx, .xml or .pt2 if not given.
        force: Replace what is there.
    """
    from tinyhd_lib.export import FORMATS, INPUTS, export_model

    suffixes = FORMATS[to].suffixes
    out = out or Path(f"{Path(model).stem}{suffixes[-1]}")
    logger.info("exporting %s to %s and running it: half a minute", model, out)
    parity = export_model(model, out, to, input, force=force)
    logger.info("takes %s", INPUTS[input])
    logger.info("%s", parity)
    files = [out.with_suffix(suffix) for suffix in suffixes]
    logger.info("%.1f MB -> %s", sum(file.stat().st_size for file in files) / 1e6, " and ".join(map(str, files)))


def notebooks_list(notebooks: Path | None = None) -> None:
    """List the notebooks, with their sets of parameters.

    Args:
        notebooks: Where they lie; those that come with us if not given.
    """
    from tinyhd_lib.notebooks.files import list_notebooks

    _print(list_notebooks(notebooks).to_string(index=False))


def notebooks_copy(folder: Positional[Annotated[Path, arg(metavar="DIR")]]) -> None:
    """Put the notebooks and their sets of parameters into a folder of your own.

    Args:
        folder: May not hold any of them yet.
    """
    from tinyhd_lib.notebooks.files import copy_notebooks

    for path in copy_notebooks(folder):
        _print(str(path))


def notebooks_run(
    names: Positional[Annotated[tuple[str, ...], arg(metavar="[NAME ...]")]] = (),
    file: Annotated[UseAppendAction[tuple[str, ...]], arg(aliases=["-f"], metavar="FILE|SET")] = (),
    parameter: Annotated[UseAppendAction[tuple[tuple[str, str], ...]], arg(aliases=["-p"], metavar="NAME VALUE")] = (),
    out: Path | None = None,
    timeout: float | None = None,
    jobs: int = 1,
    force: bool = False,
    notebooks: Path | None = None,
) -> int:
    """Run notebooks without a browser, each into a folder of its own; what is done is passed over.

    Args:
        names: A name, the beginning of one, or a path; all if not given.
        file: Parameters: a YAML file, or the name of a set, such as smoke for parameters/02_smoke.yaml.
        parameter: One parameter, its value as YAML writes it; wins over -f.
        out: Where a folder a notebook goes; runs/notebooks, or runs/notebooks/SET if not given.
        timeout: Seconds that a notebook may take; no end if not given.
        jobs: Notebooks at once, of one thread each.
        force: Run what is done already, too.
        notebooks: Where they lie; those that come with us if not given.
    """
    from tinyhd_lib.notebooks.files import find_notebooks, read_settings
    from tinyhd_lib.notebooks.runs import plan, run_notebooks

    runs = plan(find_notebooks(names, notebooks), file, read_settings(parameter), out)
    failed = 0
    with logging_redirect_tqdm():
        outcomes = run_notebooks(runs, jobs=jobs, timeout=timeout, force=force)
        for outcome in tqdm(outcomes, total=len(runs), unit=" notebooks", leave=False):
            logger.info("%s", outcome)
            failed += outcome.failure is not None
    logger.info("%d of %d notebooks -> %s", len(runs) - failed, len(runs), runs[0].folder.parent)
    return 1 if failed else 0


def cache_show() -> None:
    """Show what is kept on this machine, and how large it is."""
    from tinyhd_lib.cache import cache_folder, cache_usage

    for usage in cache_usage():
        _print(f"{usage.kind:12} {usage.entries:7,} entries {usage.size / 2**20:10,.1f} MiB")
    _print(str(cache_folder()))


def cache_clear(kind: Positional[Annotated[str | None, arg(metavar="KIND")]] = None, days: float = 0.0) -> None:
    """Remove what is kept on this machine; it is made again when it is needed.

    Args:
        kind: Only this one (tinyhd cache show); all if not given.
        days: Only what was not used for so many days.
    """
    from tinyhd_lib.cache import clear_cache

    _print(f"{clear_cache(kind, days) / 2**20:,.1f} MiB removed")


def _do_job(job: "Job", model: ModelOptions) -> None:
    """Do a single job, with a bar."""
    from av.error import FFmpegError

    from tinyhd_lib.data.video import probe
    from tinyhd_lib.prediction.files import predict_files
    from tinyhd_lib.prediction.many import explained

    runtime, frames, steps = _open(model), probe(job.video).frames, 0
    logger.info("%s on %s", runtime.spec.label, runtime.name)
    bar = tqdm(total=frames and frames * job.passes, desc=job.video.name, unit=" frames", smoothing=0.05)
    try:
        with bar, logging_redirect_tqdm():
            for steps in predict_files(job, runtime, model.weights):  # noqa: B007
                bar.update()
    except (OSError, FFmpegError) as error:
        raise BadInput(explained(error)) from error
    if not steps:
        logger.info("%s: done already (--force does it anew)", job.video)
        return
    places = [str(place) for place in (job.out if job.maps != "none" else None, job.overlay) if place]
    logger.info("%d frames -> %s", steps // job.passes, " and ".join(places))


def _do_jobs(jobs: "list[Job]", model: ModelOptions, decoders: int, json: Path | None, *, force: bool) -> None:
    """Do many jobs, with a bar, a line for each that was refused, and a summary even of what was broken off."""
    from tinyhd_lib.prediction.many import check_decoders, predict_many, summarise
    from tinyhd_lib.records import torchrun_rank

    check_decoders(decoders)
    rank, ranks = torchrun_rank(os.environ)
    if force and ranks > 1:
        raise BadInput("`force=True`: every process would do all videos anew; remove the results instead")
    if json:
        json.parent.mkdir(parents=True, exist_ok=True)
    runtime, where = _open(model), f" (rank {rank} of {ranks})" if ranks > 1 else ""
    logger.info("%s on %s: %d videos%s", runtime.spec.label, runtime.name, len(jobs), where)
    outcomes, begun = [], time.perf_counter()
    bar = tqdm(desc=f"0/{len(jobs)} videos", unit=" frames", smoothing=0.02, position=rank)
    try:
        with bar, logging_redirect_tqdm():
            for outcome in predict_many(jobs, runtime, model.weights, decoders):
                if outcome is None:
                    bar.update()
                    continue
                outcomes.append(outcome)
                bar.set_description(f"{len(outcomes)}/{len(jobs)} videos")
                if outcome.refused:
                    logger.warning("tinyhd: %s", outcome.refused)
    finally:
        if json:
            own = json.with_name(f"{json.stem}-{rank}{json.suffix}") if ranks > 1 else json
            summary = summarise(outcomes, runtime, time.perf_counter() - begun)
            _write_json(own, summary | {"decoders": decoders, "rank": rank, "ranks": ranks})
    done = sum(outcome.done for outcome in outcomes)
    refused = sum(outcome.refused is not None for outcome in outcomes)
    logger.info("%d videos done%s, %d were done already", done, where, len(jobs) - done - refused)
    if refused:
        raise BadInput(f"{refused} of {len(jobs)} videos could not be used; the others are done")


def _open(model: ModelOptions) -> Any:
    """The model, ready to run; each process of torchrun has its own GPU from here on."""
    import cv2

    from tinyhd_lib.runtime import take_own_gpu

    cv2.setNumThreads(1)  # decoding, forward pass and writing have threads of their own; more only get in their way
    take_own_gpu(os.environ)
    return model.open()


def _listed(word: str) -> Iterable[str]:
    """A video, or the list that @FILE holds: one a line, empty lines and remarks between."""
    if not word.startswith("@"):
        return [word]
    lines = map(str.strip, Path(word[1:]).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, json_format.dumps(content, indent=2, allow_nan=False).encode())


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
