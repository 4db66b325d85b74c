"""Plot accuracy against speed: the published models' NSS over the speed of their forward passes."""

from io import BytesIO
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.report import Report, Row, plain_rows
from benchmarks.trade import trade_plot
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import write_atomically
from tinyhd_lib.models.weights import find_weights

SUFFIXES = (".png", ".svg")

# Okabe and Ito's palette, which is safe for the colour-blind, and a marker for each as well.
_LOOKS = (("#777777", "o"), ("#d55e00", "D"), ("#0072b2", "s"), ("#009e73", "^"), ("#cc79a7", "v"), ("#e69f00", "P"))
_TICKS = (1, 2, 5)


def write_plot(report: Report, path: Path) -> None:
    """Draw a report into a PNG or SVG file.

    Raises:
        BadInput: see `speed_plot`.
    """
    content = BytesIO()
    figure = trade_plot(report) if "trade" in report else speed_plot(report)
    figure.savefig(content, format=path.suffix.removeprefix("."), dpi=160)
    write_atomically(path, content.getvalue())


def speed_plot(report: Report) -> Figure:
    """Return a plot of published NSS over frames per second: one line per model, one marker per runtime, S hollow.

    Only float32 is drawn, in which all runtimes give the maps that the published figures are for.

    Raises:
        BadInput: no model with published figures was measured.
    """
    rows = [row | {"nss": _nss(row)} for row in plain_rows(report) if _nss(row)]
    if not rows:
        raise BadInput("nothing to plot: no model was measured whose authors published figures on DHF1K")
    runtimes = list(dict.fromkeys(row["runtime"] for row in rows))
    looks = dict(zip(runtimes, cycle(_LOOKS), strict=False))
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    for model in dict.fromkeys(row["model"] for row in rows):
        _draw_model(axes, [row for row in rows if row["model"] == model], looks)
    _dress(axes, [row["frames_per_second"] for row in rows])
    axes.legend(
        handles=[Line2D([], [], label=name, **_marker(*look, hollow=False)) for name, look in looks.items()],
        loc="lower left", bbox_to_anchor=(0, 1), ncols=len(looks), frameon=False, fontsize=9, handletextpad=0.2,
        borderaxespad=0.2,
    )  # fmt: skip
    batch = rows[0]["batch"]
    figure.supxlabel(
        f"{report['hardware']}; {batch} window{'s' * (batch > 1)} of 16 frames a pass, float32.\n"
        "NSS as the authors published it; factors are to torch eager.",
        fontsize=8, color="#555555", x=0.01, ha="left",
    )  # fmt: skip
    return figure


def _nss(row: Row) -> float | None:
    published = find_weights(row["model"])
    return published.figures.get("NSS") if published else None


def _draw_model(axes: Axes, rows: list[Row], looks: dict[str, tuple[str, str]]) -> None:
    """Draw a model's runtimes at its NSS, with its name left of the slowest and the speed-up right of the fastest."""
    by_speed = sorted(rows, key=lambda row: row["frames_per_second"])
    slow, fast = by_speed[0], by_speed[-1]
    hollow = slow["label"].startswith("S")
    ends = [slow["frames_per_second"], fast["frames_per_second"]]
    axes.plot(ends, [slow["nss"]] * 2, color="#bbbbbb", linewidth=1.2, zorder=1)
    for row in rows:
        axes.plot([row["frames_per_second"]], [row["nss"]], zorder=2, **_marker(*looks[row["runtime"]], hollow=hollow))
    for row, text, shift, side, weight in (
        (slow, slow["label"], -12, "right", "bold"),
        (fast, f"{fast['times_eager']:.1f}x", 12, "left", "normal"),
    ):
        axes.annotate(
            text, (row["frames_per_second"], row["nss"]), (shift, 0), textcoords="offset points", ha=side, va="center",
            fontsize=10, fontweight=weight,
        )  # fmt: skip


def _marker(colour: str, shape: str, *, hollow: bool) -> Row:
    face = "white" if hollow else colour
    return {
        "marker": shape, "color": colour, "markerfacecolor": face, "markersize": 9, "markeredgewidth": 1.8,
        "linestyle": "none",
    }  # fmt: skip


def _dress(axes: Axes, speeds: list[float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(speeds) / 1.8, max(speeds) * 1.6)
    low, high = axes.get_xlim()
    ticks = [step * 10**power for power in range(-2, 6) for step in _TICKS if low <= step * 10**power <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.margins(y=0.15)
    axes.set_xlabel("frames a second, forward pass alone (S hollow: a map a pass; M filled: 16 maps a pass)")
    axes.set_ylabel("NSS on DHF1K, validation")
    axes.grid(axis="x", color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
