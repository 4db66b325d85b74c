"""How maps are scored: name, default and check of each option stand here, for Python, the command line and records."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from tyro.conf import Positional

from tinyhd_lib.errors import BadInput


class ScoringProtocol(NamedTuple):
    """Say one way to get from maps to a figure: a figure means something only with its protocol's name beside it.

    Attributes:
        kl_epsilon: see `tinyhd_lib.metrics.kl_div`.
        averaging: ``pooled``: one mean over all frames of the set; ``per-video``: over the frames of each video, then
            over the videos.
        most_frames: pooled over at most so many frames of the set, drawn at random; None for all.
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
"""By the names that the command line has for them.

Nothing else about the paper's own scripts is known, so both share all other arithmetic.
"""


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Say what is scored, and how.

    Raises:
        BadInput: a number is out of its range.
    """

    predictions: Path
    """A folder with the maps of each video: a folder of images or arrays, one array, a video, or files VIDEO_FRAME."""
    kind: str
    """Of the data set: dhf1k, ucf, hollywood2, kinetics, folder, gaze or avimos."""
    dir: Positional[Path | None] = None
    """Its folder; $TINYHD_<KIND> if None."""
    split: str | None = None
    """Of the data set, or all; the one that its papers evaluate on if None."""
    out: Path | None = None
    """Where tables, report.html and summary.json go; PREDICTIONS_scores if None."""
    protocol: Literal["dhf1k", "published"] = "dhf1k"
    """How to compute and average: the benchmark's way or the paper's."""
    averaging: Literal["pooled", "per-video"] | None = None
    """One mean over all frames, or over videos of their means; the protocol's own if None."""
    every: int = 1
    """Score every so many frames only."""
    min_fixations: int = 1
    """Leave out frames with fewer fixated pixels."""
    sigma: str | None = None
    """How far gaze points spread in their maps: degrees (1.5deg), pixels (20px), or dhf1k for as far as in that data
    set's own maps; 1deg if None."""
    shuffle: Path | None = None
    """A map of fixations of other videos, or of their counts (.npy, .npz, .mat or an image), as false alarms for sAUC;
    ten frames of the others that are scored if None."""
    matched: bool = False
    """Also score the map that a density calls for, where it is not the density itself: columns CC and KL 'matched'."""
    emd: bool = False
    """Also the earth mover's distance, for which POT must be installed."""
    first: int | None = None
    """The number of the first frame in the names of the predictions' files; as the data set's own if None."""
    allow_missing: tuple[str, ...] = ()
    """Names or patterns of videos (0601) or frames (0601/00*) that may lack a map; else that is an error."""
    seed: int = 0
    """Of everything that is drawn."""
    table: Literal["parquet", "csv"] = "parquet"
    """Format of the table of frames."""
    workers: int | None = None
    """Processes; one a core if None, and Dask is installed."""
    cluster: str | None = None
    """A Dask scheduler to do it instead (tcp://host:8786), or a YAML file of a cluster."""
    force: bool = False
    """Over what another evaluation left in the folder."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        for name, least in {"every": 1, "seed": 0, "min_fixations": 1}.items():
            if getattr(self, name) < least:
                raise BadInput(f"`{name}={getattr(self, name)}`: at least {least}")

    @property
    def averaged(self) -> str:
        """Return how frames become a figure of the set."""
        return self.averaging or PROTOCOLS[self.protocol].averaging
