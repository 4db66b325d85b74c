"""A viewer for Jupyter: saliency laid over a video, frame by frame."""

from tinyhd_lib.viewer.widget import SaliencyViewer

__all__ = ["SaliencyViewer"]
