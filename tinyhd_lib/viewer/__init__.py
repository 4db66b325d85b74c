"""A viewer for Jupyter: saliency maps over a video, frame by frame."""

from tinyhd_lib.errors import refusing

with refusing("the viewer needs more", ModuleNotFoundError, remedy="pip install -e '.[notebooks]' from the checkout"):
    from tinyhd_lib.viewer.widget import SaliencyViewer, SaliencyViewers

__all__ = ["SaliencyViewer", "SaliencyViewers"]
