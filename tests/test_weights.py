"""The weights that come with the project, and how they are stored."""

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import ROOT, random_model

from tinyhd_lib import BadInput, load_model, save_model
from tinyhd_lib.models.weights import DEFAULT_WEIGHTS, WEIGHTS, locate_weights, read_metadata

FOLDER = ROOT / "weights"
MOST_BYTES = 12 * 2**20
OWN = {name: weights for name, weights in WEIGHTS.items() if not weights.published}


@pytest.mark.parametrize("name", OWN)
def test_what_comes_with_the_project_is_whole(name: str) -> None:
    path = locate_weights(name)
    assert path == FOLDER / f"{OWN[name].file}.safetensors"
    assert load_model(name).spec == WEIGHTS[name].spec
    provenance = read_metadata(path)["provenance"]
    assert provenance["trained_by"] == "TinyHD Workbench"
    assert "/" not in json.dumps(provenance["recipe"]["teachers"])  # no paths of the training machine


@pytest.mark.parametrize("name", OWN)
def test_every_shipped_model_says_something_of_a_clip(name: str) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        saliency = load_model(name)(torch.randn(1, 3, 16, 192, 256)).map
    assert saliency.isfinite().all()
    assert saliency.std() > saliency.mean() / 10, "how bright maps are is left open by the losses"


def test_the_shipped_files_are_small_and_each_has_a_card() -> None:
    files = sorted(FOLDER.glob("*.safetensors"))
    assert [path.stem for path in files] == sorted(weights.file for weights in OWN.values())
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert all(path.with_suffix(".md").exists() for path in files)
    assert DEFAULT_WEIGHTS in OWN


@pytest.mark.parametrize("name", OWN)
def test_the_figures_of_a_card_are_those_of_the_raw_files(name: str) -> None:
    card = (FOLDER / f"{OWN[name].file}.md").read_text()
    raw = json.loads((ROOT / f"docs/results/held-out-{OWN[name].file}.json").read_bytes())
    figures = raw["figures"]["prediction"]
    for metric in ("NSS", "CC"):
        assert f"{figures[metric]['mean']:.3f}" in card
    assert WEIGHTS[name].sha256 in card
    assert re.search(r"licen[cs]e", card, flags=re.IGNORECASE)


def test_a_damaged_file_of_ours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, DEFAULT_WEIGHTS, WEIGHTS[DEFAULT_WEIGHTS]._replace(sha256="0" * 64))
    with pytest.raises(BadInput, match="damaged"):
        locate_weights(DEFAULT_WEIGHTS)


def test_a_file_of_ours_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "gone", WEIGHTS[DEFAULT_WEIGHTS]._replace(name="gone", file="gone"))
    with pytest.raises(BadInput, match=r"gone\.safetensors: missing; install"):
        locate_weights("gone")


def test_halving_keeps_the_model_and_what_it_says_of_itself(weights_file: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    save_model(load_model(weights_file), half, read_metadata(weights_file)["provenance"], half=True)
    assert load_model(half).spec.label == "M r8 D2"
    assert half.stat().st_size < 0.6 * weights_file.stat().st_size
    assert read_metadata(half) == read_metadata(weights_file)
    whole, halved = load_model(weights_file).state_dict(), load_model(half).state_dict()
    assert all(value.dtype == whole[name].dtype for name, value in halved.items())
    for name, value in halved.items():
        torch.testing.assert_close(value, whole[name], rtol=1e-3, atol=1e-6)


def test_what_float16_cannot_hold_is_not_halved(tmp_path: Path) -> None:
    model = random_model("d123m_rc4_rc1T")
    with torch.no_grad():
        model.fusion.weight[0] = 1e6
    save_model(model, tmp_path / "large.safetensors", {})
    with pytest.raises(BadInput, match="float16 cannot"):
        save_model(load_model(tmp_path / "large.safetensors"), tmp_path / "half.safetensors", {}, half=True)
    assert not (tmp_path / "half.safetensors").exists()
