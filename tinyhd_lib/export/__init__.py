"""A model as one file that other software runs, held against torch before it is given a name."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tinyhd_lib.errors import BadInput
from tinyhd_lib.export.formats import FORMATS, Description
from tinyhd_lib.export.parity import Parity, check_parity
from tinyhd_lib.models.graph import INPUTS, exported_program
from tinyhd_lib.runtime.base import model_source

if TYPE_CHECKING:
    from tinyhd_lib.models.student import TinyHD

__all__ = ["FORMATS", "INPUTS", "Parity", "export_model"]


def export_model(
    model: "TinyHD | str | Path", path: Path, to: str, takes: str = "clips", *, force: bool = False
) -> Parity:
    """Write a model in float32, load what was written, and hold its maps against eager torch's on a real clip.

    Args:
        model: a published name, a checkpoint's path, or a model.
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
    wanted = INPUTS[takes]
    program = exported_program(wanted.module(source.load()), wanted.example(), wanted.free)
    # On the same disk as its place, so that it can take that in one step.
    with TemporaryDirectory(dir=path.parent, prefix=".tinyhd-export-") as folder:
        made = Path(folder) / path.name
        chosen.write(program, made, Description.of(source, wanted))
        parity = check_parity(chosen.load(made), source, wanted, path)
        for suffix in chosen.suffixes:
            made.with_suffix(suffix).replace(path.with_suffix(suffix))
    return parity
