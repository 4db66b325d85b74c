"""Teachers and students opened up: their features, their conspicuity maps, how much these say, and what they cost."""

import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import entropy
from torch import Tensor

from tinyhd_lib import metrics
from tinyhd_lib.data.clips import Clip, DecodedSource, Source, clip_frames, decoded, resized
from tinyhd_lib.data.layouts import Video
from tinyhd_lib.data.transforms import Image, Map
from tinyhd_lib.data.video import count_frames_in
from tinyhd_lib.errors import BadInput
from tinyhd_lib.losses import kl_divergence
from tinyhd_lib.models.checkpoints import load_model, load_published_teacher_state, read_state
from tinyhd_lib.models.spec import CLIP_FRAMES, INPUT_SIZE
from tinyhd_lib.models.student import TinyHD, count_gmac, count_parameters
from tinyhd_lib.models.teacher import HD2S, LEVELS, build_teacher
from tinyhd_lib.models.weights import TEACHER_NOTE, state_digest
from tinyhd_lib.training.models import Answers, Size, normalised
from tinyhd_lib.training.recipe import teacher_kind
from tinyhd_lib.training.teachers import WindowTeacher

_SIGMA = 0.25


class OpenModel:
    """A network whose insides can be looked at; a `tinyhd_lib.training.models.WindowModel` in eager torch.

    Args:
        network: the teacher or a student.
        name: for people.
        size: (H, W) at which it looks.
    """

    def __init__(self, network: HD2S | TinyHD, name: str, *, size: Size = INPUT_SIZE) -> None:
        self.network = network.eval()
        self.name = name
        self.digest = state_digest(network)
        self.multi = isinstance(network, TinyHD) and network.spec.multi
        self.size = size

    @property
    def levels(self) -> list[str]:
        """The names of the four conspicuity maps, the finest first."""
        return [f"level {number}" for number in (LEVELS if isinstance(self.network, HD2S) else range(1, 5))]

    def windows(self, student: "OpenModel") -> int:
        """Into how many windows it has to look for what one clip of a student is to learn."""
        return CLIP_FRAMES if student.multi and not self.multi else 1

    @torch.inference_mode()
    def __call__(self, frames: Image) -> Answers:
        """``map`` (1, T, H, W), ``d1`` (4, T, H, W), and what else there is, in float32, to (16, h, w, 3) uint8 RGB."""
        output = self.network(self._clip(frames))
        if isinstance(self.network, HD2S):
            maps = {"map": output.map, "d1": torch.cat(output.side_maps, dim=1)}
        else:
            maps = {"map": output.map, **dict(zip(self.network.spec.decoders, output.side_maps, strict=True))}
        return {name: each.reshape(4 if name == "d1" else 1, -1, *self.size).numpy() for name, each in maps.items()}

    @torch.inference_mode()
    def taps(self, frames: Image) -> dict[str, Map]:
        """The features that its decoders read, (C, T, H, W) each: HD2S's five blocks, a student's pyramid."""
        clip = self._clip(frames)
        found = self.network.taps(clip) if isinstance(self.network, HD2S) else self.network.encoder(clip)
        what = "block" if isinstance(self.network, HD2S) else "level"
        return {f"{what} {number}": features[0].numpy() for number, features in enumerate(found, start=1)}

    def _clip(self, frames: Image) -> Tensor:
        """(1, 3, 16, H, W), as this network wants it."""
        clip = torch.from_numpy(resized(frames, self.size))[None]
        if isinstance(self.network, HD2S):
            return (2 * clip.permute(0, 4, 1, 2, 3).float() - 255) / 255
        return normalised(clip)


