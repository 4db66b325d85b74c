"""A viewer for Jupyter: saliency laid over a video, frame by frame."""

from tinyhd_lib.errors import BadInput

try:
    from tinyhd_lib.viewer.several import SaliencyViewers
    from tinyhd_lib.viewer.widget import SaliencyViewer
except ModuleNotFoundError as error:
    raise BadInput(
        f"the viewer needs {error.name}, which is not installed; pip install -e '.[notebooks]' from the checkout"
    ) from error

__all__ = ["SaliencyViewer", "SaliencyViewers"]
