"""Teachers: which window answers for which frame, the cache of answers, and models, map folders and means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import published_file, random_model

from tinyhd_lib import BadInput, TinyHD, build_teacher, save_model
from tinyhd_lib.data.clips import Clip, without
from tinyhd_lib.data.entries import Video
from tinyhd_lib.models.checkpoints import _TEACHER_PARTS
from tinyhd_lib.models.graph import normalised, planes
from tinyhd_lib.models.weights import TEACHER_NOTE
from tinyhd_lib.training import teachers
from tinyhd_lib.training.learner import build_student
from tinyhd_lib.training.models import open_model
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.samples import clip_count
from tinyhd_lib.training.teachers import Ensemble, MapTeacher, WindowTeacher, open_teacher

needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="OpenVINO is not installed")

SMALL = (32, 32)
S, M, EIGHT = "d123s_rc4_rc1T", "d123m_rc4_rc1T", "d123_M_8out"


@dataclass(frozen=True)
class NumberedSource:
    """A video whose frames' grey level is their number; the right half is brighter by 100."""

    count: int = 60
    digest: str = "numbered"
    labelled: bool = False
    first: int = 0

    @property
    def video(self) -> Video:
        return Video("numbered", "all", Path("numbered"), tuple(map(str, range(60))))

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        numbers = self.first + np.array(indices)
        found = np.zeros((len(indices), 4, 8, 3), np.uint8) + numbers.astype(np.uint8)[:, None, None, None]
        found[:, :, 4:] += 100
        return found

    def truth(self, indices: Sequence[int]) -> np.ndarray:
        return np.zeros((len(indices), 4, 8), np.float32)


class NumberModel:
    """A window model that answers with the number of its last frame, or of all its frames."""

    name = "numbers"

    def __init__(self, *, multi: bool = False, digest: str = "0123456789abcdef") -> None:
        self.multi, self.digest, self.calls = multi, digest, 0

    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        self.calls += 1
        assert frames.shape[0] == 16
        assert frames.dtype == np.uint8
        seen = frames[None, :, :4, :8, 0].astype(np.float32)[:, slice(None) if self.multi else slice(-1, None)]
        # D1 has a single map per level, as in an M model.
        first = np.stack([seen[0, -1:] / 7 + level for level in range(4)])
        return {"map": seen, "d1": first}


class InterruptedModel(NumberModel):
    """A model that is interrupted half-way through the windows of a cache file."""

    def __init__(self, after: int, **options: bool) -> None:
        super().__init__(**options)
        self.left = after

    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().__call__(frames)


def numbers(answer: dict[str, np.ndarray]) -> list[float]:
    """The frame numbers in the maps of an answer."""
    return answer["map"][0].min((1, 2)).tolist()


# Which window answers for which frame.

CLIPS = [
    Clip(0, 25),
    Clip(0, 20, step=2),
    Clip(0, 40, step=-1),
    Clip(0, 50, step=-2, flip=True),
    Clip(0, 25, flip=True),
    Clip(0, -3),
    Clip(0, 50),
]


@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize(("timing", "late"), [("aligned", 0), ("published", 1)])
def test_every_frame_is_answered_by_the_window_that_ends_there_or_a_frame_before(
    timing: str, late: int, clip: Clip
) -> None:
    source, teacher = NumberedSource(), WindowTeacher(NumberModel(), timing)
    # The last frame of each window, in the clip's own steps, clamped to the video.
    ends = [min(max(clip.start + clip.step * (frame - late), 0), 59) for frame in range(16)]
    answer = teacher.targets(source, clip)
    assert numbers(answer) == ends
    assert answer["map"].shape == (1, 16, 4, 8)
    assert answer["d1"].shape == (4, 16, 4, 8)
    for window, end in zip(teacher.windows(clip), ends, strict=True):
        assert window.indices(60)[-1] == end
        assert (window.step, window.flip) == (clip.step, clip.flip)
    bright = answer["map"][..., :4] if clip.flip else answer["map"][..., 4:]
    assert (bright == answer["map"].max((0, 2, 3), keepdims=True)).all()


