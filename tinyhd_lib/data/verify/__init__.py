"""Check whether a data set is complete and consistent: read everything, and report everything that is wrong.

    report = verify(open_dataset("dhf1k", "/data/DHF1K"))
    print(report)

What can be wrong is listed in `tinyhd_lib.data.verify.findings.CHECKS`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise

from tqdm.auto import tqdm

from tinyhd_lib.data.datasets import Dataset
from tinyhd_lib.data.entries import Skipped, Video
from tinyhd_lib.data.layouts import DHF1K_SPLITS, PUBLISHED_SPLITS, PublishedSplit, dhf1k_split, movie_of
from tinyhd_lib.data.verify.findings import CHECKS, Finding, Report, SplitCounts, VideoCheck, gaps, last_number, spoken
from tinyhd_lib.data.verify.videos import check_video
from tinyhd_lib.data.video import is_video
from tinyhd_lib.engine import Client, results


def verify(dataset: Dataset, client: "Client | None" = None, *, complete: bool = False) -> Report:
    """Read every video of a data set, with a progress bar; report what is wrong in each, and between them.

    Args:
        dataset: the whole of it, or one split.
        client: of a cluster, see `tinyhd_lib.engine.connected`; None for this process.
        complete: whether to report any difference from what was published.
    """
    checked = list(tqdm(results(check_video, dataset.videos, client), "reading", len(dataset.videos), unit=" videos"))
    dataset = replace(dataset, skipped=tuple(each for each in dataset.skipped if dataset.split in (None, each.split)))
    counts = tuple(_count(dataset, checked))
    findings = chain(
        _tell_skipped(dataset),
        chain.from_iterable(result.findings for result in checked),
        _check_annotated(dataset),
        _check_repeated(dataset, checked),
        *(check(dataset) for check in _OF_KIND.get(dataset.kind.name, ())),
        _check_complete(dataset, counts) if complete else (),
    )
    ranked = sorted(findings, key=lambda finding: list(CHECKS).index(finding.check))
    first = dataset.videos[0]
    places = (first.source, first.maps, first.fixations, first.gaze)
    layout = ", ".join(place.relative_to(dataset.root).as_posix() for place in places if place)
    return Report(dataset.kind.name, dataset.root, counts, tuple(ranked), layout)


def _count(dataset: Dataset, checked: Sequence[VideoCheck]) -> Iterator[SplitCounts]:
    """Yield the counts of each split, including published splits that are missing."""
    published = {row.name: row for row in PUBLISHED_SPLITS if row.kind == dataset.kind.name}
    for split in [dataset.split] if dataset.split else dict.fromkeys([*dataset.splits, *published]):
        found = [result for video, result in zip(dataset.videos, checked, strict=True) if video.split == split]
        frames, annotated = sum(result.frames for result in found), sum(result.annotated for result in found)
        whole = published.get(split) or PublishedSplit(dataset.kind.name, split)
        yield SplitCounts(split, len(found), whole.videos, frames, whole.frames, annotated)


def _tell_skipped(dataset: Dataset) -> Iterator[Finding]:
    for file, why, split, name in dataset.skipped:
        if why.startswith(str(file)):
            yield Finding.unreadable(file, why)._replace(split=split, video=name)
        else:  # the file itself is sound, but belongs to nothing
            yield Finding("pairing", file, f"{why}; mend that, or take it away", split, name)


def _check_annotated(dataset: Dataset) -> Iterator[Finding]:
    """Yield videos without maps in splits that are scored or learnt from; see `_check_gaze_files` for gaze points."""
    for video in dataset.videos:
        expected = video.split in (dataset.kind.evaluated, dataset.kind.fitted)
        if expected and not (video.maps or video.fixations or video.gaze):
            told = "there are no maps and fixations of this video; fetch them"
            yield Finding("pairing", video.source, told, video.split, video.name)


def _check_repeated(dataset: Dataset, checked: Sequence[VideoCheck]) -> Iterator[Finding]:
    """Yield duplicate videos; a name in two splits is reported once, and only if its content is not reported."""
    contents: dict[str, Video] = {}
    names: dict[str, Video] = {}
    told: set[tuple[str, str]] = set()
    for video, result in zip(dataset.videos, checked, strict=True):
        movie = movie_of(dataset.kind.name, video.name)
        twin = contents.setdefault(result.content, video) if result.content else video
        namesake = names.setdefault(movie, video)
        if twin is not video:
            check = "duplicate" if twin.split == video.split else "leakage"
            message = f"has the same content as {twin.split}/{twin.name}; leave one of them out"
        elif namesake.split != video.split and (video.split, movie) not in told:
            check, message = "leakage", f"{movie} is in {namesake.split}, too; leave one of them out"
        else:
            continue
        if check == "leakage":
            told.add((video.split, movie))
        yield Finding(check, video.source, message, video.split, video.name)


def _check_complete(dataset: Dataset, counts: Iterable[SplitCounts]) -> Iterator[Finding]:
    """Yield splits whose counts differ from the published ones, as far as those are known."""
    for row in counts:
        if row.published_videos not in (None, row.videos) or row.published_frames not in (None, row.frames):
            frames = "" if row.published_frames is None else f", {row.frames:,} of {row.published_frames:,} frames"
            told = f"{row.split} has {row.videos:,} of {row.published_videos:,} videos{frames}"
            yield Finding("incomplete", dataset.root, f"{told}; fetch what is missing, remove the rest", row.split)


def _check_video_numbers(dataset: Dataset) -> Iterator[Finding]:
    """Yield gaps in the numbers of DHF1K's videos."""
    for split in (row.name for row in DHF1K_SPLITS):
        for missing in gaps(int(each.name) for each in _known(dataset) if each.split == split):
            file = dataset.root / "video" / f"{missing[0]:03d}.AVI"
            told = f"no video {spoken(missing)}; fetch what is missing"
            yield Finding("gap", file, told, split, f"{missing[0]:04d}")


