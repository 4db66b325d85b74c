"""Find, download and describe weights by name or path. Nothing here needs torch."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors import SafetensorError, safe_open

from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.files import git_blob_id, sha256, shipped
from tinyhd_lib.models.spec import MODEL_SPECS, PREPROCESSING, ModelSpec, Sampling

if TYPE_CHECKING:
    import pandas as pd

LICENCE_NOTE = "released by the paper's authors without a licence: for your own research, not for redistribution"
TEACHER_NOTE = "HD2S's file (CC BY-NC 4.0) has been missing at its authors' address since 2025; others can teach too"


class Weights(NamedTuple):
    """Named weights: a file of this project in ``weights/``, with its model card, or a published one.

    Attributes:
        name: of the weights.
        file: the file's name without its suffix, which is accepted as a name, too.
        parameters: the model's number of parameters.
        trained_on: data, and teachers if they are not the paper's, in a few words.
        git_blob: git's id of a published file, which verifies a download even if its SHA-256 is unknown.
        sha256: of the file, if known.
        model: the model's name in `MODEL_SPECS`, if it differs.
        figures: the authors' own scores on DHF1K's validation set (mean over frames, then videos).
    """

    name: str
    file: str
    parameters: int
    trained_on: str
    git_blob: str | None = None
    sha256: str | None = None
    model: str | None = None
    figures: Mapping[str, float] = {}

    @property
    def spec(self) -> ModelSpec:
        """Return the model's spec."""
        return MODEL_SPECS[self.model or self.name]

    @property
    def published(self) -> bool:
        """Return whether the file is published by the paper's authors; else it is this project's."""
        return self.git_blob is not None

    @property
    def url(self) -> str:
        """Return the address of a published file."""
        return f"https://github.com/feiyanhu/tinyHD/raw/main/weights/{self.file}.pth"

    @property
    def path(self) -> Path:
        """Return the path of a file of this project.

        Raises:
            BadInput: it is missing.
        """
        return shipped("weights", f"{self.file}.safetensors")

    def is_content_of(self, path: Path) -> bool:
        """Return whether a file has this content, by all known hashes."""
        return self.sha256 in {None, sha256(path)} and self.git_blob in {None, git_blob_id(path)}


_ROWS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
WEIGHTS = {name: Weights(name, **row) for name, row in _ROWS.items()}
"""All named weights, this project's first."""

DEFAULT_WEIGHTS = "workbench-s-r4"


def list_models() -> list[str]:
    """Return the names of weights that `load_model` and all other functions accept; this project's come first.

    Examples:
        >>> list_models()[:3]
        ['workbench-s-r4', 'workbench-m-r4', 'S-r1']
    """
    return list(WEIGHTS)


