"""Checkpoint files: found by name or path, downloaded and verified, read and written.

Our own files are safetensors whose metadata carries the model's row, the preprocessing and the provenance, so that a
file alone is enough to run. Published files are pickles, which are only ever read weights-only.
"""

import json
import logging
import os
import pickle
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pooch
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import git_blob_id, sha256, write_atomically
from tinyhd_lib.models.published import (
    LICENCE_NOTE,
    PUBLISHED,
    PublishedWeights,
    load_published_state,
    recognise_spec,
)
from tinyhd_lib.models.spec import PREPROCESSING, ModelSpec
from tinyhd_lib.models.student import TinyHD, build_model

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where downloads and converted models are kept: ``$TINYHD_CACHE``, or the system's cache folder."""
    return Path(os.environ.get("TINYHD_CACHE") or pooch.os_cache("tinyhd"))


def load_model(name_or_path: str | Path) -> TinyHD:
    """A trained student, ready for inference.

    Args:
        name_or_path: a name of `PUBLISHED` (downloaded if need be), or the path of a ``.safetensors`` or a published
            ``.pth`` file; the model of an unnamed ``.pth`` is recognised from its shapes.

    Raises:
        BadInput: the name is unknown, or the file is missing, damaged, or holds another model.
    """
    path = locate_weights(name_or_path)
    read = _read_own if path.suffix == ".safetensors" else _read_published
    return read(path).eval()


def locate_weights(name_or_path: str | Path) -> Path:
    """The file behind a name or path; a published file that is not in the cache is downloaded.

    Raises:
        BadInput: there is no such name or file, or the download failed.
    """
    text = str(name_or_path)
    path = Path(name_or_path)
    if text in PUBLISHED:
        return download(PUBLISHED[text])
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise BadInput(f"{path}: no such weights file")
    nearest = get_close_matches(text, PUBLISHED, n=3, cutoff=0.4) or list(PUBLISHED)
    raise BadInput(f"weights {text!r}: no such name; the nearest are {', '.join(nearest)} (all: tinyhd weights list)")


def download(weights: PublishedWeights) -> Path:
    """Fetch a published file into the cache, unless it is there already.

    The content is verified before the file appears under its name; what does not match is discarded.

    Raises:
        BadInput: it cannot be fetched, or its content is not the published one.
    """
    folder = cache_folder() / "weights"
    file_name = f"{weights.name}.pth"
    if (folder / file_name).exists() and git_blob_id(folder / file_name) != weights.git_blob:
        logger.warning("%s is damaged: fetching it again", folder / file_name)
        (folder / file_name).unlink()

    def fetch_verified(url: str, output_file: str, registry: pooch.Pooch) -> None:
        pooch.HTTPDownloader(progressbar=True, timeout=30)(url, output_file, registry)
        if git_blob_id(Path(output_file)) != weights.git_blob:
            raise BadInput(f"{url}: not the published file (its git blob id differs); nothing was kept")

    source = pooch.create(folder, "", {file_name: None}, urls={file_name: weights.url}, retry_if_failed=2)
    try:
        return Path(source.fetch(file_name, downloader=fetch_verified))
    except BadInput:
        raise
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise BadInput(
            f"weights {weights.name!r}: cannot be downloaded from {weights.url} ({type(error).__name__}); "
            "fetch that file by other means and give its path"
        ) from error


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a published pickle, read weights-only (no code in it is run).

    Raises:
        BadInput: it is no such file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BadInput(f"{path}: not a checkpoint that can be read safely, or damaged") from error
    state = content.get("student_model", content) if isinstance(content, dict) else {}
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise BadInput(f"{path}: no state dict in this checkpoint")
    return state


def save_model(model: TinyHD, path: Path, provenance: Mapping[str, Any]) -> None:
    """Write one of our own files, whole or not at all.

    Args:
        model: the student.
        path: of the ``.safetensors`` file.
        provenance: where the weights come from, as JSON-ready values.
    """
    metadata = {"spec": model.spec.to_dict(), "preprocessing": PREPROCESSING, "provenance": dict(provenance)}
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    content = safetensors.torch.save(state, {key: json.dumps(value) for key, value in metadata.items()})
    write_atomically(path, content)


def convert(path: Path, out: Path) -> TinyHD:
    """Turn a published pickle into one of our own files.

    Raises:
        BadInput: see `load_model`.
    """
    model = _read_published(path)
    known = _published_row(path)
    provenance = {"converted_from": path.name, "sha256": sha256(path), "git_blob": git_blob_id(path)}
    if known:
        provenance |= {"published_as": known.name, "source": known.url, "dataset": known.dataset}
        provenance["licence"] = LICENCE_NOTE
    save_model(model, out, provenance)
    return model


def read_metadata(path: Path) -> dict[str, Any]:
    """What one of our own files says of itself: ``spec``, ``preprocessing`` and ``provenance``.

    Raises:
        BadInput: it is not one of our files.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return {key: json.loads(metadata[key]) for key in ("spec", "preprocessing", "provenance")}
    except (SafetensorError, KeyError, ValueError) as error:
        raise BadInput(f"{path}: damaged, or without the metadata of a file written by TinyHD Workbench") from error


def _read_own(path: Path) -> TinyHD:
    metadata = read_metadata(path)
    if metadata["preprocessing"] != PREPROCESSING:
        raise BadInput(f"{path}: made for another preprocessing, {metadata['preprocessing']}")
    model = build_model(ModelSpec(**metadata["spec"]))
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise BadInput(f"{path}: its weights do not fit the model that its metadata names") from error
    return model


def _read_published(path: Path) -> TinyHD:
    state = read_state(path)
    if any(key.startswith("featureExtractor.") for key in state):
        raise BadInput(f"{path}: this is the teacher HD2S, not a student")
    known = _published_row(path)
    try:
        spec = known.spec if known else recognise_spec(state)
        model = build_model(spec)
        load_published_state(model, state)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    if not known:
        logger.warning("%s: not a published file; by its shapes it is taken for %s", path, spec.label)
    return model


def _published_row(path: Path) -> PublishedWeights | None:
    blob = git_blob_id(path)
    return next((row for row in PUBLISHED.values() if row.git_blob == blob), None)
