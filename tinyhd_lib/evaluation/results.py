"""The folder of an evaluation: what is written there, and how it is read again."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tinyhd_lib.errors import BadInput
from tinyhd_lib.evaluation.page import as_html
from tinyhd_lib.evaluation.plan import Plan
from tinyhd_lib.evaluation.summary import Summary
from tinyhd_lib.evaluation.text import as_latex
from tinyhd_lib.files import write_atomically
from tinyhd_lib.records import RECORD_NAME

SUMMARY_NAME = "summary.json"
TABLE_FORMATS = ("parquet", "csv")
RESULT_NAMES = (SUMMARY_NAME, RECORD_NAME, "videos.csv", "table.tex", "report.html", "frames.parquet", "frames.csv")


@dataclass(frozen=True)
class Results:
    """An evaluation that is done.

    Attributes:
        settings: what was scored, and how.
        table: a row for each predictor and frame.
    """

    settings: dict[str, Any]
    table: pd.DataFrame


def write_results(out: Path, summary: Summary, table: pd.DataFrame, plan: Plan, table_format: str) -> None:
    """Write all files of an evaluation; ``summary.json`` comes last and says that it is whole."""
    for name in (SUMMARY_NAME, *(f"frames.{each}" for each in TABLE_FORMATS)):
        (out / name).unlink(missing_ok=True)
    write_atomically(out / f"frames.{table_format}", _encoded(table, table_format))
    write_atomically(out / "videos.csv", _encoded(summary.videos, "csv"))
    write_atomically(out / "table.tex", as_latex(summary).encode())
    write_atomically(out / "report.html", as_html(summary, table, plan.pairs).encode())
    write_atomically(out / SUMMARY_NAME, json.dumps(summary.to_json(), indent=2, allow_nan=False).encode())


def read_settings(out: Path) -> dict[str, Any] | None:
    """The settings of the evaluation in a folder, None if there is none.

    Raises:
        BadInput: there is a ``summary.json``, and it is none of ours.
    """
    path = out / SUMMARY_NAME
    try:
        return dict(json.loads(path.read_bytes())["settings"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: not the summary of an evaluation; give another folder") from error


def read_results(out: Path) -> Results:
    """Read an evaluation again.

    Raises:
        BadInput: the folder holds none.
    """
    settings = read_settings(out)
    if settings is None:
        raise BadInput(f"{out}: holds no evaluation; make it with tinyhd evaluate PREDICTIONS KIND DIR --out {out}")
    readers = {"parquet": pd.read_parquet, "csv": lambda path: pd.read_csv(path, dtype={"video": str, "frame": str})}
    paths = [out / f"frames.{name}" for name in TABLE_FORMATS]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise BadInput(f"{out}: its table of frames is gone; run tinyhd evaluate again")
    try:
        return Results(settings, readers[path.suffix[1:]](path))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); run tinyhd evaluate again") from error


def _encoded(table: pd.DataFrame, table_format: str) -> bytes:
    if table_format == "csv":
        return table.to_csv(index=False, lineterminator="\n").encode()
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()
