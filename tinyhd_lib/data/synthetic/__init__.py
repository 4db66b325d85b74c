"""Small made-up data sets in the layouts of the real ones, with observers whose true density is known.

    for video in synthesise("dhf1k", Path("made_up")):
        ...  # as many as there are splits x videos
    clip = VideoSettings(**json.loads(Path("made_up/synthetic.json").read_bytes())["videos"]["0601"]).clip()
    density(clip, 0)  # (H, W): where observers look in the first frame of video 601, exactly

The same arguments give the same bytes (those of videos as far as the same encoders run on the same machine).
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinyhd_lib.data.layouts import DHF1K_SPLITS
from tinyhd_lib.data.synthetic.files import SMALLEST, WRITERS, Order
from tinyhd_lib.data.synthetic.scenes import GazeModel
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import appears_whole

KINDS = tuple(WRITERS)
"""The layouts that can be written."""

RECORD_NAME = "synthetic.json"
"""The file that says that a set is made up, and of what."""


def synthesise(kind: str, folder: Path, **options: Any) -> Iterator[Path]:
    """Write a data set; it happens while you iterate, and the folder appears, whole, after the last video.

    Args:
        kind: one of `KINDS`.
        folder: the root of the set, which must not exist, or be empty.
        options: of an `Order`: ``videos``, ``frames``, ``size``, ``observers`` and ``seed``.

    Returns:
        where each video will be, file or folder, as soon as it is finished.

    Raises:
        BadInput: at once, if an argument cannot be used; nothing is written then.
        OSError: while writing (no space, no permission); nothing is left behind.
    """
    order = Order(**options)
    _check(kind, folder, order)
    return _build(kind, folder, order)


def synthesise_once(kind: str, folder: Path, **options: Any) -> Path:
    """Write a data set, unless the same one is there already; answers its folder.

    The arguments are those of `synthesise`.

    Raises:
        BadInput: an argument cannot be used, or something else is there.
    """
    if not (folder / RECORD_NAME).exists():
        for _ in synthesise(kind, folder, **options):
            pass
    record = json.loads((folder / RECORD_NAME).read_bytes())
    if (record["kind"], record["order"]) != (kind, json.loads(json.dumps(asdict(Order(**options))))):
        raise BadInput(f"{folder}: holds another made-up data set; name another folder, or remove it")
    return folder


def _check(kind: str, folder: Path, order: Order) -> None:
    if kind not in WRITERS:
        raise BadInput(f"kind {kind!r}: no such data set can be made up; choose from {', '.join(KINDS)}")
    for name, least in {"videos": 1, "frames": 1, "observers": 1, "seed": 0}.items():
        if getattr(order, name) < least:
            raise BadInput(f"{name} {getattr(order, name)}: too low; give {least} or more")
    most = min(len(split.numbers) for split in DHF1K_SPLITS)
    if kind == "dhf1k" and order.videos > most:
        raise BadInput(f"videos {order.videos}: DHF1K's splits have numbers for fewer; give at most {most}")
    height, width = order.size
    if min(height, width) < SMALLEST or height % 2 or width % 2:
        raise BadInput(f"size {height}x{width} (HxW): only even sides, with room for things; give {SMALLEST} or more")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: it exists and is not empty, and nothing is overwritten; name another folder")


def _build(kind: str, folder: Path, order: Order) -> Iterator[Path]:
    """Write everything beside its place, from where it moves there in one step."""
    with appears_whole(folder.absolute()) as partial:
        shutil.rmtree(partial, ignore_errors=True)  # what a killed run left behind
        partial.mkdir(parents=True)
        made = {}
        for name, path, recipe in WRITERS[kind](partial, order):
            made[name] = asdict(recipe)
            yield folder / path.relative_to(partial)
        record = {
            "synthetic": "made up by a program; the gaze is simulated, and nobody is to be seen",
            "kind": kind,
            "order": asdict(order),
            "habits": asdict(GazeModel()),
            "videos": made,
        }
        (partial / RECORD_NAME).write_text(json.dumps(record, indent=1))
        if folder.exists():
            folder.rmdir()
