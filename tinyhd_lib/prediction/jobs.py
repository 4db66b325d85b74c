"""From what people name (videos, folders of videos, a data set) to the jobs that predict it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tinyhd_lib.data.datasets import Dataset, Found, check_names, videos_below
from tinyhd_lib.data.video import holds_images
from tinyhd_lib.errors import BadInput
from tinyhd_lib.prediction.files import Job
from tinyhd_lib.prediction.options import PredictOptions


def is_collection(path: Path) -> bool:
    """Tell whether a path is a folder of videos, rather than a video or its frames."""
    return path.is_dir() and not holds_images(path)


def job_of(video: Path, out: Path | None, overlay: Path | None, options: PredictOptions) -> Job:
    """Return the job of a single video, into ``VIDEO_saliency`` by default.

    Raises:
        BadInput: see `Job`.
    """
    return Job(video, out or Path(f"{video.stem}_saliency"), overlay, **vars(options))


def jobs_of(videos: Sequence[Path], out: Path | None, overlay: Path | None, options: PredictOptions) -> list[Job]:
    """Return the jobs of several videos, a folder each.

    Args:
        videos: videos, and folders of videos at any depth.
        out: where the folders go; ``FOLDER_saliency`` or ``saliency`` by default.
        overlay: a folder of overlay videos, None for none.
        options: of each.

    Raises:
        BadInput: results would mix, or see `Job` and `videos_below`.
    """
    if overlay and overlay.suffix:
        raise BadInput(f"`overlay` {overlay}: with several videos it names a folder of overlay videos")
    only = videos[0] if len(videos) == 1 else None
    out = out or Path(f"{only.resolve().name}_saliency" if only else "saliency")
    places = [place for place in (out, overlay) if place]
    found: list[Found] = []
    for path in videos:
        if not is_collection(path):
            found.append(Found(path, path.name if path.is_dir() else path.stem))
            continue
        if any(place.resolve() == path.resolve() for place in places):
            raise BadInput(f"{path}: holds the videos; give another `out` or `overlay`")
        found += videos_below(path, places)
    repeated = [name for name, count in Counter(each.name for each in found).items() if count > 1]
    if repeated:
        raise BadInput(
            f"several videos are called {repeated[0]!r}: their results would mix; give the folder that holds them all"
        )
    return [
        Job(path, out / name, overlay / f"{name}.mp4" if overlay else None, **vars(options)) for path, name in found
    ]


def dataset_jobs(dataset: Dataset, out: Path, options: PredictOptions) -> list[Job]:
    """Return the jobs of a data set's videos, named as published.

    Raises:
        BadInput: two videos have one name.
    """
    check_names(dataset.videos)
    return [Job(video.source, out / video.name, names=video.names, **vars(options)) for video in dataset.videos]
