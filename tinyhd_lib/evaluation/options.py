"""The options of an evaluation: name, default and check of each, for Python, the command line and run records alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from tyro.conf import Positional

from tinyhd_lib.errors import BadInput, check_choices


class ScoringProtocol(NamedTuple):
    """Define how maps become scores: scores are comparable only if they follow the same protocol.

    Attributes:
        kl_epsilon: see `tinyhd_lib.metrics.kl_div`.
        averaging: ``pooled``: one mean over all frames of the set; ``per-video``: over the frames of each video, then
            over the videos.
        most_frames: if pooled, the largest number of frames to score, drawn at random from the set; None for all.
        source: where it comes from.
    """

    kl_epsilon: float
    averaging: str
    most_frames: int | None
    source: str


PROTOCOLS = {
    "dhf1k": ScoringProtocol(2.0**-52, "pooled", 50_000, "the DHF1K benchmark's MATLAB code"),
    "published": ScoringProtocol(0.0, "per-video", None, "the paper's scripts: its KL and its averaging"),
}
"""Scoring protocols by name.

Nothing else is known about the paper's own scripts, so both protocols share all other arithmetic.
"""


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Say what is scored, and how.

    Raises:
        BadInput: a number is out of its range.
    """

    predictions: Path
    """A folder with each video's maps: a subfolder of images or arrays, one array, a video, or files VIDEO_FRAME."""
    kind: str
    """Kind of data set: dhf1k, ucf, hollywood2, kinetics, folder, gaze or avimos."""
    dir: Positional[Path | None] = None
    """The data set's folder; $TINYHD_<KIND> if None."""
    split: str | None = None
    """A split of the data set, or all; if None, the split that papers evaluate on."""
    out: Path | None = None
    """Folder for tables, report.html and summary.json; PREDICTIONS_scores if None."""
    protocol: Literal["dhf1k", "published"] = "dhf1k"
    """How to compute and average: the benchmark's way or the paper's."""
    averaging: Literal["pooled", "per-video"] | None = None
    """One mean over all frames (pooled), or the mean of the videos' means (per-video); the protocol's own if None."""
    every: int = 1
    """Score only every Nth frame."""
    min_fixations: int = 1
    """Leave out frames with fewer fixated pixels."""
    sigma: str | None = None
    """Standard deviation of the Gaussian that turns gaze points into saliency maps: degrees (1.5deg), pixels (20px), or
    dhf1k for that data set's own; 1deg if None."""
    shuffle: Path | None = None
    """A fixation map of other videos, binary or counts (.npy, .npz, .mat or an image), for the negatives of sAUC; if
    None, ten frames of the other scored videos."""
    matched: bool = False
    """Also score densities blurred like the ground truth, which CC and KL favour: columns CC and KL 'matched'."""
    emd: bool = False
    """Also compute the earth mover's distance, for which POT must be installed."""
    first: int | None = None
    """Number of the first frame in the names of the prediction files; as in the data set if None."""
    allow_missing: tuple[str, ...] = ()
    """Names or patterns of videos (0601) or frames (0601/00*) that may lack a map; for others that is an error."""
    seed: int = 0
    """Random seed."""
    table: Literal["parquet", "csv"] = "parquet"
    """Format of the table of frame scores."""
    workers: int | None = None
    """Worker processes; if None, one per core where Dask is installed."""
    cluster: str | None = None
    """A Dask scheduler to use instead (tcp://host:8786), or a YAML file that describes a cluster."""
    force: bool = False
    """Replace another evaluation's results in the folder."""

    def __post_init__(self) -> None:
        """Refuse numbers that are out of range, and names that are no choices."""
        check_choices(self)
        for name, least in {"every": 1, "seed": 0, "min_fixations": 1}.items():
            if getattr(self, name) < least:
                raise BadInput(f"`{name}={getattr(self, name)}`: at least {least}")

    @property
    def averaged(self) -> str:
        """Return how frame scores are averaged: as chosen, or as the protocol does."""
        return self.averaging or PROTOCOLS[self.protocol].averaging