def open_model(name: str) -> OpenModel:
    """A model by the name that a recipe's ``TEACHERS`` has for it.

    Args:
        name: ``hd2s:FILE``, or the name or path of a student.

    Raises:
        BadInput: its weights cannot be used, or there is nothing in it to look at.
    """
    kind, _, rest = teacher_kind(name)
    if kind == "maps":
        raise BadInput(f"{name}: maps on disk have no inside to look at; name hd2s:FILE, or a student")
    if not kind:
        student = load_model(name)
        if "d1" not in student.spec.decoders:
            raise BadInput(f"{name}: {student.spec.label} has no decoder D1, and so no conspicuity maps to look at")
        if student.spec.outputs not in (1, CLIP_FRAMES):
            raise BadInput(f"{name}: has a map for every other frame; name a model of one or of 16 maps a window")
        return OpenModel(student, f"{student.spec.label} ({Path(name).stem})")
    path = Path(rest)
    if not path.is_file():
        raise BadInput(f"{path}: no such file; {TEACHER_NOTE}")
    teacher = build_teacher()
    load_published_teacher_state(teacher, read_state(path))
    return OpenModel(teacher, f"HD2S ({path.name})")


def open_clip(path: Path) -> DecodedSource:
    """Any video as a source of clips, at the models' size.

    Raises:
        BadInput: it cannot be read.
    """
    return decoded(Video(path.stem, "all", path, tuple(map(str, range(count_frames_in(path))))))


def end_to_end(source: Source, first: int, windows: int) -> list[Clip]:
    """So many windows of sixteen frames, one after the other.

    Raises:
        BadInput: the video is too short for them.
    """
    end = first + windows * CLIP_FRAMES
    if first < 0 or windows < 1 or end > source.count:
        fit = f"{source.video.name}: {source.count} frames"
        raise BadInput(f"{fit}, but {windows} windows from frame {first} on were wanted: lower FIRST or WINDOWS")
    return [Clip(0, start) for start in range(first, end, CLIP_FRAMES)]


def window_frames(source: Source, clips: Sequence[Clip]) -> Image:
    """The frames of several windows, (n, 16, 192, 256, 3) uint8 RGB, decoded in one go."""
    indices = [index for clip in clips for index in clip.indices(source.count)]
    return source.frames(indices).reshape(len(clips), CLIP_FRAMES, *INPUT_SIZE, 3)


def maps_over_time(model: OpenModel, windows: Image) -> Answers:
    """What a model says of each window's last frame.

    Args:
        model: whose maps are wanted.
        windows: (n, 16, h, w, 3) uint8 RGB.

    Returns:
        ``map`` (n, H, W), ``d1`` (n, 4, H, W), and what else there is, (n, H, W).
    """
    answers = [model(frames) for frames in windows]
    last = {name: np.stack([answer[name][:, -1] for answer in answers]) for name in answers[0]}
    return {name: maps if name == "d1" else maps[:, 0] for name, maps in last.items()}


def tap_table(taps: Mapping[str, Mapping[str, Map]]) -> pd.DataFrame:
    """What taps hold of a window: their shapes, and how many numbers that are.

    Args:
        taps: of `OpenModel.taps`, by the name of the model.
    """
    columns = ["model", "tap", "channels", "frames", "height", "width", "numbers"]
    rows = [(model, tap, *values.shape, values.size) for model, found in taps.items() for tap, values in found.items()]
    return pd.DataFrame(rows, columns=columns)


def map_entropy(maps: Map) -> Map:
    """Shannon entropy of maps (..., H, W), each divided by its sum, in bits.

    0 where all is in one pixel, log2(H W) where all pixels are alike.
    """
    return np.asarray(entropy(maps.reshape(*maps.shape[:-2], -1).astype(np.float64), base=2, axis=-1))


def centre_bias(maps: Map) -> Map:
    """Linear correlation (CC) of maps (n, H, W) with `centred_gaussian`: -1 to 1, 0 for a constant map."""
    centre = centred_gaussian((maps.shape[-2], maps.shape[-1]))
    return np.asarray(metrics.cc(maps.astype(np.float64), np.broadcast_to(centre, maps.shape)))


def centred_gaussian(size: Size) -> Map:
    """A Gaussian (H, W) about the middle of the frame, its deviations a quarter of the height and of the width."""
    rows, columns = (((np.arange(side) + 0.5) / side - 0.5) / _SIGMA for side in size)
    return np.exp(-(rows[:, None] ** 2 + columns[None, :] ** 2) / 2)


