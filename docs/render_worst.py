"""Render the frames that go worst: ``python docs/render_worst.py GAZE SCORES MAPS...``.

Of every video the scored frame of lowest NSS, as people looked at it and as each folder of maps has it, but not the
frame itself, which may not be ours to show.
"""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tinyhd_lib import metrics, open_dataset
from tinyhd_lib.data.transforms import to_grey
from tinyhd_lib.evaluation.predictions import find_maps


def main() -> None:
    """Write ``docs/worst.jpg``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gaze", type=Path, help="a folder of videos with gaze")
    parser.add_argument("scores", type=Path, help="what evaluate wrote of the first folder of maps")
    parser.add_argument("maps", type=Path, nargs="+", help="what generate wrote")
    options = parser.parse_args()
    frames = pd.read_parquet(options.scores / "frames.parquet").query("predictor == 'prediction'").sort_values("NSS")
    index_of = frames.drop_duplicates("video").set_index("video")["index"]
    videos = {video.name: video for video in open_dataset("gaze", options.gaze).videos}
    figure = Figure(figsize=(2 * len(index_of), 1.5 * (1 + len(options.maps))), layout="constrained")
    panels = figure.subplots(1 + len(options.maps), len(index_of))
    for column, (name, index) in enumerate(index_of.items()):
        truth = videos[name].truth(index)
        panels[0, column].imshow(to_grey(truth.saliency, truth.saliency.shape), cmap="inferno")
        panels[0, column].set_title(f"{name}\nframe {videos[name].names[index]}", fontsize=8)
        for axes, folder in zip(panels[1:, column], options.maps, strict=True):
            (saliency,) = find_maps(folder, videos[name], None, optional=False).read([index])
            axes.imshow(to_grey(saliency.astype(float), truth.saliency.shape), cmap="inferno")
            axes.set_title(f"NSS {metrics.nss(saliency, truth.fixations):.2f}", fontsize=8)
    for axes in panels.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    for axes, label in zip(panels[:, 0], ["people", *(folder.name for folder in options.maps)], strict=True):
        axes.set_ylabel(label, fontsize=8)
    figure.savefig(Path(__file__).with_name("worst.jpg"), dpi=100, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()