@pytest.mark.parametrize("timing", ["aligned", "published"])
def test_a_student_of_the_last_frame_gets_the_answer_for_that(timing: str) -> None:
    source, clip = NumberedSource(), Clip(0, 25, step=2)
    single, multi = NumberModel(), NumberModel(multi=True)
    for model in (single, multi):
        answer = WindowTeacher(model, timing, single=True).targets(source, clip)
        assert numbers(answer) == [55]
        assert answer["d1"].shape == (4, 1, 4, 8)
        assert model.calls == 1


@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize("timing", ["aligned", "published"])
def test_a_model_of_whole_clips_answers_for_the_clip_itself(timing: str, clip: Clip) -> None:
    source, teacher = NumberedSource(), WindowTeacher(NumberModel(multi=True), timing)
    assert teacher.windows(clip) == [clip]
    answer = teacher.targets(source, clip)
    assert numbers(answer) == clip.indices(60)
    assert answer["d1"].shape == (4, 1, 4, 8)


# What is cached.


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for this test only."""
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path))
    return tmp_path


def run_all(teacher: WindowTeacher, clips: Sequence[Clip], sources: Sequence[object] = (NumberedSource(),)) -> int:
    jobs = teacher.prepare(sources, clips)
    for job in jobs:
        job()
    return len(jobs)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == np.float32 and np.allclose(one[name], other[name], rtol=1e-3, atol=0) for name in other
    )


@pytest.mark.parametrize("timing", ["aligned", "published"])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.usefixtures("kept")
def test_what_was_kept_equals_what_is_computed_live(timing: str, *, multi: bool, single: bool) -> None:
    model = NumberModel(multi=multi)
    teacher = WindowTeacher(model, timing, single=single, cache=True)
    live = WindowTeacher(NumberModel(multi=multi), timing, single=single)
    assert run_all(teacher, CLIPS) > 0
    calls = model.calls
    for clip in CLIPS:
        assert same(teacher.targets(NumberedSource(), clip), live.targets(NumberedSource(), clip))
    assert run_all(teacher, CLIPS) == 0
    assert model.calls == calls, "every answer came from the cache"


def test_a_teacher_without_a_cache_prepares_nothing() -> None:
    teacher = WindowTeacher(NumberModel())
    assert teacher.prepare([NumberedSource()], CLIPS) == []
    assert teacher.size(100) == 0


def test_windows_of_single_maps_share_files_and_whole_clips_have_their_own(kept: Path) -> None:
    clips = [Clip(0, start) for start in range(32, 37)]
    # Their windows start at 17 to 36: two files of 16 windows.
    single = NumberModel()
    assert run_all(WindowTeacher(single, cache=True), clips) == 2
    assert single.calls == 32
    # With the published timing, windows start at 16 to 35.
    assert run_all(WindowTeacher(single, "published", cache=True), clips) == 0
    multi = NumberModel(multi=True, digest="fedcba9876543210")
    assert run_all(WindowTeacher(multi, cache=True), clips) == 5
    assert multi.calls == 5
    assert len(list(kept.rglob("*.npz"))) == 2 + 5


def test_the_promised_size_is_that_of_the_files(kept: Path) -> None:
    source = NumberedSource(count=25)
    recipe = Recipe(model=M, auxiliary="folder", teachers=("x",), speeds=(1, -1), every=2)
    clips = [Clip(0, start, 1, flip) for start in range(0, 10, 2) for flip in (False, True)]
    clips += [Clip(0, start, -1, flip) for start in range(15, 25, 2) for flip in (False, True)]
    assert clip_count([source], recipe) == len(clips)
    teacher = WindowTeacher(NumberModel(multi=True), cache=True)
    promised = teacher.size(clip_count([source], recipe))
    run_all(teacher, clips, [source])
    written = 0
    for path in kept.rglob("*.npz"):
        with np.load(path) as answers:
            assert set(answers.files) == {"map", "d1"}
            written += sum(answers[name].nbytes for name in answers.files)
    assert promised == written


def test_videos_steps_flips_parts_and_models_do_not_mix(kept: Path) -> None:
    one, other = NumberedSource(), NumberedSource(digest="other")
    sources = [one, other, *(without(one, [f"numbered:0-{first}", "numbered:45-59"])[0] for first in (4, 5))]
    clips = [Clip(video, 20, step, flip) for video in range(4) for step in (1, 2, -1, -2) for flip in (False, True)]
    models = [NumberModel(multi=True), NumberModel(multi=True, digest="fedcba9876543210")]
    for model in models:
        teacher = WindowTeacher(model, cache=True)
        assert run_all(teacher, clips, sources) == len(clips)
        assert model.calls == len(clips)
        for clip in clips:
            live = WindowTeacher(NumberModel(multi=True)).targets(sources[clip.video], clip)
            assert same(teacher.targets(sources[clip.video], clip), live)
    assert len(list(kept.rglob("*.npz"))) == 2 * len(clips)


def test_an_interrupted_file_is_not_there_and_the_next_run_goes_on(kept: Path) -> None:
    clips = [Clip(0, start) for start in (15, 31, 47)]
    stopped = InterruptedModel(after=20)
    teacher = WindowTeacher(stopped, cache=True)
    with pytest.raises(KeyboardInterrupt):
        run_all(teacher, clips)
    assert [path.name for path in kept.rglob("*.npz")] == ["1_0.npz"]
    stopped.left = 100
    assert run_all(teacher, clips) == 2
    assert stopped.calls == 20 + 2 * 16
    live = WindowTeacher(NumberModel())
    assert all(same(teacher.targets(NumberedSource(), clip), live.targets(NumberedSource(), clip)) for clip in clips)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flipped", "foreign", "gone"])
@pytest.mark.parametrize("multi", [False, True])
def test_a_damaged_file_is_made_anew_with_one_line(
    kept: Path, damage: str, caplog: pytest.LogCaptureFixture, *, multi: bool
) -> None:
    teacher = WindowTeacher(NumberModel(multi=multi), cache=True)
    source, clip = NumberedSource(), Clip(0, 31)
    run_all(teacher, [clip])
    path = max(kept.rglob("*.npz"))
    whole = path.read_bytes()
    middle = len(whole) // 3
    flipped = whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 20]) + whole[middle + 20 :]
    if damage == "foreign":
        np.savez(path, map=np.float16(3))
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": whole[:-100], "empty": b"", "text": b"no archive", "flipped": flipped}[damage])
    live = WindowTeacher(NumberModel(multi=multi)).targets(source, clip)
    assert same(teacher.targets(source, clip), live)
    assert same(teacher.targets(source, clip), live)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ([] if damage == "gone" else [f"{path}: damaged, thrown away and made anew"])
    assert run_all(teacher, [clip]) == 0


def test_a_process_that_prepares_clips_leaves_what_is_missing_to_the_one_with_the_model(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model on a GPU or in OpenVINO does not work in a forked process."""
    teacher = WindowTeacher(NumberModel(multi=True), cache=True)
    monkeypatch.setattr(teachers, "get_worker_info", lambda: "a process that prepares clips")
    with pytest.raises(BadInput, match=r"1_31\.npz: a teacher's answers are missing; the next epoch"):
        teacher.targets(NumberedSource(), Clip(0, 31))
    assert not list(kept.rglob("*.npz"))


