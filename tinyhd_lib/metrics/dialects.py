"""Ways to compute and average that change a score: a figure means something only with its dialect's name beside it.

Source: specification sections 4 and 6.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """One way to get from maps to a figure.

    Attributes:
        name: as the command line has it.
        kl_epsilon: see `tinyhd_lib.metrics.kl_div`.
        averaging: ``pooled``: one mean over all frames of the set; ``per-video``: over the frames of each video, then
            over the videos.
        most_frames: pooled over at most so many frames of the set, drawn at random; None for all.
        source: where it comes from.
    """

    name: str
    kl_epsilon: float
    averaging: str
    most_frames: int | None
    source: str


DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect("dhf1k", 2.0**-52, "pooled", 50_000, "the DHF1K benchmark's MATLAB code"),
        Dialect("published", 0.0, "per-video", None, "the paper's scripts: its KL and its averaging"),
    )
}
"""Nothing else about the paper's own scripts is known, so both share all other arithmetic."""
