"""Prediction while frames arrive: source -> queue -> ring buffer -> forward pass -> maps, each of bounded size."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
