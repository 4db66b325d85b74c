"""``tinyhd export``."""

import argparse
import logging
from pathlib import Path

from tinyhd_lib.export import FORMATS, INPUTS, export_model
from tinyhd_lib.export.parity import FILM

logger = logging.getLogger(__name__)


def export(options: argparse.Namespace) -> int:
    """``tinyhd export``: the file, and how exact it is."""
    suffixes = FORMATS[options.to].suffixes
    path = Path(options.out or f"{Path(options.model).stem}{suffixes[-1]}")
    logger.info("exporting %s to %s and running it: half a minute", options.model, path)
    parity = export_model(options.model, path, options.to, options.input, force=options.force)
    size = sum(path.with_suffix(suffix).stat().st_size for suffix in suffixes)
    logger.info("takes %s", INPUTS[options.input])
    logger.info(
        "against torch, %d maps of %s: greatest difference %.1e, least CC %.6f",
        parity.maps,
        FILM,
        parity.difference,
        parity.cc,
    )
    logger.info("%.1f MB -> %s", size / 1e6, " and ".join(str(path.with_suffix(suffix)) for suffix in suffixes))
    return 0
