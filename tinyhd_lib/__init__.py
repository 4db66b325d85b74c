"""TinyHD Workbench: predict, train, measure and look at video saliency.

The public names below are loaded when they are first used, so that ``tinyhd --help`` does not wait for torch.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
