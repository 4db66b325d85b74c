"""Weights as files: found by name or path, downloaded and verified, asked what they are. Nothing here needs torch."""

import json
import logging
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pooch
from safetensors import SafetensorError, safe_open

from tinyhd_lib.cache import cache_folder
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import git_blob_id, sha256, shipped
from tinyhd_lib.models.registry import OWN, PUBLISHED, Weights, find_weights
from tinyhd_lib.models.spec import ModelSpec

logger = logging.getLogger(__name__)

DOWNLOAD_ATTEMPTS = 3


def locate_weights(name_or_path: str | Path) -> Path:
    """Return the file behind a name or path: ours come with us, a published one that is not cached is downloaded.

    Raises:
        BadInput: there is no such name or file, or the download failed.
    """
    weights, path = find_weights(str(name_or_path)), Path(name_or_path)
    if weights:
        return download(weights) if weights.git_blob else _shipped(weights)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise BadInput(f"{path}: no such weights file")
    names = [*OWN, *PUBLISHED, *(each.name for each in (OWN | PUBLISHED).values())]
    nearest = get_close_matches(str(path), names, n=3, cutoff=0.4) or names
    raise BadInput(f"weights '{path}': no such name; the nearest are {', '.join(nearest)} (all: tinyhd weights list)")


def get_published(name: str) -> Path:
    """Return the verified file of published weights, downloaded if need be.

    Raises:
        BadInput: that is not their name, or the download failed.
    """
    if Path(name).is_file() or name in OWN:
        raise BadInput(f"{name}: a file, not the name of published weights")
    return locate_weights(name)


def short_names(weights: Sequence[str], least: int = 1) -> dict[str, str]:
    """Give each of several weights a short name that a folder or a column can have.

    Args:
        weights: names or paths.
        least: how many are needed.

    Returns:
        each by its name or its file's; by its folder's too, where two files have one name.

    Raises:
        BadInput: they are too few, or one is there twice.

    >>> short_names(["workbench_m_r4", "runs/a/best.safetensors", "runs/b/best.safetensors"])
    {'workbench_m_r4': 'workbench_m_r4', 'a_best': 'runs/a/best.safetensors', 'b_best': 'runs/b/best.safetensors'}
    """
    if len(weights) < least:
        raise BadInput(f"weights {list(weights)}: name {least} or more")
    own = [Path(each).stem for each in weights]
    names = [
        name if own.count(name) == 1 else f"{Path(each).parent.name}_{name}"
        for name, each in zip(own, weights, strict=True)
    ]
    repeated = next((each for name, each in zip(names, weights, strict=True) if names.count(name) > 1), None)
    if repeated is not None:
        raise BadInput(f"weights {repeated}: two go by one name; name each model once, in a folder of its own")
    return dict(zip(names, weights, strict=True))


def _shipped(weights: Weights) -> Path:
    """A file of ours, whole."""
    path = shipped("weights", f"{weights.file}.safetensors")
    if sha256(path) != weights.sha256:
        raise BadInput(f"{path}: damaged (its checksum differs); fetch it anew")
    return path


def download(weights: Weights) -> Path:
    """Fetch a published file into the cache, unless it is there already.

    The content is verified before the file appears under its name; what does not match is discarded.

    Raises:
        BadInput: it cannot be fetched, or its content is not the published one.
    """
    folder = cache_folder() / "weights"
    file_name = f"{weights.file}.pth"
    if (folder / file_name).exists() and not _is_published(folder / file_name, weights):
        logger.warning("%s is damaged: fetching it again", folder / file_name)
        (folder / file_name).unlink()

    def fetch_verified(url: str, output_file: str, registry: pooch.Pooch) -> None:
        pooch.HTTPDownloader(progressbar=True, timeout=30)(url, output_file, registry)
        if not _is_published(Path(output_file), weights):
            raise BadInput(f"{url}: not the published file (its checksum differs); nothing was kept")

    source = pooch.create(
        path=folder,
        base_url="",
        registry={file_name: None},
        urls={file_name: weights.url},
        retry_if_failed=DOWNLOAD_ATTEMPTS - 1,
    )
    try:
        return Path(source.fetch(file_name, downloader=fetch_verified))
    except BadInput:
        raise
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise BadInput(
            f"weights {weights.file!r}: cannot be downloaded from {weights.url} ({type(error).__name__}); "
            "fetch that file by other means and give its path (`weights`, or make demo WEIGHTS=PATH)"
        ) from error


def _is_published(path: Path, weights: Weights) -> bool:
    return git_blob_id(path) == weights.git_blob and weights.sha256 in (None, sha256(path))


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what one of our own files says of itself: ``spec``, ``preprocessing`` and ``provenance``.

    Raises:
        BadInput: it is not one of our files.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        return {key: json.loads(metadata[key]) for key in ("spec", "preprocessing", "provenance")}
    except (SafetensorError, KeyError, ValueError) as error:
        raise BadInput(f"{path}: damaged, or without the metadata of a file written by TinyHD Workbench") from error


def read_spec(path: Path) -> ModelSpec | None:
    """Return the row of a file that says it, or whose content is known; None for any other.

    Raises:
        BadInput: the file's metadata names no model.
    """
    if path.suffix != ".safetensors":
        published = published_row(path)
        return published.spec if published else None
    return own_spec(path, read_metadata(path))


def own_spec(path: Path, metadata: dict[str, Any]) -> ModelSpec:
    """Return the row that the metadata of one of our own files name.

    Raises:
        BadInput: they name no model.
    """
    try:
        return ModelSpec(**metadata["spec"])
    except (TypeError, ValueError) as error:
        raise BadInput(f"{path}: its metadata name {error}") from error


def published_row(path: Path) -> Weights | None:
    """Return the weights whose file this is, byte for byte; None for any other file."""
    blob = git_blob_id(path)
    return next((row for row in PUBLISHED.values() if row.git_blob == blob), None)
