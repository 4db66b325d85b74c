"""``tinyhd weights``."""

import argparse
import sys
from pathlib import Path

from tinyhd_lib.errors import BadInput
from tinyhd_lib.files import sha256
from tinyhd_lib.models.registry import LICENCE_NOTE, OWN, PUBLISHED, TEACHER_NOTE, OwnWeights, PublishedWeights
from tinyhd_lib.models.weights import download, locate_weights


def list_weights(options: argparse.Namespace) -> int:
    """``tinyhd weights list``: a table, in Markdown if asked; ours come first."""
    header = ("name", "model", "parameters", "trained on", "NSS", "CC", "SHA-256 known")
    rows = [header, *map(_own_row, OWN.values()), *map(_row, PUBLISHED.values())]
    if options.markdown:
        rows.insert(1, ("---",) * len(header))
        sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in rows)
        return 0
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    sys.stdout.write("\nNSS and CC: the authors' own, DHF1K validation set (mean over frames, then over videos).\n")
    sys.stdout.write(
        "Workbench: trained by this project and part of it; what they are worth, and their licence lineage, "
    )
    sys.stdout.write("is in the cards in weights/.\n")
    sys.stdout.write(f"Published students: {LICENCE_NOTE}.\nTeacher: {TEACHER_NOTE}.\n")
    return 0


def _own_row(weights: OwnWeights) -> tuple[str, ...]:
    return weights.name, weights.spec.label, f"{weights.parameters:,}", weights.learnt_from, "-", "-", "yes"


def _row(weights: PublishedWeights) -> tuple[str, ...]:
    nss, cc = (f"{weights.figures[name]:.4f}" if name in weights.figures else "-" for name in ("NSS", "CC"))
    known = "yes" if weights.sha256 else "no"
    return weights.name, weights.spec.label, f"{weights.parameters:,}", weights.dataset, nss, cc, known


def get_weights(options: argparse.Namespace) -> int:
    """``tinyhd weights get NAME``: the verified file's path."""
    if options.name not in PUBLISHED:
        locate_weights(options.name)  # says which names are near
        raise BadInput(f"{options.name}: a file, not the name of published weights")
    sys.stdout.write(f"{download(PUBLISHED[options.name])}\n")
    return 0


def convert_weights(options: argparse.Namespace) -> int:
    """``tinyhd weights convert FILE``."""
    from tinyhd_lib.models.checkpoints import convert

    source = locate_weights(options.file)
    out = Path(options.out) if options.out else source.with_suffix(".safetensors")
    if out.suffix != ".safetensors":
        raise BadInput(f"--out {out}: a .safetensors file")
    model = convert(source, out)
    sys.stdout.write(f"{out}: {model.spec.label}\n")
    return 0


def halve_weights(options: argparse.Namespace) -> int:
    """``tinyhd weights halve FILE``."""
    from tinyhd_lib.models.checkpoints import halve

    out = Path(options.out)
    model = halve(locate_weights(options.file), out)
    sys.stdout.write(f"{out}: {model.spec.label}, SHA-256 {sha256(out)}\n")
    return 0
