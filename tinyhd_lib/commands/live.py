"""``tinyhd live``."""

import argparse
import logging
import sys
from dataclasses import fields
from pathlib import Path

from tinyhd_lib.live.options import LiveOptions
from tinyhd_lib.live.session import watch
from tinyhd_lib.live.statistics import Statistics
from tinyhd_lib.prediction.options import Drawing

logger = logging.getLogger(__name__)


def live(options: argparse.Namespace) -> int:
    """``tinyhd live``: the end of the source or of ``--seconds``, and Ctrl-C, are all a normal end."""
    values = {each.name: getattr(options, each.name) for each in fields(LiveOptions) if each.name != "drawing"}
    values |= {name: Path(values[name]) for name in ("out", "overlay", "json") if values[name]}
    values["drawing"] = Drawing(**{each.name: getattr(options, each.name) for each in fields(Drawing)})
    for item in watch(LiveOptions(**values)):
        if isinstance(item, Statistics):
            logger.info("%s", item)
        else:
            sys.stdout.write(f"{item.to_string(header=False)}\n")
    return 0
