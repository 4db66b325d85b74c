"""Run an evaluation, write its results into a folder of its own, and read them again."""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from tinyhd_lib.data.datasets import Dataset, open_dataset
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.video import is_video
from tinyhd_lib.engine import Client, connected, results
from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.evaluation.options import EvaluateOptions
from tinyhd_lib.evaluation.page import as_html
from tinyhd_lib.evaluation.plan import Pair, Plan, make_plan
from tinyhd_lib.evaluation.summary import Summary, summarise, units
from tinyhd_lib.evaluation.tasks import PREDICTION, PREDICTORS, run_task
from tinyhd_lib.files import alone_in, remove_partials, write_atomically, write_json
from tinyhd_lib.records import RECORD_NAME, RunRecord, check_same, read_record

logger = logging.getLogger(__name__)

SUMMARY_NAME = "summary.json"
PARTS_NAME = ".parts"
# A video may be called NA: only empty cells are missing values.
_read_csv = partial(pd.read_csv, dtype={"video": str, "frame": str}, keep_default_na=False, na_values=[""])
_READERS = {"parquet": pd.read_parquet, "csv": _read_csv}
_TABLE_NAMES = [f"frames.{name}" for name in _READERS]
_RESULT_NAMES = (SUMMARY_NAME, RECORD_NAME, "videos.csv", "table.tex", "report.html", *_TABLE_NAMES)


@dataclass(frozen=True)
class Evaluation:
    """Hold a finished evaluation; as text, its table for the console.

    Attributes:
        settings: what was scored, and how.
        frames: a row for each predictor and frame, with all metrics.
        pairs: videos and their predictions; empty if the evaluation was read from a folder.
    """

    settings: dict[str, Any]
    frames: pd.DataFrame
    pairs: tuple[Pair, ...] = ()

    @cached_property
    def summary(self) -> Summary:
        """Return the figures of the set."""
        return summarise(self.frames, self.settings)

    def __str__(self) -> str:
        """Return the figures as a table."""
        return str(self.summary)


def evaluate(options: EvaluateOptions, cluster: "Client | None" = None) -> Evaluation:
    """Score saliency maps, of any model, against recorded fixations; write tables, a page and a summary into a folder.

    Frames that an earlier run of the same evaluation scored there are not scored again.

    Args:
        options: what is scored, and how.
        cluster: client to use instead of the cluster that the options name.

    Raises:
        BadInput: predictions or ground truth are missing or cannot be read (scores so far are kept); or the folder
            holds something else.
    """
    whole = options.predictions.resolve()
    out = options.out or whole.with_name(f"{whole.name}_scores")
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: a file is in the way of the folder for the scores; give another `out`")
    dataset = open_dataset(options.kind, options.dir, sigma_degrees=options.sigma)
    for each in dataset.skipped:
        logger.warning("skipped: %s", each.reason)
    split = options.split or dataset.kind.evaluated or "all"
    videos = dataset.of_split(split).videos
    settings = _identity(options, dataset, videos) | {"split": split}
    record = RunRecord("evaluate", settings | {"predictions": str(whole), "root": str(dataset.root.resolve())})
    with alone_in(out):
        if options.force:
            shutil.rmtree(out / PARTS_NAME, ignore_errors=True)
        else:
            _check_earlier(out, record)
        with connected(options.workers, cluster or options.cluster) as client:
            plan, frames = _score(options, dataset, videos, out / PARTS_NAME, client)
        evaluation = Evaluation(settings | _data_facts(plan, frames, dataset), frames, plan.pairs)
        _write(out, evaluation, options.table)
        record.finish(out, frames=evaluation.settings["frames"])
    logger.info("%s and report.html in %s", SUMMARY_NAME, out)
    return evaluation


def read_evaluation(out: Path) -> Evaluation:
    """Read a finished evaluation from its folder.

    Raises:
        BadInput: the folder holds none.
    """
    path = out / SUMMARY_NAME
    if not path.exists():
        raise BadInput(f"{out}: holds no evaluation; make one with tinyhd evaluate")
    wrong = f"{path}: not the summary of an evaluation"
    with refusing(wrong, ValueError, KeyError, TypeError, remedy="give another folder"):
        settings = dict(json.loads(path.read_bytes())["settings"])
    lost = {"predictions", "data", "averaging", "seed"}.difference(settings)
    if lost:
        raise BadInput(f"{path}: its settings have no {min(lost)}; run tinyhd evaluate again")
    table = next((out / name for name in _TABLE_NAMES if (out / name).exists()), out / _TABLE_NAMES[0])
    with refusing(f"{table}: cannot be read", OSError, ValueError, remedy="run tinyhd evaluate again"):
        frames = _READERS[table.suffix[1:]](table)
    if not {"predictor", "video", "index", "truth"} <= set(frames):
        raise BadInput(f"{table}: not the table of an evaluation of this version; run tinyhd evaluate again")
    return Evaluation(settings, frames)