def _check_annotation_folders(dataset: Dataset) -> Iterator[Finding]:
    """Yield DHF1K's folders of ground truth without a video."""
    known = {int(each.name) for each in _known(dataset)}
    folders = {int(folder.name): folder for folder in dataset.root.glob("annotation/*/") if folder.name.isdecimal()}
    for number, folder in sorted(folders.items()):
        split = dhf1k_split(number)
        if dataset.split in (None, split) and number not in known:
            told = "there is no such video; fetch it, or remove this folder"
            yield Finding("pairing", folder, told, split, f"{number:04d}")


def _check_shots(dataset: Dataset) -> Iterator[Finding]:
    """Yield gaps in Hollywood-2's frame numbers, which continue from shot to shot, except next to a skipped shot."""
    movies: defaultdict[tuple[str, str], dict[int, Video | Skipped]] = defaultdict(dict)
    for each in _known(dataset):
        number = last_number(each.name)
        if number is not None:
            movies[each.split, movie_of(dataset.kind.name, each.name)][number] = each
    for shots in movies.values():
        for one, other in pairwise(shots[number] for number in sorted(shots)):
            if isinstance(one, Video) and isinstance(other, Video):
                last, first = last_number(one.names[-1]), last_number(other.names[0])
                if last is not None and first is not None and first != last + 1:
                    told = f"starts with frame {first}, but {one.name} ends with {last}; fetch what is missing"
                    yield Finding("gap", other.source, told, other.split, other.name)


def _check_gaze_files(dataset: Dataset) -> Iterator[Finding]:
    """Yield videos without gaze points beside them; points without a video are reported as skipped files."""
    for file in sorted(dataset.root.iterdir()):
        if is_video(file) and not file.with_suffix(".npz").exists():
            told = f"there is no {file.stem}.npz with its gaze points; fetch it"
            yield Finding("pairing", file, told, "all", file.stem)


_OF_KIND: dict[str, tuple[Callable[[Dataset], Iterator[Finding]], ...]] = {
    "dhf1k": (_check_video_numbers, _check_annotation_folders),
    "hollywood2": (_check_shots,),
    "gaze": (_check_gaze_files,),
}
"""Checks for a single kind of data set."""


def _known(dataset: Dataset) -> tuple[Video | Skipped, ...]:
    """Return every video that exists, usable or not."""
    return (*dataset.videos, *dataset.skipped)
