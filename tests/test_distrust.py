"""Malformed and malicious files: each is refused in one line, with no more memory than its format may need."""

import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import random_model
from safetensors.torch import save_file
from scipy.io import savemat
from scipy.sparse import csc_matrix

from tinyhd_lib import BadInput, load_model, save_model
from tinyhd_lib.data.gaze import read_arrays, read_fixations
from tinyhd_lib.data.images import decode_image, read_grey
from tinyhd_lib.evaluation.predictions import read_any_map
from tinyhd_lib.models.checkpoints import _published_name
from tinyhd_lib.models.spec import PREPROCESSING

MODEL = "d123s_rc4_rc1T"


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """A state dict as the authors publish it."""
    model = random_model(MODEL)
    return {_published_name(name, model.spec): value.clone() for name, value in model.state_dict().items()}


# Weights


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"student_model": state, "epoch": 3},
        lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"model": {"x": torch.ones(1)}, "ema": state},
    ],
    ids=["plain", "student_model", "state_dict of several GPUs", "nested", "moving average"],
)
def test_what_trainers_wrap_weights_in_is_taken_off(
    wrap: Callable[[Any], Any], published: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save(wrap(published), tmp_path / "wrapped.pth")
    model = load_model(tmp_path / "wrapped.pth")
    for name, value in model.state_dict().items():
        assert torch.equal(value, published[_published_name(name, model.spec)])


CRAFTED: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "a tensor": lambda _state: torch.ones(3),
    "text": lambda _state: "weights",
    "a list": lambda state: list(state.values()),
    "numbers for names": lambda state: dict(enumerate(state.values())),
    "nothing": lambda _state: {},
    "text for a tensor": lambda state: state | {next(iter(state)): "x"},
    "a stem of no channels": lambda state: state | {"encoder.encoder.0.0.weight": torch.ones(0, 3, 1, 3, 3)},
    "a stem without dimensions": lambda state: state | {"encoder.encoder.0.0.weight": torch.tensor(1.0)},
    "itself": lambda state: {"model": {"model": {"model": {"epoch": 3}}}} | {"x": next(iter(state.values()))},
    "one NaN": lambda state: state | {"decoder.decoder.0.bias": torch.full((1,), torch.nan)},
    "one infinity": lambda state: state | {"decoder.decoder.0.bias": torch.full((1,), torch.inf)},
}


@pytest.mark.parametrize("what", CRAFTED)
def test_crafted_weights_are_one_line(what: str, published: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(CRAFTED[what](dict(published)), tmp_path / "crafted.pth")
    with pytest.raises(BadInput, match=r"crafted\.pth") as refused:
        load_model(tmp_path / "crafted.pth")
    assert "\n" not in str(refused.value)


def test_weights_of_ours_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = random_model(MODEL)
    with torch.no_grad():
        model.fusion.bias.fill_(torch.nan)
    save_model(model, tmp_path / "x.safetensors", {})
    with pytest.raises(BadInput, match="numbers that are not finite"):
        load_model(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"spec": json.dumps({"reduction": 4.0})},
        {"spec": json.dumps({"reduction": 4, "decoders": 3, "single_frame": [True]})},
        {"spec": "[" * 100_000},
        {"spec": "null"},
        {"preprocessing": "3"},
        {"sampling": "[]"},
        {},
    ],
    ids=["half a reduction", "no decoders", "deep JSON", "null", "preprocessing", "sampling", "nothing"],
)
def test_crafted_metadata_are_one_line(change: dict[str, str], tmp_path: Path) -> None:
    model = random_model(MODEL)
    words = {"spec": json.dumps(model.spec.to_dict()), "sampling": json.dumps(vars(model.sampling))}
    words |= {"preprocessing": json.dumps(PREPROCESSING), "provenance": "{}"}
    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors", {**words, **change} if change else {})
    with pytest.raises(BadInput, match=r"x\.safetensors") as refused:
        load_model(tmp_path / "x.safetensors")
    assert "\n" not in str(refused.value)


# Small files that expand to large ones


