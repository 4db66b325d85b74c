"""Experiments: a question, trainings that differ in one thing, and the table that answers it.

    for run, scores in conduct("heterogeneity", Path("runs/heterogeneity"), ExperimentOptions(budget="smoke")):
        ...  # after each training the tables in the folder are rewritten; finished trainings are not repeated

An experiment is a file of ``experiments/``, or one of your own: its question, the recipe that its runs share, and the
entries in which they differ. See docs/experiments.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from graphlib import CycleError, TopologicalSorter
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from tinyhd_lib.data.datasets import find_kind, find_root
from tinyhd_lib.data.synthetic import synthesise_once
from tinyhd_lib.engine import Client, results
from tinyhd_lib.errors import BadInput, check_choices, refusing
from tinyhd_lib.evaluation.compare import Comparison, compare
from tinyhd_lib.evaluation.folder import Evaluation
from tinyhd_lib.evaluation.tasks import PREDICTION
from tinyhd_lib.files import read_yaml, write_atomically
from tinyhd_lib.models.checkpoints import load_model
from tinyhd_lib.models.spec import ModelSpec
from tinyhd_lib.models.student import build_model, count_gmac, count_parameters
from tinyhd_lib.records import read_record
from tinyhd_lib.training import samples
from tinyhd_lib.training.checkpoint import BEST_NAME
from tinyhd_lib.training.learner import frame_scores, means_over_videos
from tinyhd_lib.training.loop import train
from tinyhd_lib.training.recipe import Recipe, read_recipe

_FOLDER = Path(__file__).parent / "experiments"


BUDGETS = {
    "smoke": {"recipe": "sketch", "r": "r4", "auxiliary": "folder"},
    "laptop": {"recipe": "study", "r": "r4", "auxiliary": "folder"},
    "published": {"r": "r1", "auxiliary": "kinetics"},
}
"""What a budget sets: the recipe that all runs share, in place of the experiment's own; the reduction of its models,
where they do not differ in that; and the kind of its data without gaze."""


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions:
    """Say how large an experiment is, and on which data it runs.

    Raises:
        BadInput: there is no such budget or kind of data set, or the seeds are none or not distinct.
    """

    budget: Literal["smoke", "laptop", "published"] = "laptop"
    """Training per model: seconds (smoke), minutes (laptop), or as in the paper, days on a GPU (published)."""
    data: Mapping[str, str | Path] = field(default_factory=dict)
    """The folder of each kind of data set. For a missing one, the published budget uses the kind's environment
    variable; the others synthesise a small set."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds; each model is trained once per seed."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Entries that replace those of the recipe that all runs share."""

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        check_choices(self)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise BadInput("`seeds`: name one or more, each once")
        for kind in self.data:
            find_kind(kind)


class Experiment(NamedTuple):
    """A question, and the runs that answer it.

    Attributes:
        question: in a sentence.
        recipe: the recipe that all runs share with the published budget.
        runs: for each run's name, the entries in which it differs; ``run:NAME`` is another run's best checkpoint.
        published: figures of the paper, by run and metric.
    """

    question: str
    recipe: str
    runs: Mapping[str, Mapping[str, Any]]
    published: Mapping[str, Mapping[str, float]] = {}


class Run(NamedTuple):
    """One training of an experiment.

    Attributes:
        name: its name in the experiment.
        seed: of all random draws.
        recipe: how it is trained.
        measured: the recipe whose validation data it is measured on.
        folder: its folder.
        after: the names of the runs whose weights it needs.
    """

    name: str
    seed: int
    recipe: Recipe
    measured: Recipe
    folder: Path
    after: set[str]


def experiment_names() -> list[str]:
    """Return the names of the experiments that come with the library."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def read_experiment(name_or_path: str | Path, budget: str = "laptop") -> Experiment:
    """Read a built-in experiment, or a file; ``$r`` and ``$auxiliary`` in it are replaced by the budget's.

    Raises:
        BadInput: there is none, or it cannot be read.
    """
    source = next((path for path in (_FOLDER / f"{name_or_path}.yaml", Path(name_or_path)) if path.is_file()), None)
    if source is None:
        raise BadInput(f"experiment {name_or_path}: no such file or name; there are {', '.join(experiment_names())}")
    table = read_yaml(source, **BUDGETS[budget])
    needed = f"{source}: question, recipe, runs and perhaps published are needed"
    with refusing(needed, TypeError, AttributeError, ValueError):
        found = Experiment(**table)
        runs = {str(name): dict(entries or {}) for name, entries in found.runs.items()}
        figures = {name: {each: float(value) for each, value in row.items()} for name, row in found.published.items()}
        return found._replace(runs=runs, published=figures)


