"""How fast the models run here: a file for each thing that is measured, and for how the figures read.

Nothing here needs torch until something is measured in it.
"""

from benchmarks.forward import measure_rows as measure_rows
from benchmarks.subjects import random_model as random_model
