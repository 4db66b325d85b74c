"""Clips of videos: which frames they hold, how they are stored, sampled and augmented, and what a student is given."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import default_collate

from tinyhd_lib import MODEL_SPECS, BadInput
from tinyhd_lib.data import clips
from tinyhd_lib.data.clips import (
    Clip,
    clip_frames,
    clip_starts,
    clip_truth,
    decoded,
    resized,
    stored,
    stored_bytes,
    without,
)
from tinyhd_lib.data.datasets import open_dataset
from tinyhd_lib.data.entries import Video
from tinyhd_lib.data.transforms import preprocess
from tinyhd_lib.data.video import Frame
from tinyhd_lib.models.spec import MEAN, STD
from tinyhd_lib.training.recipe import Recipe
from tinyhd_lib.training.samples import (
    DistillationSet,
    Sample,
    clip_count,
    coloured,
    cut,
    epoch_samples,
    open_sources,
    output_frames,
    validation_clips,
    varied,
)

MadeUp = Callable[[str], Path]

quick = settings(max_examples=60, deadline=None)

counts = st.integers(1, 120)
steps = st.integers(-4, 4).filter(bool)

S, M, EIGHT = "d123s_rc4_rc1T", "d123m_rc4_rc1T", "d123_M_8out"
CLIP = Clip(0, 0)
RECIPE = Recipe(model=M, labelled="gaze", auxiliary="folder", teachers=("x",), size=(32, 64))
VARIED = replace(RECIPE, crop=0.4, colour=1.0, speeds=(1, 2, -1), clips_per_video=30)


@dataclass(frozen=True)
class FakeSource:
    """A synthetic video: frame t has grey level t, with a moving white square."""

    name: str = "fake"
    count: int = 40
    labelled: bool = True
    size: tuple[int, int] = (64, 128)
    digest: str = "fake"
    first: int = 0
    video: Video = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.video is None:
            video = Video(self.name, "all", Path(self.name), tuple(map(str, range(self.count))))
            object.__setattr__(self, "video", video)

    def square(self, index: int) -> tuple[slice, slice]:
        unit, place = self.size[0] // 32, index % 16
        return slice((5 + place // 2) * unit, (13 + place // 2) * unit), slice((10 + place) * unit, (26 + place) * unit)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        indices = [self.first + index for index in indices]
        found = np.stack([np.full((*self.size, 3), index, np.uint8) for index in indices])
        for image, index in zip(found, indices, strict=True):
            image[self.square(index)] = 255
        return found

    def truth(self, indices: Sequence[int]) -> np.ndarray:
        found = np.zeros((len(indices), *self.size), np.float32)
        for density, index in zip(found, indices, strict=True):
            density[self.square(self.first + index)] = float(self.labelled)
        return found


def first_video(made_up: MadeUp, kind: str) -> Video:
    return next(video for video in open_dataset(kind, made_up(kind)).videos if video.has_truth)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# Which frames.


@pytest.mark.parametrize(
    ("clip", "frames", "expected"),
    [
        (Clip(0, 3), 40, list(range(3, 19))),
        (Clip(0, -3), 40, [0, 0, 0, *range(13)]),
        (Clip(0, 30), 40, [*range(30, 40), *[39] * 6]),
        (Clip(0, 2, step=2), 40, list(range(2, 34, 2))),
        (Clip(0, 20, step=-1), 40, list(range(20, 4, -1))),
        (Clip(0, 3, step=-2), 40, [3, 1, *[0] * 14]),
        (Clip(0, 0), 1, [0] * 16),
    ],
)
def test_frames_outside_the_video_repeat_its_first_or_last(clip: Clip, frames: int, expected: list[int]) -> None:
    assert clip.indices(frames) == expected


@given(counts, steps, st.integers(1, 5))
def test_clips_begin_wherever_all_their_frames_are_inside(count: int, step: int, every: int) -> None:
    reach = 15 * abs(step)
    starts = clip_starts(count, step, every)
    if count <= reach:
        assert len(starts) == 1
        return
    inside = [start for start in range(count) if 0 <= start + 15 * step < count]
    assert list(starts) == inside[::every]
    assert all(len(set(Clip(0, start, step).indices(count))) == 16 for start in starts)


@given(st.integers(1, 15), st.sampled_from([1, -1]))
def test_a_clip_of_a_short_video_shows_all_of_it_to_its_end(count: int, step: int) -> None:
    (start,) = clip_starts(count, step)
    indices = Clip(0, start, step).indices(count)
    assert set(indices) == set(range(count))
    assert indices[-1] == (count - 1 if step > 0 else 0)


def test_a_flipped_clip_is_mirrored_with_its_truth() -> None:
    source, clip = FakeSource(), Clip(0, 5)
    flipped = replace(clip, flip=True)
    assert (clip_frames(source, flipped) == clip_frames(source, clip)[:, :, ::-1]).all()
    assert (clip_truth(source, flipped) == clip_truth(source, clip)[:, :, ::-1]).all()
    assert not (clip_truth(source, flipped) == clip_truth(source, clip)).all()


# How they are stored.


@pytest.mark.parametrize("kind", ["gaze", "dhf1k"])
def test_a_stored_video_equals_a_decoded_one(made_up: MadeUp, own_cache: Path, kind: str) -> None:
    video = first_video(made_up, kind)
    kept, fresh = stored(video), decoded(video)
    assert (kept.digest, kept.count, kept.labelled) == (fresh.digest, fresh.count, True)
    for indices in ([0, 1, 2], [5, 3, 3, 19], [19]):
        frames, truth = kept.frames(indices), kept.truth(indices)
        assert frames.shape == (len(indices), 192, 256, 3)
        assert (frames.dtype, truth.dtype) == (np.uint8, np.float32)
        assert (frames == fresh.frames(indices)).all()
        # It is stored in float16.
        np.testing.assert_allclose(truth, fresh.truth(indices), atol=5e-4)
        np.testing.assert_allclose(truth.max((1, 2)), 1, atol=1e-3)
    image = next(iter(video.frames())).image
    as_predicted = preprocess(image).transpose(1, 2, 0) * STD + np.array(MEAN)
    np.testing.assert_allclose(kept.frames([0])[0], 255 * as_predicted, atol=0.51)
    files = [path for path in own_cache.rglob("*.npy") if "clips" in path.parts]
    assert sum(path.stat().st_size for path in files) == pytest.approx(stored_bytes([video]), rel=0.001)


def test_what_nobody_looked_at_has_a_truth_of_zeros(made_up: MadeUp, own_cache: Path) -> None:
    video = open_dataset("dhf1k", made_up("dhf1k"), "test").videos[0]
    for source in (stored(video), decoded(video)):
        assert not source.labelled
        assert source.truth([0, 7]).shape == (2, 192, 256)
        assert not source.truth([0, 7]).any()
    assert not list(own_cache.rglob("truth.npy"))
    assert stored_bytes([video]) == 20 * 192 * 256 * 3


def test_a_video_is_decoded_once_and_anew_when_it_changes(
    made_up: MadeUp, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "gaze"
    shutil.copytree(made_up("gaze"), root)
    video = open_dataset("gaze", root).videos[0]
    read = []
    frames = Video.frames
    monkeypatch.setattr(Video, "frames", lambda self: read.append(self.name) or frames(self))
    first = stored(video)
    assert stored(video) == first
    assert read == [video.name]
    wider = open_dataset("gaze", root, sigma_degrees=3).videos[0]
    assert stored(wider).digest != first.digest
    content = video.source.read_bytes()
    video.source.write_bytes(content + b"\0")
    assert stored(video).digest != first.digest
    assert len(read) == 3
    assert len(list((own_cache / "clips/1").iterdir())) == 3


@pytest.mark.parametrize("killed", ["in the frames", "in the truth", "in the record"])
def test_what_a_killed_run_left_is_written_over(
    made_up: MadeUp, own_cache: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    video = first_video(made_up, "gaze")
    whole = stored(video)
    expected = whole.frames(range(20)), whole.truth(range(20))
    left = {"in the frames": "frames.npy", "in the truth": "truth.npy", "in the record": "video.json"}[killed]
    shutil.rmtree(own_cache)

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if killed == "in the frames":
            patch.setattr(clips, "seen", kill)
        elif killed == "in the truth":
            patch.setattr(clips, "_density", kill)
        else:
            patch.setattr(json, "dumps", kill)
        with pytest.raises(KeyboardInterrupt):
            stored(video)
    # A killed process may leave a partially written file, which it cannot remove itself.
    for path in (whole.folder / left, whole.folder / f".{left}.tinyhd-part"):
        assert not path.exists()
    (whole.folder / f".{left}.tinyhd-part").write_bytes(b"half of a fi")
    again = stored(video)
    assert (again.frames(range(20)) == expected[0]).all()
    assert (again.truth(range(20)) == expected[1]).all()


def test_a_record_appears_whole_or_not_at_all(
    made_up: MadeUp, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = first_video(made_up, "gaze")
    assert not own_cache.exists()
    write_bytes, write_text = Path.write_bytes, Path.write_text

    def half(path: Path, content: bytes | str, *_: object, **__: object) -> None:
        (write_bytes if isinstance(content, bytes) else write_text)(path, content[: len(content) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half)
        patch.setattr(Path, "write_text", half)
        with pytest.raises(KeyboardInterrupt):
            stored(video)
    assert stored(video).count == 20


def test_two_runs_that_want_the_same_video_store_it_once(
    made_up: MadeUp, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = first_video(made_up, "gaze")
    both, read, frames = Barrier(2), [], Video.frames

    def meeting(self: Video) -> Iterator[Frame]:
        read.append(self.name)
        with suppress(BrokenBarrierError):
            both.wait(timeout=0.5)
        return frames(self)

    monkeypatch.setattr(Video, "frames", meeting)
    with ThreadPoolExecutor(2) as runs:
        one, other = runs.map(stored, [video, video])
    assert one == other
    assert one.count == len(one.frames(range(20)))
    assert read == [video.name]
    assert not list(own_cache.rglob("*.tinyhd-part"))


def test_what_is_seen_is_the_whole_frame_or_the_published_crop(made_up: MadeUp, own_cache: Path) -> None:
    video = first_video(made_up, "gaze")
    image = next(iter(video.frames())).image
    truth = video.truth(0)
    assert truth is not None
    for source in (stored(video, "published"), decoded(video, "published")):
        large = cv2.resize(image.astype(np.float32), (355, 200), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(source.frames([0])[0], large[4:196, 49:305], atol=0.51)
        density = cv2.resize(truth.saliency, (355, 200), interpolation=cv2.INTER_AREA)[4:196, 49:305]
        np.testing.assert_allclose(source.truth([0])[0], density / density.max(), atol=1e-3)
        assert source.digest != stored(video).digest
    assert len(list((own_cache / "clips/1").iterdir())) == 2


def test_a_damaged_video_is_refused_in_one_line(made_up: MadeUp, own_cache: Path, tmp_path: Path) -> None:
    root = tmp_path / "gaze"
    shutil.copytree(made_up("gaze"), root)
    video = open_dataset("gaze", root).videos[0]
    video.source.write_bytes(video.source.read_bytes()[:-2000])
    for _ in range(2):
        with pytest.raises(BadInput, match=video.source.name) as refused:
            stored(video)
        assert "\n" not in str(refused.value)
    assert not list(own_cache.rglob("*.npy"))
    with pytest.raises(BadInput, match=video.source.name):
        decoded(video).frames([0, 19])


def test_a_video_that_ends_too_early_is_refused(made_up: MadeUp, tmp_path: Path) -> None:
    shot = open_dataset("ucf", made_up("ucf")).videos[0]
    folder = tmp_path / "images"
    shutil.copytree(shot.source, folder)
    video = replace(shot, source=folder)
    last = len(video.names) - 1
    (folder / f"{video.names[last]}.png").unlink()
    with pytest.raises(BadInput, match=rf"ends before frame {last}, of {last + 1} that it promises"):
        decoded(video).frames([last])


# Parts of videos that are left out.


def shown(parts: Sequence[object]) -> list[list[int]]:
    """The frames of the whole video that belong to each part."""
    return [list(range(part.first, part.first + part.count)) for part in parts]


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        ([], [range(40)]),
        (["other", "other:3-5", "fak", "fake2:0-9"], [range(40)]),
        (["fake"], []),
        (["fake", "fake:3-5"], []),
        (["fake:10-19"], [range(10), range(20, 40)]),
        (["fake:0-9", "fake:35-39"], [range(10, 35)]),
        (["fake:0-9", "fake:10-19"], [range(20, 40)]),
        (["fake:20-29", "fake:5-9"], [range(5), range(10, 20), range(30, 40)]),
        (["fake:5-20", "fake:7-9"], [range(5), range(21, 40)]),
        (["fake:30-99"], [range(30)]),
        (["fake:40-50"], [range(40)]),
        (["fake:60-70"], [range(40)]),
        (["fake:0-39"], []),
        (["fake:7-7"], [range(7), range(8, 40)]),
    ],
)
def test_of_a_video_the_parts_that_are_not_excluded_stay(exclude: list[str], expected: list[range]) -> None:
    assert shown(without(FakeSource(), exclude)) == [list(frames) for frames in expected]


@quick
@given(counts, st.lists(st.tuples(st.integers(0, 130), st.integers(0, 30)), max_size=4))
def test_no_excluded_frame_stays_and_no_other_one_goes(count: int, spans: list[tuple[int, int]]) -> None:
    entries = [f"fake:{first}-{first + length}" for first, length in spans]
    excluded = {frame for first, length in spans for frame in range(first, first + length + 1)}
    parts = shown(without(FakeSource(count=count), entries))
    assert [frame for part in parts for frame in part] == [frame for frame in range(count) if frame not in excluded]
    assert all(parts)


def test_a_part_is_a_video_of_its_own() -> None:
    whole = FakeSource()
    first, second = without(whole, ["fake:10-19"])
    assert (second.video, second.labelled) == (whole.video, True)
    assert len({whole.digest, first.digest, second.digest}) == 3
    assert (second.frames([0, 3]) == whole.frames([20, 23])).all()
    assert (second.truth([0, 3]) == whole.truth([20, 23])).all()
    # Where a clip reaches beyond the part, the part's first or last frame repeats: excluded frames are never used.
    assert (clip_frames(second, Clip(0, -2)) == whole.frames([20, 20, *range(20, 34)])).all()
    assert (clip_frames(first, Clip(0, 0)) == whole.frames([*range(10), *[9] * 6])).all()


@pytest.mark.parametrize("entry", ["fake:", "fake:3", "fake:3-", "fake:a-b", "fake:3-5-7", "fake:9-3"])
def test_an_entry_that_is_no_part_is_named(entry: str) -> None:
    with pytest.raises(BadInput, match=f"exclude '{entry}': a video's name, or name:first-last"):
        without(FakeSource(), [entry])


# How an epoch samples them.

LABELLED = [FakeSource(f"l{n}", count=20 + 9 * n) for n in range(4)]
AUXILIARY = [FakeSource(f"a{n}", count=5 + 20 * n, labelled=False) for n in range(3)]


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    sources = LABELLED + AUXILIARY
    first = epoch_samples(sources, VARIED, 0)
    assert epoch_samples(sources, VARIED, 0) == first
    assert epoch_samples(sources, VARIED, 1) != first
    assert epoch_samples(sources, replace(VARIED, seed=1), 0) != first
    np.random.default_rng().random()
    assert epoch_samples(sources, replace(VARIED, epochs=3, lr=1.0), 0) == first


@pytest.mark.parametrize(
    ("sources", "ratio", "each", "expected"),
    [
        (LABELLED, 1, 2, [2] * 4),
        (AUXILIARY, 1, 2, [2] * 3),
        (LABELLED + AUXILIARY, 1, 3, [3] * 4 + [4] * 3),
        (LABELLED + AUXILIARY, 10, 3, [3] * 4 + [40] * 3),
        (LABELLED + AUXILIARY, 0, 1, [1] * 4 + [0] * 3),
    ],
    ids=["labelled", "auxiliary", "both", "ten times", "none"],
)
def test_every_video_gives_its_clips(sources: list[FakeSource], ratio: float, each: int, expected: list[int]) -> None:
    recipe = replace(RECIPE, auxiliary_ratio=ratio, clips_per_video=each)
    drawn = Counter(sample.clip.video for sample in epoch_samples(sources, recipe, 0))
    assert [drawn[number] for number in range(len(sources))] == expected


@quick
@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4), st.floats(0, 5), st.integers(0, 9))
def test_auxiliary_videos_are_drawn_evenly(few: int, many: int, each: int, ratio: float, epoch: int) -> None:
    sources = [FakeSource()] * few + [FakeSource(labelled=False)] * many
    recipe = replace(RECIPE, auxiliary_ratio=ratio, clips_per_video=each)
    drawn = Counter(sample.clip.video for sample in epoch_samples(sources, recipe, epoch))
    assert [drawn[number] for number in range(few)] == [each] * few
    auxiliary = [drawn[number] for number in range(few, few + many)]
    assert sum(auxiliary) == round(few * each * ratio)
    assert max(auxiliary) - min(auxiliary) <= 1


def test_folders_give_as_many_clips_a_video_as_is_said_of_each(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    sources = [FakeSource(str(here / "a")), FakeSource(str(there / "b")), FakeSource(str(here / "c"))]
    recipe = replace(RECIPE, labelled_dir=(str(here), str(there)), clips_per_video=(3, 1))
    assert Counter(sample.clip.video for sample in epoch_samples(sources, recipe, 0)) == {0: 3, 1: 1, 2: 3}


def test_over_epochs_every_video_gets_its_turn() -> None:
    sources = [FakeSource()] + [FakeSource(labelled=False)] * 5
    drawn = {sample.clip.video for epoch in range(60) for sample in epoch_samples(sources, RECIPE, epoch)}
    assert drawn == set(range(6))


@quick
@given(st.integers(0, 50))
def test_clips_are_inside_and_varied_within_bounds(epoch: int) -> None:
    sources = LABELLED + AUXILIARY
    for sample in epoch_samples(sources, VARIED, epoch):
        clip, (top, left, height, width) = sample.clip, sample.box
        count = sources[clip.video].count
        assert clip.start in clip_starts(count, clip.step)
        assert clip.step in (1, 2, -1)
        assert count > 15 * abs(clip.step) or clip.step == 1
        assert min(height, width) >= 0.4
        assert min(top, left) >= 0
        assert max(top + height, left + width) <= 1 + 1e-12


def test_half_of_the_clips_are_flipped_and_all_speeds_come() -> None:
    drawn = epoch_samples(LABELLED[2:], replace(VARIED, clips_per_video=500), 0)
    assert np.mean([sample.clip.flip for sample in drawn]) == pytest.approx(0.5, abs=0.05)
    shares = Counter(sample.clip.step for sample in drawn)
    assert [shares[step] / 1000 for step in (1, 2, -1)] == pytest.approx([1 / 3] * 3, abs=0.05)
    assert np.mean([sample.colours[2] == 0 for sample in drawn]) == pytest.approx(0.15, abs=0.04)


def test_by_default_nothing_but_the_flip_varies() -> None:
    drawn = epoch_samples(LABELLED, replace(RECIPE, clips_per_video=20), 0)
    assert {replace(sample, clip=CLIP) for sample in drawn} == {Sample(CLIP)}
    assert {sample.clip.step for sample in drawn} == {1}


def test_starts_on_every_fourth_frame_are_all_there_ever_is() -> None:
    recipe = replace(VARIED, every=4)
    seen = {sample.clip for epoch in range(40) for sample in epoch_samples(LABELLED[1:], recipe, epoch)}
    by_video = Counter(clip.video for clip in seen)
    for number, source in enumerate(LABELLED[1:]):
        assert by_video[number] == clip_count([source], recipe) - (2 if source.count <= 30 else 0)


@pytest.mark.parametrize(("count", "clips_", "starts"), [(40, 5, [0, 6, 12, 18, 24]), (18, 5, [0, 1, 2]), (9, 5, [-7])])
def test_validation_clips_are_evenly_spaced(count: int, clips_: int, starts: list[int]) -> None:
    found = validation_clips([FakeSource(), FakeSource(count=count)], clips_)
    assert [clip.start for clip in found if clip.video == 1] == starts
    assert {(clip.step, clip.flip) for clip in found} == {(1, False)}


# How frames are cropped and augmented.


WHOLE = (0.0, 0.0, 1.0, 1.0)


def test_what_is_not_cut_and_not_coloured_stays() -> None:
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 4, 32, 64), np.uint8)).float()
    assert torch.equal(cut(frames, [WHOLE, WHOLE], (32, 64)), frames)
    torch.testing.assert_close(coloured(frames, torch.tensor([[0.0, 1, 1], [0, 1, 1]])), frames, atol=1e-4, rtol=0)


def colours(frames: np.ndarray, brightness: float = 0.0, contrast: float = 1.0, saturation: float = 1.0) -> np.ndarray:
    """Frames (T, H, W, 3) with changed colours, from 0 to 1."""
    clip = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float()
    return coloured(clip, torch.tensor([[brightness, contrast, saturation]]))[0].permute(1, 2, 3, 0).numpy() / 255


def test_colours_are_varied_as_named() -> None:
    frames = np.random.default_rng(0).integers(90, 160, (3, 8, 8, 3), np.uint8)
    plain = frames / 255
    grey = colours(frames, saturation=0.0)
    np.testing.assert_allclose(grey, np.repeat(grey[..., :1], 3, axis=-1), atol=1e-6)
    np.testing.assert_allclose(grey[..., 0], plain @ [0.299, 0.587, 0.114], atol=1e-6)
    np.testing.assert_allclose(colours(frames, brightness=0.1), plain + 0.1, atol=1e-6)
    flat = colours(frames, contrast=0.5)
    assert flat.mean() == pytest.approx(plain.mean(), abs=1e-6)
    assert flat.std() == pytest.approx(0.5 * plain.std(), abs=1e-6)
    assert (colours(frames, brightness=1.0) == pytest.approx(1, abs=1e-6)) is True


def test_every_clip_of_a_batch_is_varied_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    items = [
        {
            "clip": torch.randint(0, 256, (16, 64, 96, 3), generator=generator, dtype=torch.uint8),
            "label": torch.rand(1, 4, 64, 96, generator=generator),
            "box": torch.tensor(box),
            "colours": torch.tensor(changes),
        }
        for box, changes in (((0.1, 0.2, 0.5, 0.4), (0.1, 1.2, 0.5)), (WHOLE, (-0.2, 0.8, 1.5)))
    ]
    together = varied(default_collate(items), (32, 64))
    for place, item in enumerate(items):
        for name, values in varied(default_collate([item]), (32, 64)).items():
            torch.testing.assert_close(together[name][place], values[0])


@quick
@given(st.integers(0, 99), st.sampled_from(["noise", "black", "white"]))
def test_varied_colours_are_finite_and_colours(epoch: int, kind: str) -> None:
    rng = np.random.default_rng(epoch)
    frames = {
        "noise": rng.integers(0, 256, (2, 8, 16, 3), np.uint8),
        "black": np.zeros((2, 8, 16, 3), np.uint8),
        "white": np.full((2, 8, 16, 3), 255, np.uint8),
    }[kind]
    for sample in epoch_samples(LABELLED, replace(VARIED, clips_per_video=2), epoch):
        part = cut(torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float(), [sample.box], (8, 16))
        assert part.shape == (1, 3, 2, 8, 16)
        changes = torch.tensor([sample.colours])
        found = coloured(part, changes)
        assert found.isfinite().all()
        assert found.min() >= 0
        assert found.max() <= 255


def test_a_part_is_cut_where_its_box_says() -> None:
    rows, columns = np.mgrid[:64, :128].astype(np.float32)
    ramps = torch.from_numpy(np.stack([rows / 64, columns / 128]))[:, None, None]
    parts = cut(ramps, [(0.25, 0.5, 0.5, 0.25)] * 2, (32, 32))
    assert parts.shape == (2, 1, 1, 32, 32)
    for part, first, last in zip(parts, (0.25, 0.5), (0.75, 0.75), strict=True):
        assert part.min() == pytest.approx(first, abs=0.02)
        assert part.max() == pytest.approx(last, abs=0.02)


@pytest.mark.parametrize("size", [(16, 32), (64, 128), (32, 64), (24, 96)])
def test_a_part_at_another_size_keeps_the_mean(size: tuple[int, int]) -> None:
    maps = torch.rand(2, 1, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    found = cut(maps, [WHOLE, WHOLE], size)
    assert found.shape == (2, 1, 3, *size)
    torch.testing.assert_close(found.mean((-1, -2)), maps.mean((-1, -2)), atol=4e-3, rtol=0)


@pytest.mark.parametrize("size", [(16, 32), (64, 128), (32, 64)])
def test_resizing_keeps_the_mean(size: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).random((2, 32, 64), np.float32)
    found = resized(maps, size)
    assert found.shape == (2, *size)
    np.testing.assert_allclose(found.mean((1, 2)), maps.mean((1, 2)), atol=2e-3)
    assert resized(np.stack([maps] * 3, axis=-1), size).shape == (2, *size, 3)


# What a student is given.


class FakeTeacher:
    """A teacher that answers with the true map of every frame, at half the size."""

    name = digest = "fake"

    def __init__(self, frames: int = 16) -> None:
        self._frames = frames

    def targets(self, source: FakeSource, clip: Clip) -> dict[str, np.ndarray]:
        known = resized(clip_truth(replace(source, labelled=True), clip), (32, 64))[None, -self._frames :]
        return {"map": known, "d1": np.repeat(known, 4, axis=0), "d2": known[:, -1:]}


def item_of(recipe: Recipe, sample: Sample, sources: Sequence[FakeSource], teacher: FakeTeacher | None):
    return learnt_from(DistillationSet(sources, teacher, [sample], recipe)[0], recipe)


def learnt_from(item: dict[str, torch.Tensor], recipe: Recipe) -> dict[str, torch.Tensor]:
    """The tensors that a student gets from an item."""
    return {name: values[0] for name, values in varied(default_collate([item]), recipe.size).items()}


@pytest.mark.parametrize(
    ("model", "said", "outputs", "answers"), [(S, 1, 1, 1), (S, 16, 1, 1), (M, 16, 16, 16), (EIGHT, 16, 8, 8)]
)
def test_an_item_has_the_shapes_that_its_student_needs(model: str, said: int, outputs: int, answers: int) -> None:
    recipe = replace(VARIED, model=model, clips_per_video=2)
    samples = epoch_samples(LABELLED, recipe, 0)
    items = DistillationSet(LABELLED, FakeTeacher(said), samples, recipe)
    assert len(items) == 8
    for item in (learnt_from(items[place], recipe) for place in range(8)):
        assert {name: tuple(values.shape) for name, values in item.items()} == {
            "clip": (3, 16, 32, 64),
            "label": (1, outputs, 32, 64),
            "map": (1, answers, 32, 64),
            "d1": (4, answers, 32, 64),
            "d2": (1, 1, 32, 64),
        }
        assert all(values.dtype == torch.float32 and values.isfinite().all() for values in item.values())
    assert MODEL_SPECS[model].outputs == outputs


def test_items_make_a_batch() -> None:
    sources = LABELLED + AUXILIARY
    items = DistillationSet(sources, FakeTeacher(), epoch_samples(sources, VARIED, 0), VARIED)
    read = next(iter(torch.utils.data.DataLoader(items, batch_size=7)))
    assert read["clip"].dtype == torch.uint8  # one byte per colour is sent between processes, and to a GPU
    batch = varied(read, VARIED.size)
    assert batch["clip"].shape == (7, 3, 16, 32, 64)
    assert batch["label"].shape == (7, 1, 16, 32, 64)


def test_the_label_of_an_auxiliary_video_is_zero_and_there_is_none_without_any_gaze() -> None:
    sample = Sample(Clip(1, 0))
    item = item_of(RECIPE, sample, [FakeSource(), FakeSource(labelled=False)], FakeTeacher())
    assert not item["label"].any()
    assert item["map"].any()
    alone = item_of(RECIPE, replace(sample, clip=Clip(0, 0)), [FakeSource(labelled=False)], FakeTeacher())
    assert "label" not in alone
    untaught = item_of(RECIPE, replace(sample, clip=Clip(0, 0)), [FakeSource()], None)
    assert untaught.keys() == {"clip", "label"}


@pytest.mark.parametrize(("model", "frames"), [(S, [15]), (EIGHT, list(range(1, 16, 2))), (M, list(range(16)))])
def test_labels_are_of_the_frames_that_the_outputs_stand_for(model: str, frames: list[int]) -> None:
    assert list(range(16))[output_frames(MODEL_SPECS[model].outputs)] == frames
    source, clip = FakeSource(), Clip(0, 3, step=2)
    item = item_of(replace(RECIPE, model=model), Sample(clip), [source], FakeTeacher())
    expected = resized(clip_truth(source, clip)[frames], (32, 64))
    np.testing.assert_allclose(item["label"][0], expected, atol=1e-6)
    np.testing.assert_allclose(item["map"][0], expected, atol=1e-6)
    bright = item["clip"].numpy().transpose(1, 2, 3, 0)[frames] * np.array(STD) + np.array(MEAN)
    np.testing.assert_array_equal(bright.mean(-1) > 0.6, expected > 0.5)


@pytest.mark.parametrize("step", [1, 2, -1])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.5, 0.6), (0.3, 0.4, 0.7, 0.6)])
def test_a_crop_cuts_picture_label_and_answer_alike(
    box: tuple[float, float, float, float], step: int, *, flip: bool
) -> None:
    source = FakeSource(count=60, size=(192, 256))
    item = item_of(RECIPE, Sample(Clip(0, 20, step, flip), box=box), [source], FakeTeacher())
    # The background's grey levels are below 60: bright pixels belong to the square.
    picture = (item["clip"].mean(0) * np.mean(STD) + np.mean(MEAN)).numpy() > 0.6
    label, answer = item["label"][0].numpy() > 0.5, item["map"][0].numpy() > 0.5
    whole = item_of(RECIPE, Sample(Clip(0, 20, step)), [source], FakeTeacher())["label"][0].numpy() > 0.5
    assert label.any(axis=(1, 2)).all()
    assert (label == whole).all() == (box[2] == 1 and not flip)
    assert np.logical_xor(picture, label).mean() < 0.02
    assert (picture == label).any(axis=(1, 2)).all()
    # The teacher's maps have fewer pixels, so their edges are coarser.
    assert np.logical_xor(answer, label).mean() < 0.04


@dataclass(frozen=True)
class BrokenSource(FakeSource):
    """A video that proves damaged when it is read."""

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        raise BadInput(f"{self.name}: damaged, {len(indices)} frames cannot be decoded")


def test_the_place_of_a_damaged_clip_is_taken_by_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    sources = [BrokenSource("broken"), FakeSource()]
    samples = [Sample(Clip(video, start)) for video, start in ((1, 0), (0, 5), (0, 7), (1, 20), (0, 1))]
    items = DistillationSet(sources, FakeTeacher(), samples, RECIPE)
    shown = [items[place]["clip"] for place in range(5)]
    for place, instead in enumerate((0, 3, 3, 3, 0)):
        assert (shown[place] == shown[instead]).all()
    assert not (shown[0] == shown[3]).all()
    assert [record.message for record in caplog.records] == [
        "left out: broken: damaged, 16 frames cannot be decoded",
    ]
    with pytest.raises(BadInput, match=r"no clip of the epoch can be read \(broken: damaged"):
        DistillationSet(sources, FakeTeacher(), samples[1:3], RECIPE)[0]


# Which videos a recipe trains on.


@pytest.mark.parametrize("store", [True, False])
def test_a_recipe_opens_its_videos_but_for_those_it_excludes(made_up: MadeUp, own_cache: Path, *, store: bool) -> None:
    names = [video.name for video in open_dataset("gaze", made_up("gaze")).videos]
    recipe = replace(
        RECIPE,
        labelled_dir=str(made_up("gaze")),
        auxiliary="kinetics",
        auxiliary_dir=str(made_up("kinetics")),
        auxiliary_split="val",
        exclude=(names[0], f"{names[1]}:0-3"),
        store=store,
    )
    auxiliary = open_dataset("kinetics", made_up("kinetics"), "val").videos
    learnt, measured = open_sources(recipe)
    assert [(source.video.name, source.count, source.labelled) for source in learnt] == [
        (names[1], 16, True),
        (names[2], 20, True),
        *((video.name, 20, False) for video in auxiliary),
    ]
    assert auxiliary
    assert measured == []
    assert (learnt[1].folder is not None) == store
    assert bool(list(own_cache.rglob("frames.npy"))) == store


def test_a_recipe_measures_on_its_validation_split(made_up: MadeUp) -> None:
    recipe = replace(
        RECIPE,
        labelled="dhf1k",
        labelled_dir=str(made_up("dhf1k")),
        labelled_split="train",
        validation_split="validation",
        auxiliary=None,
        store=False,
    )
    learnt, measured = open_sources(recipe)
    assert {source.video.split for source in learnt} == {"train"}
    assert {source.video.split for source in measured} == {"validation"}


def test_a_damaged_video_is_left_out_with_a_line_and_none_left_is_an_error(
    made_up: MadeUp, own_cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "gaze"
    shutil.copytree(made_up("gaze"), root)
    films = sorted(root.glob("*.mp4"))
    films[0].write_bytes(films[0].read_bytes()[:-2000])
    recipe = replace(RECIPE, auxiliary=None, labelled_dir=str(root))
    learnt, _ = open_sources(recipe)
    assert len(learnt) == 2
    assert [record.message for record in caplog.records if films[0].name in record.message] != []
    assert own_cache.exists()
    with pytest.raises(BadInput, match="nothing to learn from"):
        open_sources(replace(recipe, exclude=tuple(film.stem for film in films)))