def plan(experiment: Experiment, out: Path, options: ExperimentOptions) -> list[Run]:
    """Return the trainings of an experiment, seed by seed.

    Args:
        experiment: see `read_experiment`.
        out: the folder that holds the folder of each run.
        options: see `ExperimentOptions`.

    Raises:
        BadInput: an entry or value is invalid; a run's name is unknown, or cannot be a folder's; there is nothing to
            measure on; or a data set is missing.
    """
    base = read_recipe(BUDGETS[options.budget].get("recipe", experiment.recipe), **options.changes)
    if strange := [name for name in experiment.runs if Path(name).name != name or name in {"", "..", "data"}]:
        raise BadInput(f"run {strange[0]!r}: its name must also be valid for a folder; choose another")
    runs = []
    for seed, (name, varied) in product(options.seeds, experiment.runs.items()):
        folder = out / name / f"seed_{seed}"
        best = {f"run:{other}": str(out / other / folder.name / BEST_NAME) for other in experiment.runs}
        recipe = replace(base, seed=seed, **{entry.lower(): value for entry, value in varied.items()})
        after = {each for each in (recipe.start or "", *recipe.teachers) if each.startswith("run:")}
        if unknown := after - set(best):
            raise BadInput(f"run {name!r}: {unknown.pop()} is none of {', '.join(best)}")
        teachers = tuple(best.get(each, each) for each in recipe.teachers)
        recipe = replace(recipe, start=best.get(recipe.start or "", recipe.start), teachers=teachers)
        measured = recipe if recipe.labelled else base
        if not (measured.labelled and measured.validation_split):
            raise BadInput("LABELLED and VALIDATION_SPLIT: without gaze to measure on there is nothing to compare")
        recipe, measured = (_with_data(each, out, options) for each in (recipe, measured))
        runs.append(Run(name, seed, recipe, measured, folder, {each.removeprefix("run:") for each in after}))
    return runs


