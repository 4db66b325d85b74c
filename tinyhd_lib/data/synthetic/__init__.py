"""Small synthetic data sets in the layouts of the real ones, with observers whose true gaze density is known.

    for video in synthesise("dhf1k", Path("made_up")):
        ...  # as many as there are splits x videos
    clip = VideoSettings(**json.loads(Path("made_up/synthetic.json").read_bytes())["videos"]["0601"]).clip()
    density(clip, 0)  # (H, W): where observers look in the first frame of video 601, exactly

The same arguments give the same bytes (those of videos as far as the same encoders run on the same machine).

Each kind has one function that writes its videos below a root, one at a time, with the peculiarities of the real
layout. However a layout numbers frames, the first frame of a video is frame 0 of the clip that its recipe makes.
"""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from scipy.io import savemat

from tinyhd_lib.data.gaze import ASSUMED_WIDTH_DEGREES, Gaze, blur, gaze_file
from tinyhd_lib.data.images import as_png, encode_grey
from tinyhd_lib.data.layouts import DHF1K_SPLITS
from tinyhd_lib.data.synthetic import scenes
from tinyhd_lib.data.synthetic.observers import simulate_observers
from tinyhd_lib.data.transforms import Image
from tinyhd_lib.data.writer import VideoWriter
from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import appears_whole, write_atomically

SMALLEST = 32
"""Smallest side in pixels: below, objects would be specks."""

_UCF_CLASSES = ("Diving-Side", "Golf-Swing-Back", "Kicking-Front", "Lifting", "Riding-Horse", "Run-Side")
_KINETICS_CLASSES = ("abseiling", "air drumming", "archery")

RECORD_NAME = "synthetic.json"
"""The file that marks a data set as synthetic, and tells how it was made."""


class VideoSettings(NamedTuple):
    """Everything that decides a video and its gaze: the arguments of `make_video` and of `simulate_observers`.

    Attributes:
        seed: of the clip.
        frames: of each of its shots.
        size: (H, W).
        shot: the only one that the video shows, counted from 0; None if it shows all of them.
        observers: number of observers; 0 if the data set has no gaze for this video.
        observers_seed: of their gaze.
    """

    seed: int
    frames: tuple[int, ...]
    size: tuple[int, int]
    observers: int
    observers_seed: int
    shot: int | None = None

    def clip(self) -> scenes.SyntheticVideo:
        clip = scenes.make_video(self.seed, self.frames, self.size)
        return clip if self.shot is None else replace(clip, shots=(clip.shots[self.shot],))

    def gaze(self) -> Gaze:
        return simulate_observers(self.clip(), self.observers, self.observers_seed)


