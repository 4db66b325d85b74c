"""A model as one file that other software runs, held against torch before it is given a name."""

from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

from tinyhd_lib.data.transforms import Map, preprocess
from tinyhd_lib.data.video import read_frames
from tinyhd_lib.errors import BadInput
from tinyhd_lib.export.formats import FORMATS, Loaded, description
from tinyhd_lib.files import shipped
from tinyhd_lib.metrics import cc
from tinyhd_lib.models.graph import INPUTS, PARITY_TOLERANCE, FromClips, Input, exported_program
from tinyhd_lib.models.source import model_source
from tinyhd_lib.models.spec import CLIP_FRAMES
from tinyhd_lib.models.student import TinyHD

__all__ = ["FORMATS", "INPUTS", "Parity", "compare", "export_model"]

EXAMPLE = "pursuit.mp4"
CLIPS = 2  # more than one: a batch has to be free


class Parity(NamedTuple):
    """How near an exported model's maps are to those of eager torch.

    Attributes:
        difference: the greatest.
        cc: the least CC of two maps.
        maps: how many were compared.
    """

    difference: float
    cc: float
    maps: int

    def __str__(self) -> str:
        """Return it in a line."""
        found = f"greatest difference {self.difference:.1e}, least CC {self.cc:.6f}"
        return f"against torch, {self.maps} maps of {EXAMPLE}: {found}"


def export_model(
    model: TinyHD | str | Path, path: Path, to: str, takes: str = "clips", *, force: bool = False
) -> Parity:
    """Write a model in float32, load what was written, and hold its maps against eager torch's on a real clip.

    Args:
        model: a name of `list_models`, a checkpoint's path, or a model.
        path: of the file; an OpenVINO model has a second one beside it, ``.bin``.
        to: a name of `FORMATS`.
        takes: a name of `INPUTS`.
        force: replace what is there.

    Returns:
        How exact it is.

    Raises:
        BadInput: the weights cannot be used; there is no such format or input; what the format needs is not installed;
            the file is there already, or would be called what it is not; its maps differ by more than 1e-5. Then no
            file is left.
    """
    if to not in FORMATS:
        raise BadInput(f"`to={to}`: choose from {', '.join(FORMATS)}")
    if takes not in INPUTS:
        raise BadInput(f"`input={takes}`: choose from {', '.join(INPUTS)}")
    chosen = FORMATS[to]
    chosen.check_installed()
    if path.suffix != chosen.suffixes[-1]:
        raise BadInput(f"{path}: a model for {to} is a file {chosen.suffixes[-1]}")
    there = next((place for place in map(path.with_suffix, chosen.suffixes) if place.exists()), None)
    if there and not force:
        raise BadInput(f"{there}: is there already; give another `out`, or `force=True` to replace it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise BadInput(f"{path.parent}: a file is in the way of the folder; give another `out`") from error
    source = model_source(model)
    loaded, wanted = source.load(), INPUTS[takes]
    program = exported_program(wanted.module(loaded), wanted.example(), wanted.free)
    # On the same disk as its place, so that it can take that in one step.
    with TemporaryDirectory(dir=path.parent, prefix=".tinyhd-export-") as folder:
        made = Path(folder) / path.name
        chosen.write(program, made, wanted, description(source, wanted))
        parity = _parity(chosen.load(made), loaded, wanted)
        if not parity.difference <= PARITY_TOLERANCE:
            raise BadInput(
                f"{path}: not written, for its maps differ from torch's by {parity.difference:.1e} "
                f"({PARITY_TOLERANCE:.0e} is allowed; CC {parity.cc:.4f}); try another version of what runs it, or "
                "another `to`"
            )
        for suffix in chosen.suffixes:
            made.with_suffix(suffix).replace(path.with_suffix(suffix))
    return parity


def compare(found: Map, expected: Map) -> Parity:
    """Compare two arrays of maps (N, outputs, H, W); what is no number, or of another shape, differs infinitely."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return Parity(float("inf"), 0.0, 0)
    ours, theirs = (maps.reshape(-1, *expected.shape[-2:]) for maps in (found, expected))
    return Parity(float(np.abs(ours - theirs).max()), float(np.min(cc(ours, theirs))), len(ours))


def _parity(exported: Loaded, model: TinyHD, takes: Input) -> Parity:
    """Compare on clips of a video that comes with us."""
    images = [frame.image for frame in islice(read_frames(shipped("example_data", EXAMPLE)), CLIPS * CLIP_FRAMES)]
    frames = np.stack(images).reshape(CLIPS, CLIP_FRAMES, *images[0].shape)
    clips = np.ascontiguousarray(np.stack([[preprocess(image) for image in clip] for clip in frames]).swapaxes(1, 2))
    with torch.inference_mode():
        expected: Map = FromClips(model)(torch.from_numpy(clips)).numpy()
    return compare(exported(frames if takes.name == "frames" else clips), expected)