def png_of(width: int, height: int, rows: int) -> bytes:
    """A grey PNG whose header claims this size, but which holds only so many rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes((width + 1) * rows), 9))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(32_000, 32_000), (40_000, 40_000), (2**31 - 1, 1)])
def test_a_picture_that_says_it_is_huge_is_refused_before_it_is_unpacked(
    width: int, height: int, tmp_path: Path
) -> None:
    (tmp_path / "bomb.png").write_bytes(png_of(width, height, 0))
    with pytest.raises(BadInput, match=rf"{width}x{height} pixels are too many; if that is right, set TINYHD_MOST_PIX"):
        read_grey(tmp_path / "bomb.png")


def test_the_limit_can_be_raised_and_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.png").write_bytes(png_of(64, 64, 64))
    assert read_grey(tmp_path / "x.png").shape == (64, 64)
    monkeypatch.setenv("TINYHD_MOST_PIXELS", "4095")
    with pytest.raises(BadInput, match="64x64 pixels are too many"):
        read_grey(tmp_path / "x.png")
    monkeypatch.setenv("TINYHD_MOST_PIXELS", "1e9")
    with pytest.raises(BadInput, match="TINYHD_MOST_PIXELS=1e9: a whole number of pixels is needed"):
        read_grey(tmp_path / "x.png")


def test_a_picture_of_no_size_does_not_decode(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png_of(0, 0, 0))
    assert decode_image(tmp_path / "x.png", 0) is None


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYHD_MOST_PIXELS", "1000000")
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros(2 * 10**6))
    assert (tmp_path / "bomb.npz").stat().st_size < 3e4
    with pytest.raises(BadInput, match="unpacks to 16,000,"):
        read_arrays(tmp_path / "bomb.npz")


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_damaged_archive_is_one_line(kind: int, tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.arange(2000.0))
    with zipfile.ZipFile(tmp_path / "x.npz", "w", kind) as archive:
        archive.writestr("x.npy", content.getvalue())
    whole = bytearray((tmp_path / "x.npz").read_bytes())
    for place in range(60, 90):
        whole[place] ^= 0x5A
    (tmp_path / "x.npz").write_bytes(whole)
    with pytest.raises(BadInput, match=r"not an \.npz that can be read"):
        read_arrays(tmp_path / "x.npz")


def test_a_sparse_matrix_of_fixations_is_read(tmp_path: Path) -> None:
    seen = np.zeros((6, 8))
    seen[2, 3] = 1
    savemat(tmp_path / "x.mat", {"I": csc_matrix(seen)})
    np.testing.assert_array_equal(read_fixations(tmp_path / "x.mat"), seen > 0)
    np.testing.assert_array_equal(read_any_map(tmp_path / "x.mat"), seen)


def test_a_new_matlab_file_is_told_how_to_save_it(tmp_path: Path) -> None:
    (tmp_path / "x.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(BadInput, match="save it with -v7"):
        read_fixations(tmp_path / "x.mat")


# Any kind of file

FUZZED = """
import faulthandler, logging, random, resource, sys, traceback
faulthandler.enable()
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, resource.RLIM_INFINITY))
logging.disable(logging.CRITICAL)
from tinyhd_lib import BadInput, load_model
from tinyhd_lib.data.gaze import read_gaze, read_fixations
from tinyhd_lib.data.reader import VideoReader
from tinyhd_lib.data.video import count_frames_in, probe, read_frames
from tinyhd_lib.evaluation.predictions import read_any_map
from tinyhd_lib.records import read_record

def video(path):
    for task in (probe, count_frames_in, lambda path: [0 for _ in read_frames(path)]):
        task(path)
    with VideoReader(path) as reader:
        reader[reader.count // 2]

READERS = {".mp4": video, ".mkv": video, ".avi": video, ".ts": video, ".png": read_any_map, ".npz": read_gaze,
           ".mat": read_fixations, ".pth": load_model, ".safetensors": load_model,
           ".json": lambda path: read_record(path.parent)}
folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
whole = sorted(folder.iterdir())
place = folder / "mutants"
place.mkdir(exist_ok=True)
told, read = 0, 0
for seed in range(first, first + count):
    rng = random.Random(seed)
    source = rng.choice(whole)
    content = bytearray(source.read_bytes())
    for _ in range(rng.choice((1, 4, 40))):
        kind = rng.random()
        at = rng.randrange(len(content) or 1)
        if kind < 0.6 and content:
            content[at] = rng.randrange(256)
        elif kind < 0.8:
            del content[at : at + rng.randrange(1, 200)]
        else:
            content[at:at] = rng.randbytes(rng.randrange(1, 60))
    if rng.random() < 0.2:
        del content[rng.randrange(len(content) or 1) :]
    path = place / ("run.json" if source.suffix == ".json" else f"mutant{source.suffix}")
    path.write_bytes(content)
    (folder.parent / "seed").write_text(f"{seed} {source.name}")  # should it end the process
    try:
        READERS[source.suffix](path)
        read += 1
    except BadInput as error:
        assert "\\n" not in str(error), (seed, str(error))
        told += 1
    except Exception:
        print("seed", seed, source.name, file=sys.stderr)
        traceback.print_exc()
        sys.exit(1)
print(f"{count} mutants: {read} could be used, {told} were refused in one line")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on memory")
def test_mutants_are_read_or_refused_in_one_line(
    tmp_path: Path, video_file: Path, published: dict[str, torch.Tensor], request: pytest.FixtureRequest
) -> None:
    """By default 100 damaged files; ``pytest tests/test_distrust.py -k mutants --mutants 2000`` tries more."""
    from test_odd_videos import encode, joined, moving_dot, sparse, trimmed

    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for make in (joined, trimmed, sparse):
        make(seeds)
    encode(seeds / "film.mkv", moving_dot(12))
    (seeds / "film.mp4").write_bytes(video_file.read_bytes())
    (seeds / "map.png").write_bytes(png_of(32, 24, 24))
    np.savez_compressed(
        seeds / "gaze.npz", frame=[0, 1], viewer=[1, 2], x=[1.0, 2], y=[3.0, 4], frames=2, width=8, height=8
    )
    # Compressed, as MATLAB writes it: without the checksum, SciPy itself may crash on damaged content.
    savemat(seeds / "fixations.mat", {"I": np.eye(8)}, do_compression=True)
    torch.save(published, seeds / "weights.pth")
    save_model(random_model(MODEL), seeds / "weights.safetensors", {})
    (seeds / "run.json").write_text(json.dumps({"what": "predict", "key": {"a": [1, 2]}, "complete": True}))
    count = request.config.getoption("--mutants")
    command = [sys.executable, "-c", FUZZED, str(seeds), "0", str(count)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 + count)
    assert finished.returncode == 0, f"{(tmp_path / 'seed').read_text()}: {finished.stderr[-3000:]}"
    sys.stdout.write(finished.stdout)