class Order(NamedTuple):
    """Say what a data set is to hold.

    Attributes:
        videos: number of videos in each split.
        frames: of a video; UCF-Sports gets some shorter ones, as in the real data set.
        size: (H, W) in pixels; UCF-Sports gets others, too.
        observers: of each video, if the layout holds their gaze.
        seed: of everything else.
    """

    videos: int = 3
    frames: int = 24
    size: tuple[int, int] = (96, 160)
    observers: int = 12
    seed: int = 0

    def recipe(self, number: int, **changes: Any) -> VideoSettings:
        """Return the settings of the video of this number, unique in the set: by default with a cut after two thirds.

        The shot after the cut is shorter than a window; a video that is too short has no cut.
        """
        seed, observers_seed = (int(word) for word in np.random.SeedSequence((self.seed, number)).generate_state(2))
        last = min(self.frames // 3, 13)
        shots = (self.frames - last, last) if last else (self.frames,)
        return VideoSettings(seed, shots, self.size, self.observers, observers_seed)._replace(**changes)


def synthesise(kind: str, folder: Path, **options: Any) -> Iterator[Path]:
    """Write a data set as you iterate; the folder appears, complete, after the last video.

    Args:
        kind: one of `WRITERS`.
        folder: the root of the set, which must not exist, or be empty.
        options: of an `Order`: ``videos``, ``frames``, ``size``, ``observers`` and ``seed``.

    Returns:
        where each video will be, file or folder, as soon as it is finished.

    Raises:
        BadInput: at once, if an argument cannot be used; nothing is written then.
        OSError: while writing (no space, no permission); nothing is left behind.
    """
    if kind not in WRITERS:
        raise BadInput(f"kind {kind!r}: no such data set can be made up; choose from {', '.join(WRITERS)}")
    order = Order(**options)
    for name, least in {"videos": 1, "frames": 1, "observers": 1, "seed": 0}.items():
        if getattr(order, name) < least:
            raise BadInput(f"{name} {getattr(order, name)}: too low; give {least} or more")
    most = min(len(split.numbers) for split in DHF1K_SPLITS)
    if kind == "dhf1k" and order.videos > most:
        raise BadInput(f"videos {order.videos}: DHF1K's splits have numbers for fewer; give at most {most}")
    height, width = order.size
    if min(height, width) < SMALLEST or height % 2 or width % 2:
        raise BadInput(f"size {height}x{width} (HxW): only even sides, with room for things; give {SMALLEST} or more")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: it exists and is not empty, and nothing is overwritten; name another folder")
    return _build(kind, folder, order)


def synthesise_once(kind: str, folder: Path, **options: Any) -> Path:
    """Write a data set, unless the same one is there already; return its folder.

    The arguments are those of `synthesise`.

    Raises:
        BadInput: an argument cannot be used, or something else is there.
    """
    if not (folder / RECORD_NAME).exists():
        for _ in synthesise(kind, folder, **options):
            pass
    record = json.loads((folder / RECORD_NAME).read_bytes())
    if (record["kind"], record["order"]) != (kind, json.loads(json.dumps(Order(**options)._asdict()))):
        raise BadInput(f"{folder}: holds another made-up data set; name another folder, or remove it")
    return folder


def _build(kind: str, folder: Path, order: Order) -> Iterator[Path]:
    """Write everything into a temporary folder, which is moved to its place in one step."""
    with appears_whole(folder.absolute()) as partial:
        shutil.rmtree(partial, ignore_errors=True)  # what a killed run left behind
        partial.mkdir(parents=True)
        made = {}
        for name, path, recipe in WRITERS[kind](partial, order):
            made[name] = recipe._asdict()
            yield folder / path.relative_to(partial)
        record = {
            "synthetic": "made up by a program; the gaze is simulated, and nobody is to be seen",
            "kind": kind,
            "order": order._asdict(),
            "habits": asdict(scenes.GazeModel()),
            "videos": made,
        }
        (partial / RECORD_NAME).write_text(json.dumps(record, indent=1))
        if folder.exists():
            folder.rmdir()


Made = tuple[str, Path, VideoSettings]
"""A finished video: its name in the data set, its file or folder, and its settings."""


def _write_dhf1k(root: Path, order: Order) -> Iterator[Made]:
    for split in DHF1K_SPLITS:
        for number in split.numbers[: order.videos]:
            recipe = order.recipe(number, observers=0 if split.name == "test" else order.observers)
            path = root / "video" / f"{number:03d}.AVI"
            write_avi(path, recipe.clip())
            folder = root / "annotation" / f"{number:04d}"
            for count, fixations in enumerate(_write_truth(folder, "{:04d}.png", recipe), start=1):
                write_atomically(folder / "fixation" / "maps" / f"{count:04d}.mat", mat(fixations))
            yield folder.name, path, recipe


def _write_ucf(root: Path, order: Order) -> Iterator[Made]:
    height, width = order.size
    sizes = ((height, width), (height, _even(width * 3 / 4)), (_even(height * 3 / 4), width))
    for number, (split, position) in enumerate(product(("training", "testing"), range(order.videos))):
        group, kind = divmod(number, len(_UCF_CLASSES))
        # Real videos can be shorter than a window; but with one video per split, the one for training is not.
        short = position == order.videos - 1 and number > 0
        frames = {"frames": (min(order.frames, 11),)} if short else {}
        recipe = order.recipe(number, size=sizes[number % len(sizes)], **frames)
        name = f"{_UCF_CLASSES[kind]}{{}}{group + 1:03d}"
        folder = root / split / name.format("-")
        _write_frames(folder, name.format("_") + "_{:03d}.png", recipe)
        yield folder.name, folder, recipe


def _write_hollywood2(root: Path, order: Order) -> Iterator[Made]:
    for number, (split, position) in enumerate(product(("training", "testing"), range(order.videos))):
        name = f"actionclip{split.removesuffix('ing')}{position + 1:05d}"
        video = order.recipe(2 * number)
        for shot in range(len(video.frames)):
            # The shots are of one clip, but observers watch them separately.
            recipe = video._replace(shot=shot, observers_seed=order.recipe(2 * number + shot).observers_seed)
            folder = root / split / f"{name}_{shot + 1}"
            _write_frames(folder, name + "_{:05d}.png", recipe, first=1 + sum(video.frames[:shot]))
            yield folder.name, folder, recipe


def _write_kinetics(root: Path, order: Order) -> Iterator[Made]:
    for number, (split, position) in enumerate(product(("train", "val"), range(order.videos))):
        folder = root / split / _KINETICS_CLASSES[position % len(_KINETICS_CLASSES)]
        recipe = order.recipe(number, observers=0)
        path = folder / f"synth{number:06d}_000000_000010.mp4"
        write_mp4(path, recipe.clip())
        if position == 0:
            # Like an interrupted download: the index, which comes last, is missing.
            content = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\1\0\0mdat" + bytes(4096)
            write_atomically(folder / "synthbroken_000000_000010.mp4", content)
        yield f"{folder.name}/{path.stem}", path, recipe


def _write_folder(root: Path, order: Order, observers: int = 0) -> Iterator[Made]:
    for number in range(order.videos):
        path, recipe = root / f"clip_{number:03d}.mp4", order.recipe(number, observers=observers)
        write_mp4(path, recipe.clip())
        yield path.stem, path, recipe


def _write_gaze(root: Path, order: Order) -> Iterator[Made]:
    described = {}
    for name, path, recipe in _write_folder(root, order, order.observers):
        gaze, fps = recipe.gaze(), float(recipe.clip().rate)
        height, width = gaze.size
        write_atomically(path.with_suffix(".npz"), gaze_file(gaze, fps))
        described[name] = {
            "frames": gaze.frames,
            "fps": fps,
            "width": width,
            "height": height,
            "viewers": recipe.observers,
            "gaze_points": len(gaze.frame),
            "pixels_per_degree": width / ASSUMED_WIDTH_DEGREES,
        }
        yield name, path, recipe
    write_atomically(root / "GAZE.json", json.dumps(described, indent=1).encode())


def _write_avimos(root: Path, order: Order) -> Iterator[Made]:
    for number, (split, _) in enumerate(product(("Train", "Test"), range(order.videos))):
        recipe = order.recipe(number)
        path = root / "Videos" / f"{number:03d}.mp4"
        write_mp4(path, recipe.clip())
        gaze, folder = recipe.gaze(), root / f"Fixations{split}" / split / path.stem
        frames = [gaze.at(index) for index in range(gaze.frames)]
        points = [np.rint(np.stack([each.x, each.y], axis=1)).astype(int).tolist() for each in frames]
        write_atomically(folder / "fixations.json", json.dumps(points).encode())
        for index, each in enumerate(frames):
            fixations = 255 * (each.counts() > 0).astype(np.uint8)
            write_atomically(folder / "fixations" / f"{index:05d}.png", encode_grey(fixations))
        yield path.stem, path, recipe


WRITERS: dict[str, Callable[[Path, Order], Iterator[Made]]] = {
    "dhf1k": _write_dhf1k,
    "ucf": _write_ucf,
    "hollywood2": _write_hollywood2,
    "kinetics": _write_kinetics,
    "folder": _write_folder,
    "gaze": _write_gaze,
    "avimos": _write_avimos,
}
"""The function that writes each kind below a root; it yields every video as soon as it is finished."""


def _even(length: float) -> int:
    """Return the nearest even length, as H.264 needs, but at least `SMALLEST`."""
    return max(SMALLEST, 2 * round(length / 2))


def _write_truth(folder: Path, pattern: str, recipe: VideoSettings, first: int = 1) -> Iterator[Image]:
    """Write the maps and fixations of a video, one file per frame, numbered from ``first``; none without observers.

    Yields:
        (H, W) uint8 fixation map of each frame, of 0 and 1.
    """
    gaze = recipe.gaze()
    for index in range(gaze.frames if recipe.observers else 0):
        name, fixations = pattern.format(first + index), (gaze.at(index).counts() > 0).astype(np.uint8)
        write_atomically(folder / "maps" / name, encode_grey(ground_truth(fixations)))
        write_atomically(folder / "fixation" / name, encode_grey(fixations * 255))
        yield fixations


def _write_frames(folder: Path, pattern: str, recipe: VideoSettings, first: int = 1) -> None:
    """Write the frames, maps and fixations of a video with observers, likewise."""
    clip = recipe.clip()
    for index, _ in enumerate(_write_truth(folder, pattern, recipe, first)):
        write_atomically(folder / "images" / pattern.format(first + index), as_png(scenes.render(clip, index)))


_MAT_HEADER = b"MATLAB 5.0 MAT-file, synthetic".ljust(116)


def ground_truth(fixations: Image) -> Image:
    """Return the saliency map of fixations, as data sets have it: blurred by one degree, its maximum white.

    Args:
        fixations: (H, W), 0 and 1.

    Returns:
        (H, W) uint8; black without fixations.
    """
    blurred = blur(fixations.astype(np.float32), fixations.shape[1] / ASSUMED_WIDTH_DEGREES)
    return np.rint(blurred * (255 / (blurred.max() or 1))).astype(np.uint8)


def write_mp4(path: Path, clip: scenes.SyntheticVideo) -> None:
    with VideoWriter(path, clip.rate) as video:
        for index in range(clip.frames):
            video.write(scenes.render(clip, index), float(index / clip.rate))


def write_avi(path: Path, clip: scenes.SyntheticVideo) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path.absolute()), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=clip.rate, options={"flags": "+qscale", "global_quality": "354"})
        stream.height, stream.width, stream.pix_fmt = *clip.size, "yuv420p"
        for index in range(clip.frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scenes.render(clip, index), format="rgb24")))
        container.mux(stream.encode(None))


def mat(fixations: Image) -> bytes:
    """Return a fixation map as MATLAB saves it."""
    file = io.BytesIO()
    savemat(file, {"I": fixations}, do_compression=True)
    # The header is free text; the date in it would make every file different.
    return _MAT_HEADER + file.getvalue()[len(_MAT_HEADER) :]
