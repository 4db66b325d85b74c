"""Checkpoints: strict keys, recognition of models, our own format, and downloads that are verified before use."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from conftest import RELEASED, needs_shared, published_file, published_state, random_model
from safetensors.torch import load_file, save_file

from tinyhd_lib import (
    MODEL_SPECS,
    BadInput,
    ModelSpec,
    build_teacher,
    load_model,
    load_published_state,
    load_published_teacher_state,
)
from tinyhd_lib.files import git_blob_id, sha256
from tinyhd_lib.models import weights as weights_module
from tinyhd_lib.models.checkpoints import convert, recognise_spec
from tinyhd_lib.models.weights import (
    WEIGHTS,
    Weights,
    download,
    find_weights,
    list_models,
    locate_weights,
    read_metadata,
)


def test_missing_surplus_and_misshapen_keys_are_named() -> None:
    state = published_state("d123s_rc4_rc1T")
    del state["decoder.decoder.0.bias"]
    state["something.else"] = torch.zeros(1)
    state["encoder.encoder.0.1.bias"] = torch.zeros(5)
    with pytest.raises(BadInput) as refusal:
        load_published_state(random_model("d123s_rc4_rc1T"), state)
    for part in ("1 keys missing (decoder.decoder.0.bias)", "1 keys surplus (something.else)"):
        assert part in str(refusal.value)
    assert "encoder.encoder.0.1.bias (5,) instead of (8,)" in str(refusal.value)


def test_the_keys_of_another_teacher_are_named() -> None:
    with pytest.raises(BadInput, match=r"868 keys missing .*1 keys surplus \(other\)"):
        load_published_teacher_state(build_teacher(), {"other": torch.zeros(1)})


@pytest.mark.parametrize("row", [name for name in MODEL_SPECS if name not in {"d123_allM_rc4", "d1d2d3_M_lt"}])
def test_a_model_is_recognised_from_its_shapes(row: str) -> None:
    spec = MODEL_SPECS[row]
    # Shapes do not tell the outputs of an M model, nor which of its decoders are multi-map.
    if spec.multi:
        usual = tuple(name == "d1" and len(spec.decoders) > 1 for name in spec.decoders)
        spec = replace(spec, single_frame=usual, force_multi=False, outputs=16)
    assert recognise_spec(published_state(row)) == spec


@pytest.mark.parametrize("state", [{}, {"features.0.0.weight": torch.zeros(1)}])
def test_what_is_no_student_is_not_recognised(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(BadInput, match="not a TinyHD student"):
        recognise_spec(state)


def test_a_converted_file_is_enough_to_run(tmp_path: Path) -> None:
    source = published_file(tmp_path / "mine.pth")
    target = tmp_path / "mine.safetensors"
    convert(source, target)
    metadata = read_metadata(target)
    assert ModelSpec(**metadata["spec"]) == MODEL_SPECS["d123m_rc4_rc1T"]
    assert metadata["provenance"]["sha256"] == sha256(source)
    assert metadata["preprocessing"]["size"] == [192, 256]
    clip = torch.randn(1, 3, 16, 64, 64)
    with torch.no_grad():
        assert torch.equal(load_model(target)(clip).map, load_model(source)(clip).map)


SAVE = """
import torch
from pathlib import Path
from tinyhd_lib import MODEL_SPECS, build_model, save_model
torch.manual_seed(0)
words = {"zebra": 1, "ant": ["é", {"y": 1, "x": 2}], "recipe": {}}
save_model(build_model(MODEL_SPECS["d2_S"]), Path(path), words)
"""


@pytest.mark.slow
def test_equal_weights_are_equal_files_in_every_process(tmp_path: Path) -> None:
    """The files of this process and of one with another hash seed, which orders sets differently, are equal."""
    exec(SAVE, {"path": tmp_path / "0"})
    program, environment = f"import sys; path = sys.argv[1]\n{SAVE}", os.environ | {"PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "1")], check=True, env=environment)
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()
    assert read_metadata(tmp_path / "0")["provenance"] == {"zebra": 1, "ant": ["é", {"y": 1, "x": 2}], "recipe": {}}
    assert all(torch.isfinite(value).all() for value in load_file(tmp_path / "0").values())


@needs_shared
def test_a_released_file_is_known_by_its_content(tmp_path: Path) -> None:
    for row in ("d123m_rc4_rc1T", "d123s_rc4_rc1T"):
        released = RELEASED / f"{row}.pth"
        assert git_blob_id(released) == find_weights(row).git_blob
        assert sha256(released) == find_weights(row).sha256
        renamed = tmp_path / "renamed.pth"
        renamed.write_bytes(released.read_bytes())
        convert(renamed, tmp_path / "renamed.safetensors")
        assert read_metadata(tmp_path / "renamed.safetensors")["provenance"]["published_as"] == row
        assert load_model(renamed).spec == MODEL_SPECS[row]


class _Planted:
    """An object that runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code from the checkpoint was run')",))


def test_a_pickle_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"student_model": _Planted()}, path)
    with pytest.raises(BadInput, match="not a checkpoint that can be read safely"):
        load_model(path)


