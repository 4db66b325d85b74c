"""Fixtures and helpers of all tests. Tests that need third-party material from ../shared are skipped without it.

Modules that take seconds to import are imported late: the process that distributes tests to workers needs none of them.
"""

import ast
import gc
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import torch

    from tinyhd_lib import TinyHD
    from tinyhd_lib.data.synthetic import VideoSettings

settings.register_profile("suite", deadline=None)  # the time depends on how busy the machine is, not on the code
settings.load_profile("suite")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
REFERENCE = SHARED / "reference"
RELEASED = REFERENCE / "released"
CLIPS = SHARED / "clips"

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs the third-party material in ../shared")


def defined_in(notebook: str) -> dict[str, Any]:
    """The imports and functions of a notebook by name, without running its other code."""
    import nbformat

    names: dict[str, Any] = {}
    for cell in nbformat.read(ROOT / "notebooks" / notebook, 4).cells:
        if cell.cell_type == "code":
            tree = ast.parse("\n".join(line for line in cell.source.splitlines() if not line.startswith("%")))
            kept = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)]
            exec(compile(ast.Module(kept, []), notebook, "exec"), names)
    return names


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutants", type=int, default=100, help="how many damaged files are tried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked ``gpu`` if there is no GPU."""
    import torch

    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a GPU that torch can use"))


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several worker processes a single thread: with more, waiting for cores takes twenty times as long.

    Garbage collection is off during imports and test collection, whose objects stay: it would take seconds. In large
    pages, torch gets memory for full-size passes in a fraction of the time.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    else:
        import torch

        # This must be set before the kernels are imported: without a GPU, the CPU interprets them.
        os.environ.setdefault("TRITON_INTERPRET", str(int(not torch.cuda.is_available())))
        gc.disable()


def pytest_collection_finish() -> None:
    """Turn garbage collection on, for objects made from here on."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep downloads and conversions of the tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYHD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def quick_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the plots of an evaluation's page, which take half of the time."""
    from matplotlib.figure import Figure

    for plot in ("set_plots", "timelines"):
        monkeypatch.setattr(f"tinyhd_lib.evaluation.page.{plot}", lambda _: Figure((1, 1)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, with software rendering."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--enable-unsafe-swiftshader"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def reference_fill() -> Callable[[dict[str, Any]], dict[str, "torch.Tensor"]]:
    """The reproducible weights with which the golden outputs were made."""
    import torch

    sys.path.insert(0, str(REFERENCE))
    from deterministic_weights import fill

    return lambda shapes: {name: torch.from_numpy(array) for name, array in fill(shapes).items()}


@pytest.fixture(scope="session")
def reference_clip() -> Callable[..., "torch.Tensor"]:
    """The reproducible input with which the golden outputs were made."""
    import torch

    sys.path.insert(0, str(REFERENCE))
    from deterministic_weights import clip

    return lambda **options: torch.from_numpy(clip(**options))


def video_settings(folder: Path) -> dict[str, "VideoSettings"]:
    """The settings from which each video of a made-up set was generated, by name."""
    from pydantic import TypeAdapter

    from tinyhd_lib.data.synthetic import RECORD_NAME, VideoSettings

    record = json.loads((folder / RECORD_NAME).read_bytes())
    return TypeAdapter(dict[str, VideoSettings]).validate_python(record["videos"])


def random_model(row: str) -> "TinyHD":
    """A model with random weights, the same ones every time."""
    import torch

    from tinyhd_lib import MODEL_SPECS, build_model

    torch.manual_seed(0)
    return build_model(MODEL_SPECS[row]).eval()


def shape_of(row: str) -> "TinyHD":
    """The same model on torch's meta device: shapes without values."""
    import torch

    with torch.device("meta"):
        return random_model(row)


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of ours with random weights: the quickest of the models that give sixteen maps."""
    from tinyhd_lib import save_model

    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_model(random_model("M-r8-D2"), path, {"note": "random weights, for tests"})
    return path


def moving_dot(count: int, height: int = 72, width: int = 96) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) of a bright dot that wanders over noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    for index in range(count):
        row, column = height * (0.5 + 0.3 * np.sin(index / 5)), width * (0.5 + 0.3 * np.cos(index / 7))
        dot = 200 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 50)
        yield (dot[..., None] + rng.integers(0, 40, (height, width, 3))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def video_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 40 frames, 96x72, at 30000/1001 frames a second."""
    from tinyhd_lib.data.writer import VideoWriter

    path = tmp_path_factory.mktemp("video") / "dot.mp4"
    rate = Fraction(30000, 1001)
    with VideoWriter(path, rate) as film:
        for index, image in enumerate(moving_dot(40)):
            film.write(image, float(index / rate))
    return path


def write_sound(path: Path, pictures: int = 0, codec: str = "aac", rate: int = 48000) -> None:
    """Write one second of sound, and as many pictures as asked for."""
    with av.open(str(path), "w") as container:
        audio = container.add_stream(codec, rate=rate)
        video = None
        if pictures:
            video = container.add_stream("libx264", rate=25)
            video.width, video.height, video.pix_fmt = 96, 72, "yuv420p"
            for image in moving_dot(pictures):
                container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(video.encode(None))
        tone = np.sin(np.arange(rate) / 20).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def published_state(row: str) -> dict[str, "torch.Tensor"]:
    """A published-format state dict with random weights."""
    from tinyhd_lib.models.checkpoints import _published_name

    model = random_model(row)
    return {_published_name(name, model.spec): tensor for name, tensor in model.state_dict().items()}


def published_file(path: Path, row: str = "d123m_rc4_rc1T") -> Path:
    """A checkpoint in the authors' format, with random weights."""
    import torch

    torch.save({"student_model": published_state(row)}, path)
    return path


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Small made-up data sets by kind. Tests share them and must not change them."""
    from tinyhd_lib.data.synthetic import synthesise

    root = tmp_path_factory.mktemp("made_up")

    def make(kind: str) -> Path:
        if not (root / kind).exists():
            list(synthesise(kind, root / kind, frames=20))
        return root / kind

    return make


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Made-up data sets: one video per split, longer than a clip. Tests share them and must not change them."""
    from tinyhd_lib.data.synthetic import synthesise

    root = tmp_path_factory.mktemp("tiny")

    def make(kind: str) -> Path:
        if not (root / kind).exists():
            list(synthesise(kind, root / kind, videos=1, frames=18))
        return root / kind

    return make


@pytest.fixture(scope="module")
def small_views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let students be validated on frames of 64x64, of which a pass takes a tenth of the time that 192x256 take."""
    from tinyhd_lib.data import clips

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "INPUT_SIZE", (64, 64))
        patch.setitem(clips.VIEWS, "whole", (64, 64))
        patch.setenv("TINYHD_CACHE", str(tmp_path_factory.mktemp("cache")))  # where frames are kept by their video
        yield