@pytest.mark.usefixtures("kept")
def test_two_runs_share_a_folder() -> None:
    first, second = NumberModel(), NumberModel()
    clip = Clip(0, 31)
    run_all(WindowTeacher(first, cache=True), [clip])
    other = WindowTeacher(second, cache=True)
    assert run_all(other, [clip]) == 0
    assert numbers(other.targets(NumberedSource(), clip)) == list(range(31, 47))
    assert second.calls == 0


# Models as teachers.


def noise(height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, height, width, 3), np.uint8)


def wake(model: torch.nn.Module, clips: torch.Tensor) -> None:
    """Fit the batch norms of an untrained model to some clips: otherwise its output hardly depends on its input."""
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(clips)
    model.eval()


def gentle_model(row: str) -> TinyHD:
    """A student whose maps depend on its input, but hardly on rounding."""
    model = random_model(row)
    wake(model, torch.randn(2, 3, 16, 64, 96, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        model.fusion.weight *= 0.1
    return model


@pytest.fixture(scope="module")
def hd2s_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A teacher with random weights, and its file with the published names."""
    torch.manual_seed(0)
    teacher = build_teacher()
    wake(teacher, torch.randn(2, 3, 16, 64, 64))
    path = tmp_path_factory.mktemp("hd2s") / "hd2s.pth"
    torch.save(hd2s_state(teacher), path)
    return path, teacher


def hd2s_state(teacher: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A teacher's weights in the published parts and order; the names of entries within a part are made up."""
    own, state = teacher.state_dict(), {}
    for part, own_part in _TEACHER_PARTS.items():
        values = [each for name, each in own.items() if name.startswith(own_part)]
        state |= {f"{part}{number}": each for number, each in enumerate(values)}
    return state


@pytest.mark.slow
def test_hd2s_says_what_its_network_says(hd2s_file: tuple[Path, torch.nn.Module]) -> None:
    path, network = hd2s_file
    model = open_model(f"hd2s:{path}", size=SMALL)
    assert (model.name, model.multi) == ("HD2S (hd2s.pth)", False)
    frames = noise()
    answers = model(frames)
    clip = (2 * torch.from_numpy(frames.transpose(3, 0, 1, 2)[None].astype(np.float32)) - 255) / 255
    with torch.no_grad():
        expected = network(clip)
    assert answers["map"].shape == (1, 1, *SMALL)
    assert answers["d1"].shape == (4, 1, *SMALL)
    np.testing.assert_allclose(answers["map"][0], expected.map[0], atol=1e-5)
    for level, side_map in zip(answers["d1"], expected.side_maps, strict=True):
        np.testing.assert_allclose(level, side_map[0], atol=1e-5)
    assert all(np.ptp(answer) > 0.01 for answer in (answers["map"], *answers["d1"]))
    large = model(frames.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_allclose(large["map"], answers["map"], atol=1e-5)
    assert (
        open_model(f"hd2s:{path}", size=(64, 32)).digest
        != model.digest
        == open_model(f"hd2s:{path}", size=SMALL).digest
    )


def test_without_the_file_of_hd2s_one_is_told_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        open_model(f"hd2s:{tmp_path / 'hd2s.pth'}")
    assert str(refused.value) == f"{tmp_path / 'hd2s.pth'}: no such file; {TEACHER_NOTE}"


def test_a_student_is_not_taken_for_hd2s(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="checkpoint of another model"):
        open_model(f"hd2s:{published_file(tmp_path / 'student.pth')}")


@cache
def awake_student(row: str) -> TinyHD:
    student = random_model(row)
    wake(student, torch.randn(4, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0)))
    return student


@pytest.fixture(scope="module")
def student_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("students")

    def make(row: str) -> Path:
        path = folder / f"{row}.safetensors"
        if not path.exists():
            save_model(awake_student(row), path, {})
        return path

    return make


@pytest.mark.parametrize(
    ("row", "frames"),
    [
        (S, {"map": 1, "d1": 1, "d2": 1, "d3": 1}),
        (M, {"map": 16, "d1": 1, "d2": 16, "d3": 16}),
        ("rc8_M", {"map": 16, "d1": 1, "d2": 16, "d3": 16}),
        ("d123_force_multi", {"map": 16, "d1": 1, "d2": 1, "d3": 1}),
        ("d12_S", {"map": 1, "d1": 1, "d2": 1}),
    ],
)
def test_a_student_that_teaches_says_what_it_says_when_it_predicts(
    student_file, row: str, frames: dict[str, int]
) -> None:
    model = open_model(str(student_file(row)), size=SMALL)
    student = awake_student(row)
    assert model.multi == student.spec.multi
    assert row in model.name
    shown = noise()
    answers = model(shown)
    clip = normalised(planes(torch.from_numpy(shown)[None]))
    with torch.no_grad():
        output = student(clip)
    expected = {"map": output.map.reshape(1, -1, *SMALL)}
    expected |= {name: maps[0] for name, maps in zip(student.spec.decoders, output.side_maps, strict=True)}
    assert {name: values.shape[1] for name, values in expected.items()} == frames
    assert answers.keys() == expected.keys()
    for name, values in expected.items():
        assert answers[name].dtype == np.float32
        assert np.ptp(answers[name]) > 0.01, "else it would be equal to anything"
        np.testing.assert_allclose(answers[name], values, atol=1e-5, err_msg=name)


def test_the_digest_tells_weights_and_size_apart(student_file) -> None:
    digests = {open_model(str(student_file(row)), size=size).digest for row in (S, M) for size in (SMALL, (64, 32))}
    assert len(digests) == 4
    assert len({digest[:16] for digest in digests}) == 4


def test_a_student_of_eight_maps_cannot_teach(student_file) -> None:
    with pytest.raises(BadInput, match=r"8out.safetensors: has a map for every other frame; name a model of one or"):
        open_model(str(student_file(EIGHT)), size=SMALL)


@pytest.mark.slow
@needs_openvino
def test_openvino_answers_as_torch_does(student_file) -> None:
    frames = noise()
    expected = open_model(str(student_file("d2_S")), size=SMALL)(frames)
    model = open_model(str(student_file("d2_S")), "openvino", size=SMALL)
    first = model(frames)
    before = {name: values.copy() for name, values in first.items()}
    model(255 - frames)
    assert first.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(first[name], values, atol=1e-4, err_msg=name)
        np.testing.assert_array_equal(first[name], before[name], err_msg="an answer must not change with the next one")


def test_colours_are_normalised_as_for_prediction() -> None:
    frames = torch.tensor([[0, 0, 0], [255, 255, 255], [124, 116, 104]], dtype=torch.uint8)
    found = normalised(planes(frames.reshape(1, 3, 1, 1, 3).expand(2, 3, 4, 5, 3)))
    assert found.shape == (2, 3, 3, 4, 5)
    black, white, mean = found[0, :, :, 0, 0].T
    torch.testing.assert_close(white - black, 1 / torch.tensor([0.229, 0.224, 0.225]))
    torch.testing.assert_close(mean, torch.zeros(3), rtol=0, atol=0.02)


# Maps on disk, and several teachers.


@pytest.fixture
def map_folder(tmp_path: Path) -> Path:
    """Maps of the first 20 frames: raw, except that frames 4 to 7 are grey levels at the video's size."""
    (tmp_path / "maps/numbered").mkdir(parents=True)
    for index in range(20):
        saliency = np.full((192, 256), index / 100, np.float32)
        saliency[:, :128] += 1
        if index in range(4, 8):
            grey = cv2.resize(np.full((2, 2), 10 * index, np.uint8) + np.uint8([[100, 0]]), (320, 180))
            cv2.imwrite(str(tmp_path / f"maps/numbered/{index}.png"), grey)
        else:
            np.savez(tmp_path / f"maps/numbered/{index}.npz", saliency=saliency)
    return tmp_path / "maps"


def test_maps_on_disk_are_read_raw_or_as_grey_levels(map_folder: Path) -> None:
    teacher = MapTeacher(map_folder)
    assert teacher.name == "maps in maps"
    assert teacher.prepare([NumberedSource()], [Clip(0, 3)]) == []
    said = teacher.targets(NumberedSource(), Clip(0, 3))["map"]
    assert said.shape == (1, 16, 192, 256)
    np.testing.assert_allclose(said[0, :, 0, -1], [0.03, 40, 50, 60, 70, *(n / 100 for n in range(8, 19))], rtol=1e-5)
    np.testing.assert_allclose(said[0, :, 0, 0] - said[0, :, 0, -1], [1, *[100] * 4, *[1] * 11], atol=1e-5)
    backwards = teacher.targets(NumberedSource(), Clip(0, 18, step=-1, flip=True))["map"]
    np.testing.assert_array_equal(backwards, said[:, ::-1, :, ::-1])
    part = without(NumberedSource(), ["numbered:0-1", "numbered:19-59"])[0]
    np.testing.assert_array_equal(teacher.targets(part, Clip(0, 1))["map"], said)


def test_a_missing_map_and_a_missing_folder_are_named(map_folder: Path) -> None:
    with pytest.raises(BadInput, match=r"numbered/20: no map of this frame; make it with generate"):
        MapTeacher(map_folder).targets(NumberedSource(), Clip(0, 5))
    with pytest.raises(BadInput, match="absent: no such folder of maps"):
        MapTeacher(map_folder / "absent")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4 half an archive"])
@pytest.mark.parametrize("name", ["9.npz", "5.png"])
def test_a_damaged_map_is_named_in_one_line(map_folder: Path, name: str, content: bytes) -> None:
    (map_folder / "numbered" / name).write_bytes(content)
    with pytest.raises(BadInput, match=name) as refused:
        MapTeacher(map_folder).targets(NumberedSource(), Clip(0, 0))
    assert "\n" not in str(refused.value)


class Sayer:
    """A teacher with constant answers."""

    def __init__(self, name: str, **answers: tuple[float, int]) -> None:
        self.name = self.digest = name
        self._answers = answers

    def prepare(self, _sources: object, clips: Sequence[Clip]) -> list[Callable[[], None]]:
        return [lambda: None] * len(clips)

    def size(self, clips: dict[int, int]) -> int:
        return 10 * sum(clips.values())

    def targets(self, _source: object, _clip: Clip) -> dict[str, np.ndarray]:
        return {
            name: np.full((4 if name == "d1" else 1, frames, 4, 8), value, np.float32)
            for name, (value, frames) in self._answers.items()
        }


def test_several_teachers_say_their_mean_of_what_all_of_them_answer() -> None:
    members = [
        Sayer("a", map=(1, 16), d1=(1, 16), d2=(5, 16)),
        Sayer("b", map=(2, 16), d1=(4, 1), d2=(5, 16)),
        Sayer("c", map=(6, 1), d1=(4, 1), d3=(5, 16)),
    ]
    both = Ensemble(members)
    assert both.name == "a + b + c"
    said = both.targets(NumberedSource(), Clip(0, 0))
    assert {name: values.shape for name, values in said.items()} == {"map": (1, 16, 4, 8), "d1": (4, 16, 4, 8)}
    assert (said["map"] == 3).all()
    assert (said["d1"] == 3).all()
    assert {values.dtype for values in said.values()} == {np.dtype(np.float32)}
    assert len(both.prepare([], [Clip(0, 0), Clip(0, 1)])) == 6
    assert both.size({0: 3}) == 90
    assert len({both.digest, Ensemble(members[:2]).digest, members[0].digest}) == 3


def test_an_ensemble_of_a_model_and_of_maps_agrees_in_time(map_folder: Path) -> None:
    class Large(NumberModel):
        def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
            return {"map": np.full((1, 1, 192, 256), super().__call__(frames)["map"].min())}

    members = [WindowTeacher(Large()), MapTeacher(map_folder)]
    said = Ensemble(members).targets(NumberedSource(), Clip(0, 4))
    apart = [member.targets(NumberedSource(), Clip(0, 4)) for member in members]
    np.testing.assert_allclose(said["map"], (apart[0]["map"] + apart[1]["map"]) / 2, rtol=1e-5)
    np.testing.assert_array_equal(apart[0]["map"][0, :, 0, 0], range(4, 20))


# Teachers named in recipes.


def recipe_of(model: str, *teachers: str, **entries: object) -> Recipe:
    return Recipe(model=model, teachers=teachers, labelled="gaze", size=SMALL, teacher_size=SMALL, **entries)


def test_a_recipes_teacher_looks_at_its_size_and_answers_for_its_student(
    student_file, hd2s_file: tuple[Path, torch.nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path))
    hd2s, clip = f"hd2s:{hd2s_file[0]}", Clip(0, 4)
    shapes = {}
    for student, name in [(S, hd2s), (S, str(student_file(M))), (M, str(student_file(M)))]:
        teacher = open_teacher(recipe_of(student, name, cache=False), "cpu")
        assert teacher is not None
        assert teacher.prepare([NumberedSource()], [clip]) == []
        said = teacher.targets(NumberedSource(), clip)
        assert said["map"].shape[2:] == SMALL
        shapes[student, name] = (said["map"].shape[1], said["d1"].shape[1])
    assert list(shapes.values()) == [(1, 1), (1, 1), (16, 1)]
    assert open_teacher(recipe_of(S), "cpu") is None
    assert not list(tmp_path.iterdir())


def test_a_recipes_answers_are_kept_in_the_cache_folder(
    student_file, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path))
    said = {}
    for model, terms, frames in (
        ("d2_M", ("teacher_map", "d2"), 16),
        ("d2_M", ("teacher_map",), 16),
        ("d2_S", ("d2",), 1),
    ):
        recipe = recipe_of(model, str(student_file("d2_M")), terms=dict.fromkeys(terms, 1.0))
        teacher = open_teacher(recipe, "cpu")
        assert teacher is not None
        assert run_all(teacher, [Clip(0, 4)]) == 1
        said[model, terms] = teacher.targets(NumberedSource(), Clip(0, 4))
        assert {values.shape for values in said[model, terms].values()} == {(1, frames, *SMALL)}
        assert teacher.size(1) == 2 * sum(values.size for values in said[model, terms].values())
    whole, fewer, last = said.values()
    assert [set(whole), set(fewer), set(last)] == [{"map", "d2"}, {"map"}, {"map", "d2"}]
    assert (whole["map"] == fewer["map"]).all()
    assert (whole["d2"][:, -1:] == last["d2"]).all()
    assert len(list((tmp_path / "answers").rglob("*.npz"))) == 3, "what one does not want, another is not given"


def test_several_teachers_of_a_recipe_are_one(student_file, map_folder: Path) -> None:
    teacher = open_teacher(recipe_of(S, f"maps:{map_folder}", str(student_file(S)), cache=False), "cpu")
    assert isinstance(teacher, Ensemble)
    assert teacher.name == f"maps in maps + S r4 ({S})"


def test_a_student_starts_from_weights(student_file) -> None:
    expected = awake_student(S).state_dict()
    started = build_student(recipe_of(S, start=str(student_file(S)))).state_dict()
    assert all((value == expected[name]).all() for name, value in started.items())
    fresh = build_student(recipe_of(S)).state_dict()
    assert any((value != expected[name]).any() for name, value in fresh.items())
    seeded = random_model(S).state_dict()
    assert all((value == seeded[name]).all() for name, value in fresh.items()), "by SEED 0"


def test_of_other_weights_a_student_takes_what_fits(student_file, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    started = build_student(recipe_of(M, start=str(student_file(S)))).state_dict()
    other, fresh = awake_student(S).state_dict(), random_model(M).state_dict()
    taken = [name for name, value in other.items() if name in fresh and fresh[name].shape == value.shape]
    assert 900 < len(taken) < len(fresh)
    assert all(torch.equal(started[name], (other if name in taken else fresh)[name]) for name in fresh)
    assert f"S r4 gives {len(taken)} of the {len(fresh)} tensors of M r4" in caplog.text