def weights_table() -> "pd.DataFrame":
    """Return a table of all weights, as text, one row each.

    NSS and CC are the authors' own, on DHF1K's validation set (mean over frames, then over videos).
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "name": each.name,
            "file": each.file,
            "model": each.spec.label,
            "parameters": f"{each.parameters:,}",
            "trained on": each.trained_on,
            "NSS": f"{each.figures['NSS']:.4f}" if each.figures else "-",
            "CC": f"{each.figures['CC']:.4f}" if each.figures else "-",
            "SHA-256 known": "yes" if each.sha256 else "no",
        }
        for each in WEIGHTS.values()
    )


def find_weights(name: str | Path) -> Weights | None:
    """Return the weights with this name or file name, None if there are none.

    Examples:
        >>> find_weights("d123m_rc4_rc1T").name
        'M-r4'
    """
    return next((each for each in WEIGHTS.values() if str(name) in {each.name, each.file}), None)


def locate_weights(name_or_path: str | Path) -> Path:
    """Return the file of a name or path; a published one that is not in the cache is downloaded.

    Raises:
        BadInput: there is no such name or file, a file of this project is damaged, or the download failed.
    """
    name, path, weights = str(name_or_path), Path(name_or_path), find_weights(name_or_path)
    if name.startswith("baseline:"):
        return Path(__file__).with_name("baselines.py")
    if weights and weights.published:
        return download(weights)
    if weights:
        if not weights.is_content_of(weights.path):
            raise BadInput(f"{weights.path}: damaged (its checksum differs); fetch it anew")
        return weights.path
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise BadInput(f"{path}: no such weights file")
    names = [known for each in WEIGHTS.values() for known in (each.name, each.file)]
    near = get_close_matches(name, names, n=3, cutoff=0.4) or list_models()
    raise BadInput(f"weights {name!r}: no such name; the nearest are {', '.join(near)} (all: list_models())")


def get_published(name: str) -> Path:
    """Return the verified file of published weights, downloaded if need be.

    Raises:
        BadInput: it is not a name of published weights, or the download failed.
    """
    path, weights = locate_weights(name), find_weights(name)
    if weights is None or not weights.published:
        raise BadInput(f"{name}: a file, not the name of published weights")
    return path


def short_names(weights: Sequence[str], least: int = 1) -> dict[str, str]:
    """Return several weights by short names, which can name a folder or a column.

    Args:
        weights: names or paths.
        least: least number of weights.

    Returns:
        each by its name or its file's name, preceded by its folder's name if two files have the same name.

    Raises:
        BadInput: they are too few, or one occurs twice.

    Examples:
        >>> short_names(["workbench-m-r4", "runs/a/best.safetensors", "runs/b/best.safetensors"])
        {'workbench-m-r4': 'workbench-m-r4', 'a_best': 'runs/a/best.safetensors', 'b_best': 'runs/b/best.safetensors'}
    """
    if len(weights) < least:
        raise BadInput(f"weights {list(weights)}: name {least} or more")
    own = [Path(each).stem.replace(":", "_") for each in weights]
    found: dict[str, str] = {}
    for name, each in zip(own, weights, strict=True):
        short = name if own.count(name) == 1 else f"{Path(each).parent.name}_{name}"
        if short in found:
            raise BadInput(f"weights {each}: two have the same name; name each model once, in a folder of its own")
        found[short] = each
    return found


def download(weights: Weights) -> Path:
    """Return the path of a published file in the cache; it is downloaded if it is missing or damaged.

    The content is verified before the file appears under its name; a wrong one is discarded.

    Raises:
        BadInput: it cannot be downloaded, or its content is not the published one.
    """
    from pooch import HTTPDownloader

    from tinyhd_lib.cache import Cache

    def fetch(path: Path) -> None:
        HTTPDownloader(progressbar=True, timeout=30)(weights.url, str(path), None)
        if not weights.is_content_of(path):
            raise BadInput(f"{weights.url}: not the published file (its checksum differs); nothing was kept")

    try:
        return Cache("weights").file(f"{weights.file}.pth", fetch)
    except OSError as error:  # as requests' errors are
        told = f"weights {weights.name!r}: cannot be downloaded from {weights.url} ({type(error).__name__})"
        remedy = "fetch that file by other means and give its path in place of the name"
        raise BadInput(f"{told}; {remedy}") from error


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a workbench file: ``spec``, ``sampling``, ``preprocessing`` and ``provenance``.

    Raises:
        BadInput: it was not written by the workbench.
    """
    wrong = f"{path}: damaged, or without the metadata of a file written by TinyHD Workbench"
    with refusing(wrong, SafetensorError, KeyError, ValueError, TypeError, RecursionError, OSError):
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        return {key: json.loads(metadata[key]) for key in ("spec", "sampling", "preprocessing", "provenance")}


def model_of_file(path: Path) -> tuple[ModelSpec, Sampling]:
    """Return the spec and the default sampling of the model in a workbench file.

    Raises:
        BadInput: spec or sampling are invalid, or it is made for another preprocessing.
    """
    metadata = read_metadata(path)
    if metadata["preprocessing"] != PREPROCESSING:
        raise BadInput(f"{path}: made for another preprocessing, {metadata['preprocessing']}")
    with refusing(f"{path}: its metadata name no valid model", TypeError, ValueError):
        return ModelSpec(**metadata["spec"]), Sampling(**metadata["sampling"])


def recognise_file(path: Path) -> Weights | None:
    """Return the published weights whose file is identical to this one; None for any other file."""
    blob = git_blob_id(path)
    return next((each for each in WEIGHTS.values() if each.git_blob == blob), None)