def stages(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Yield the runs in groups such that each run only depends on runs of earlier groups.

    Raises:
        BadInput: runs depend on one another in a cycle.
    """
    waiting = TopologicalSorter({run.name: run.after for run in runs})
    try:
        waiting.prepare()
    except CycleError as error:
        raise BadInput(f"runs wait for one another: {', '.join(error.args[1])}") from error
    while waiting.is_active():
        ready = waiting.get_ready()
        yield [run for run in runs if run.name in ready]
        waiting.done(*ready)


def _with_data(recipe: Recipe, out: Path, options: ExperimentOptions) -> Recipe:
    """Return a recipe with the folders of its data sets filled in."""
    places: dict[str, Any] = {}
    for number, use in enumerate(("labelled", "auxiliary")):
        kind = getattr(recipe, use)
        if kind is None or getattr(recipe, f"{use}_dir"):
            continue
        folder = options.data.get(kind)
        if folder is None and options.budget != "published":
            videos = 8 if options.budget == "laptop" else 2
            folder = synthesise_once(kind, out / "data" / kind, videos=videos, frames=32, seed=number)
        places[f"{use}_dir"] = str(find_root(find_kind(kind), folder))
    return replace(recipe, **places)


def conduct(
    name_or_path: str | Path, out: Path, options: ExperimentOptions, *, cluster: "Client | None" = None, **running: Any
) -> Iterator[tuple[Run, pd.DataFrame]]:
    """Train and measure every run of an experiment, each into a folder of its own in ``out``.

    After each run, ``table.txt``, ``table.tex``, ``table.html``, ``table.csv`` and ``figure.png`` in ``out`` are
    rewritten. Scores are of the last frame of ``VALIDATION_CLIPS`` clips of every validation video.

    Args:
        name_or_path: of the experiment.
        out: folder of the tables and of the runs' folders.
        options: see `ExperimentOptions`.
        cluster: client that trains several at once, see `tinyhd_lib.engine.connected`; None for one after the other.
        running: ``device``, ``loaders`` and ``force`` of `train`.

    Raises:
        BadInput: see `read_experiment`, `plan` and `train`.
    """
    experiment = read_experiment(name_or_path, options.budget)
    found: list[tuple[Run, pd.DataFrame]] = []
    for stage in stages(plan(experiment, out, options)):
        for run, frames in zip(stage, results(partial(_conducted, running=running), stage, cluster), strict=True):
            found.append((run, frames))
            write_tables(experiment, found, out)
            yield run, frames


def write_tables(experiment: Experiment, found: Sequence[tuple[Run, pd.DataFrame]], out: Path) -> None:
    """Write the tables and the figure of the runs finished so far, see `conduct`."""
    table = as_comparison(experiment, found)
    scores = [{"run": run.name, "seed": run.seed, **means_over_videos(frames)} for run, frames in found]
    write_atomically(out / "table.txt", f"{experiment.question}\n\n{table}\n".encode())
    write_atomically(out / "table.tex", table.to_latex().encode())
    write_atomically(out / "table.html", table.to_html().encode())
    write_atomically(out / "table.csv", pd.DataFrame(scores).to_csv(index=False, lineterminator="\n").encode())
    as_figure(experiment, pd.DataFrame(scores)).savefig(out / "figure.png", dpi=120)


def _conducted(run: Run, running: Mapping[str, Any]) -> pd.DataFrame:
    earlier = None if running.get("force") else read_record(run.folder)
    if earlier and earlier.details.get("recipe") != run.recipe.to_dict():
        raise BadInput(f"{run.folder}: was trained in another way, or on other data; another `out`, or `force=True`")
    for _ in train(run.recipe, run.folder, **running):
        pass
    kept, best = run.folder / "scores.parquet", run.folder / BEST_NAME
    if not kept.exists() or kept.stat().st_mtime < best.stat().st_mtime:
        write_atomically(kept, measure(run).to_parquet())
    return pd.read_parquet(kept)


def measure(run: Run) -> pd.DataFrame:
    """Return the scores of a run's best checkpoint on the last frame of each clip, for which every model has a map.

    The columns are those of `tinyhd_lib.training.learner.frame_scores`.
    """
    student, (_, sources) = load_model(run.folder / BEST_NAME), samples.open_sources(run.measured)
    frames = frame_scores(student, sources, run.measured, None, samples.LeftOut())
    clips = samples.validation_clips(sources, run.measured.validation_clips)
    last = {(sources[clip.video].video.name, clip.indices(sources[clip.video].count)[-1]) for clip in clips}
    frames = frames[[place in last for place in zip(frames["video"], frames["index"], strict=True)]]
    return frames.rename(columns={"kl": "KL", "cc": "CC", "nss": "NSS"})


def as_comparison(experiment: Experiment, found: Sequence[tuple[Run, pd.DataFrame]]) -> Comparison:
    """Return the table of an experiment: means over frames, videos and seeds, compared with the best on the same data.

    Further columns are the deviation over seeds, each model's cost, and the paper's figures where it has them.
    """
    runs = pd.DataFrame([means_over_videos(frames) for _, frames in found], [run.name for run, _ in found])
    names, by_run = list(dict.fromkeys(runs.index)), runs.groupby(level=0)
    one = {run.name: run for run, _ in found}
    groups: dict[str, list[Evaluation]] = {}
    for name in names:
        data = one[name].measured
        place = f"{data.labelled} {', '.join(data.labelled_dir)} {data.validation_split}".strip()
        every = pd.concat([frames for run, frames in found if run.name == name])
        table = every.groupby(["video", "index"], as_index=False).mean().assign(predictor=PREDICTION, truth=0)
        settings = {"predictions": name, "data": data.labelled, "averaging": "per-video", "seed": 0}
        groups.setdefault(place, []).append(Evaluation(settings, table))
    compared = {place: compare(evaluations) for place, evaluations in groups.items()}
    parts = ("mean", "best", "difference", "p", "holm")
    tables = {part: pd.concat([getattr(each, part) for each in compared.values()]).loc[names] for part in parts}
    facts = pd.DataFrame([_facts(one[name].recipe.spec) for name in names], names)
    if "alike" in runs:
        facts["alike"] = by_run["alike"].mean().map("{:.3f}".format)
    published = pd.DataFrame.from_dict(experiment.published, "index").reindex(names)
    facts = facts.join(published.map("{:.3f}".format).add_suffix(" of the paper")).replace("nan", "-")
    headline = "; ".join(f"{place}: {each.headline}" for place, each in compared.items())
    return Comparison(headline, **tables, facts=facts, spread=by_run.std().loc[names, list(tables["mean"])])


@cache
def _facts(spec: ModelSpec) -> dict[str, str]:
    model = build_model(spec).eval()
    return {"parameters": f"{count_parameters(model):,}", "GMAC": f"{count_gmac(model):.2f}"}


def as_figure(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Return a plot of a table with one row per training: a point for each, a line at the mean of each run."""
    names, scores = list(dict.fromkeys(table["run"])), [name for name in ("NSS", "CC", "KL", "alike") if name in table]
    figure = Figure(figsize=(3.2 * len(scores) + 1, 0.4 * len(names) + 1.6), layout="constrained")
    for axes, score in zip(figure.subplots(1, len(scores), sharey=True, squeeze=False)[0], scores, strict=True):
        axes.plot(table[score], table["run"].map(names.index), "o", color="#0072b2", alpha=0.6)
        axes.plot(table.groupby("run")[score].mean()[names], range(len(names)), "|", color="black", markersize=18)
        axes.set(xlabel=score, yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
        axes.grid(axis="x", color="#eeeeee")
    figure.suptitle(experiment.question)
    return figure