def _identity(options: EvaluateOptions, dataset: Dataset, videos: Sequence[Video]) -> dict[str, Any]:
    """Return the settings that identify an evaluation: only runs with equal settings may share a folder."""
    return {
        "predictions": str(options.predictions),
        "data": dataset.kind.name,
        "root": str(dataset.root),
        "gaze_maps": sorted({str(video.viewing) for video in videos if video.viewing is not None}),
        "averaging": options.averaged,
        "shuffle": options.shuffle and str(options.shuffle),
        "allow_missing": list(options.allow_missing),
        **{name: getattr(options, name) for name in ("protocol", "every", "min_fixations", "matched", "first", "seed")},
    }


def _data_facts(plan: Plan, frames: pd.DataFrame, dataset: Dataset) -> dict[str, Any]:
    """Return facts about the scored data that a reader of the figures must know."""
    scored = frames[["video", "index"]].drop_duplicates()
    unknown = {pair.video.name: len(pair.video.names) - len(pair.known) for pair in plan.pairs}
    return {
        "videos": int(scored["video"].nunique()),
        "units": int(units(scored["video"], dataset.kind.name).nunique()),
        "frames": len(scored),
        "centre_bias": plan.centre,
        "frames_looked_at_zeros": float(frames["at_zeros"].mean()),
        "frames_without_contrast": int(frames.loc[frames["predictor"] == PREDICTION, "CC"].isna().sum()),
        "lossy_maps": sum(pair.maps.video is not None and is_video(pair.maps.video) for pair in plan.pairs),
        "missing_maps": {pair.video.name: len(pair.missing) for pair in plan.pairs if pair.missing},
        "frames_without_truth": {name: count for name, count in unknown.items() if count},
        "skipped_files": [each.path.name for each in dataset.skipped],
        "frames_with_too_few_fixations": sum(len(task.indices) for task in plan.tasks) - len(scored),
    }


def _check_earlier(out: Path, record: RunRecord) -> None:
    """Refuse to overwrite another evaluation, or anything else."""
    earlier = read_record(out)
    check_same(out, earlier, record)
    strange = [name for name in _RESULT_NAMES if (out / name).exists()]
    if strange and earlier is None and not (out / PARTS_NAME).is_dir():
        raise BadInput(f"{out / strange[0]}: was not written by an evaluation; give another `out`")


def _score(
    options: EvaluateOptions, dataset: Dataset, videos: Sequence[Video], parts: Path, client: "Client | None"
) -> tuple[Plan, pd.DataFrame]:
    """Return the plan, and a row for each predictor and frame.

    Each task writes a file of its own, so that an interrupted run resumes from there, with the same result.
    """
    plan = make_plan(options, dataset, videos, client)
    remove_partials(parts)
    places = [
        parts / f"{task.key()}.parquet" for task in tqdm(plan.tasks, "earlier scores", unit=" parts", leave=False)
    ]
    count = sum(len(task.indices) for task in plan.tasks)
    with tqdm(desc="scoring", total=count, unit=" frames", smoothing=0.1) as progress:
        for done in results(run_task, list(zip(plan.tasks, places, strict=True)), client):
            progress.update(done)
    for stale in set(parts.glob("*.parquet")).difference(places):
        stale.unlink()
    frames = pd.concat(map(pd.read_parquet, places), ignore_index=True)
    frames = frames[frames["fixations"] >= options.min_fixations]
    if frames.empty:
        raise BadInput(f"{dataset.root}: no frame has {options.min_fixations} fixations; nothing to score")
    frames["predictor"] = pd.Categorical(frames["predictor"], PREDICTORS)
    return plan, frames.sort_values(["predictor", "video", "index"], ignore_index=True)


def _write(out: Path, evaluation: Evaluation, table_format: str) -> None:
    """Write all files of an evaluation; ``summary.json`` comes last and says that it is whole."""
    summary = evaluation.summary
    for name in (SUMMARY_NAME, *_TABLE_NAMES):
        (out / name).unlink(missing_ok=True)
    write_atomically(out / f"frames.{table_format}", _encoded(evaluation.frames, table_format))
    write_atomically(out / "videos.csv", _encoded(summary.videos, "csv"))
    write_atomically(out / "table.tex", summary.to_latex().encode())
    write_atomically(out / "report.html", as_html(summary, evaluation.frames, evaluation.pairs).encode())
    write_json(out / SUMMARY_NAME, summary.to_json())


def _encoded(table: pd.DataFrame, table_format: str) -> bytes:
    if table_format == "csv":
        return table.to_csv(index=False, lineterminator="\n").encode()
    return table.to_parquet(index=False)