def damaged_files(folder: Path) -> Iterator[tuple[Path, str]]:
    whole = published_file(folder / "whole.pth").read_bytes()
    (folder / "cut.pth").write_bytes(whole[: len(whole) // 2])
    yield folder / "cut.pth", "or damaged"
    (folder / "text.pth").write_text("no checkpoint")
    yield folder / "text.pth", "or damaged"
    (folder / "empty.pth").write_bytes(b"")
    yield folder / "empty.pth", "or damaged"
    torch.save({"epoch": 3}, folder / "no_state.pth")
    yield folder / "no_state.pth", "no state dict"
    torch.save(build_teacher().state_dict() | {"featureExtractor.x": torch.zeros(1)}, folder / "teacher.pth")
    yield folder / "teacher.pth", "this is the teacher HD2S"
    (folder / "cut.safetensors").write_bytes(b"12345678")
    yield folder / "cut.safetensors", "damaged, or without the metadata"
    save_file({"x": torch.zeros(1)}, folder / "foreign.safetensors")
    yield folder / "foreign.safetensors", "without the metadata"


def test_a_damaged_or_foreign_file_is_refused_with_its_name(tmp_path: Path) -> None:
    for path, reason in damaged_files(tmp_path):
        with pytest.raises(BadInput, match=reason) as refusal:
            load_model(path)
        assert str(path) in str(refusal.value)


def test_own_weights_that_do_not_fit_their_metadata_are_refused(weights_file: Path, tmp_path: Path) -> None:
    metadata = {key: json.dumps(value) for key, value in read_metadata(weights_file).items()}
    metadata["spec"] = json.dumps(MODEL_SPECS["d123s_rc4_rc1T"].to_dict())
    save_file(load_file(weights_file), tmp_path / "mixed.safetensors", metadata)
    with pytest.raises(BadInput, match="do not fit the model that its metadata names"):
        load_model(tmp_path / "mixed.safetensors")


@pytest.mark.parametrize("spec", [{"reduction": 3}, {"colour": "blue"}, "M r4"])
def test_own_weights_of_no_model_are_refused(spec: object, weights_file: Path, tmp_path: Path) -> None:
    metadata = {key: json.dumps(value) for key, value in read_metadata(weights_file).items()}
    metadata["spec"] = json.dumps(spec)
    save_file(load_file(weights_file), tmp_path / "none.safetensors", metadata)
    with pytest.raises(BadInput, match=r"none\.safetensors: its metadata"):
        load_model(tmp_path / "none.safetensors")


def test_own_weights_for_another_preprocessing_are_refused(weights_file: Path, tmp_path: Path) -> None:
    metadata = {key: json.dumps(value) for key, value in read_metadata(weights_file).items()}
    metadata["preprocessing"] = json.dumps({"size": [96, 128]})
    save_file(load_file(weights_file), tmp_path / "other.safetensors", metadata)
    with pytest.raises(BadInput, match="another preprocessing"):
        load_model(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("d123m_rc4", "d123m_rc4_rc1T"), ("ucf_d123", "ucf_d123s"), ("M-r3", "M-r4"), ("workbench", "workbench-s-r4")],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(BadInput, match=f"no such name; the nearest are .*{nearest}"):
        load_model(name)


def test_every_model_is_known_by_its_name_and_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "download", lambda weights: Path(weights.name))
    assert list_models() == list(WEIGHTS)
    assert list_models()[:2] == ["workbench-s-r4", "workbench-m-r4"]
    for name, weights in WEIGHTS.items():
        assert weights.name == name
        assert find_weights(name) is find_weights(weights.file) is weights
        assert locate_weights(name) == locate_weights(weights.file)
        if weights.published:
            assert weights.spec == MODEL_SPECS[weights.file] == MODEL_SPECS[name]


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match=r"weights/mine\.pth: no such weights file"):
        load_model("weights/mine.pth")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Weights]]:
    """A file served by a local web server, and the registry row that describes it."""
    folder = tmp_path / "served"
    folder.mkdir()
    source = published_file(folder / "d123m_rc4_rc1T.pth")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    url = f"http://127.0.0.1:{server.server_address[1]}/{source.name}"
    monkeypatch.setattr(Weights, "url", property(lambda _: url))
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path / "cache"))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield source, WEIGHTS["M-r4"]._replace(git_blob=git_blob_id(source), sha256=sha256(source))
    server.shutdown()
    server.server_close()
    thread.join()


def kept_in(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_download_is_verified_cached_and_mended(served: tuple[Path, Weights]) -> None:
    source, row = served
    path = download(row)
    assert sha256(path) == sha256(source)
    path.write_bytes(b"damaged in the cache")
    assert sha256(download(row)) == sha256(source)
    source.unlink()
    assert download(row) == path  # from the cache


def test_a_download_of_other_content_is_refused_and_leaves_nothing(
    served: tuple[Path, Weights], tmp_path: Path
) -> None:
    source, row = served
    source.write_bytes(source.read_bytes()[:-1])
    with pytest.raises(BadInput, match="not the published file"):
        download(row)
    assert kept_in(tmp_path / "cache") == []


@pytest.mark.parametrize("hash_name", ["git_blob", "sha256"])
def test_a_download_must_match_every_hash_that_is_known(
    hash_name: str, served: tuple[Path, Weights], tmp_path: Path
) -> None:
    _, row = served
    with pytest.raises(BadInput, match="its checksum differs"):
        download(row._replace(**{hash_name: "0" * 40}))
    assert kept_in(tmp_path / "cache") == []


def test_a_failed_download_says_where_the_file_is(served: tuple[Path, Weights], tmp_path: Path) -> None:
    source, row = served
    source.unlink()
    with pytest.raises(BadInput, match=r"cannot be downloaded from http://127.*give its path"):
        download(row)
    assert kept_in(tmp_path / "cache") == []


def test_a_git_blob_id_is_gits(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"what is up, doc?")
    assert git_blob_id(tmp_path / "file") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
    assert sha256(tmp_path / "file") == hashlib.sha256(b"what is up, doc?").hexdigest()