def level_statistics(model: OpenModel, answers: Answers, clips: Sequence[Clip]) -> pd.DataFrame:
    """Entropy and centre bias of every level, and of the fused map, over time.

    Args:
        model: that answered.
        answers: of `maps_over_time`.
        clips: the windows.

    Returns:
        a row a window and level: ``frame``, ``level``, ``entropy`` in bits, ``below_uniform`` (bits that it is below a
        uniform map's), ``area`` (2^-below_uniform: the part of the frame that a uniform patch of the same entropy
        takes) and ``centre_bias``.
    """
    by_level = dict(zip(model.levels, np.moveaxis(answers["d1"], 1, 0), strict=True)) | {"fused": answers["map"]}
    parts = []
    for level, maps in by_level.items():
        bits = map_entropy(maps)
        below = np.log2(np.prod(maps.shape[-2:])) - bits
        columns = {"entropy": bits, "below_uniform": below, "area": 2**-below, "centre_bias": centre_bias(maps)}
        frames = [clip.start + CLIP_FRAMES - 1 for clip in clips]
        parts.append(pd.DataFrame({"frame": frames, "level": level, **columns}))
    return pd.concat(parts, ignore_index=True)


def d1_pairs(teacher: OpenModel, student: OpenModel, source: Source, clip: Clip) -> tuple[Map, Map]:
    """What a student's D1 is to say of a clip, and what it says: (4, H, W) each, the finest level first.

    As in training, a D1 of one map a clip is held against the mean of what the teacher says of the clip's frames;
    of a D1 of a map a frame, the last one is shown.
    """
    target = WindowTeacher(teacher, single=not student.multi).targets(source, clip)["d1"]
    said = student(clip_frames(source, clip))["d1"]
    return (target.mean(axis=1) if said.shape[1] == 1 else target[:, -1]), said[:, -1]


def matching_table(names: Sequence[str], target: Map, said: Map) -> pd.DataFrame:
    """How far a student's D1 is from what it is to say, level by level.

    Args:
        names: of the levels.
        target: (4, H, W) the teacher's maps.
        said: (4, H, W) the student's.

    Returns:
        for each level ``kl``, the divergence that D1's loss sums up, and ``kl_uniform``, that of a uniform map, both
        in nats; and their correlation ``cc``.
    """
    wanted = torch.from_numpy(np.ascontiguousarray(target))
    divergences = {"kl": torch.from_numpy(np.ascontiguousarray(said)), "kl_uniform": torch.ones_like(wanted)}
    columns = {name: kl_divergence(maps, wanted).numpy() for name, maps in divergences.items()}
    return pd.DataFrame({"level": names, **columns, "cc": metrics.cc(said, target)})


def cost_table(teacher: OpenModel, student: OpenModel, repeats: int = 5) -> pd.DataFrame:
    """What teacher and student cost for a window and for a sample of distillation, a clip of sixteen frames.

    Args:
        teacher: of whom a sample needs `OpenModel.windows`.
        student: that looks once.
        repeats: measurements, of which the median counts; the two take turns, after a warm-up.

    Returns:
        a row a model: ``parameters``, ``gmac`` and ``milliseconds`` of a forward pass in eager torch, how many
        ``windows`` a sample needs, and ``sample_gmac`` and ``sample_milliseconds``.
    """
    models = (teacher, student)
    frames = np.random.default_rng(0).integers(0, 256, (CLIP_FRAMES, *INPUT_SIZE, 3), np.uint8)
    turns = np.array([[_milliseconds(model, frames) for model in models] for _ in range(repeats + 1)])
    table = pd.DataFrame(
        {
            "model": [model.name for model in models],
            "parameters": [count_parameters(model.network) for model in models],
            "gmac": [count_gmac(deepcopy(model.network), model.size) for model in models],
            "milliseconds": np.median(turns[1:], axis=0),
            "windows": [model.windows(student) for model in models],
        }
    )
    for name in ("gmac", "milliseconds"):
        table[f"sample_{name}"] = table[name] * table["windows"]
    return table


def _milliseconds(model: OpenModel, frames: Image) -> float:
    begun = time.perf_counter()
    model(frames)
    return 1e3 * (time.perf_counter() - begun)
