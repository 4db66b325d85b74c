"""Grey levels as PNG files, compressed by ISA-L: as small as OpenCV makes them, in a quarter of the time.

Source: the PNG specification (W3C, third edition), sections 5 (chunks), 9 (filters) and 11.2 (what the chunks hold).
"""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY = 0
_UP = 2  # each byte less the one above it: maps are smooth


def encode_grey(levels: npt.NDArray[Any]) -> bytes:
    """A picture of grey levels, (H, W) uint8 or uint16, as the content of a PNG file."""
    height, width = levels.shape
    depth = 8 * levels.itemsize
    rows = np.ascontiguousarray(levels, levels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, depth, _GREY, 0, 0, 0)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", isal_zlib.compress(filtered, 1)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = isal_zlib.crc32(content, isal_zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)))
