"""``python -m tinyhd_lib`` is ``tinyhd``."""

import sys

from tinyhd_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
