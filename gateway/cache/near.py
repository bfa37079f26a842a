"""Pictures that look the same: found by a perceptual hash, and then looked at cell by cell, since a hash alone is wrong too often.

    vg:1:h:SCOPE:CHOICE:FEATURES:BAND:BYTE     the last pictures whose hash has this byte there: the hash, the SHA-256 of the bytes
    vg:1:s:SCOPE:CHOICE:FEATURES:BYTES         a picture's sketch: width, height, 24 x 24 cells of red, green and blue, deflated

Two hashes that differ in at most seven of 64 bits (`options.NEAR_MAX`) have at least one of their eight bytes in common, so eight look-ups
find every candidate.
Source: difference hash, https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from gateway.cache.keys import VERSION, Place
from gateway.cache.store import Entry, Store
from providers.images import Image

_CELLS = 24
_PLAIN_DEVIATION = 6.0
"""Of 255 levels. A picture without structure, such as a white page, has the hash of every other one."""

_MEAN_DIFFERENCE_MAX = 4.0
_CELL_DIFFERENCE_MAX = 24
"""Levels of 255. Saving with loss and scaling move cells by two or three; a thing more, or one less, moves some by far more."""

_SHAPE_DIFFERENCE_MAX = 0.02
_REMEMBERED = 64
"""Pictures a byte of the hash; the oldest are forgotten first."""

_LOOKED_AT = 8
_MEMBER = struct.Struct(">Q32s")
_SIZE = struct.Struct(">II")

Cells = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture looks: a hash of 64 bits, its size, and its cells (24, 24, 3)."""

    hash: int
    width: int
    height: int
    cells: Cells

    def resembles(self, other: "Look") -> bool:
        """Whether they are one picture to the eye: of the same shape, and everywhere of the same colour."""
        shapes = abs(self.width * other.height - other.width * self.height) / (other.width * self.height)
        difference = np.abs(self.cells - other.cells)
        close = float(difference.mean()) <= _MEAN_DIFFERENCE_MAX and int(difference.max()) <= _CELL_DIFFERENCE_MAX
        return shapes <= _SHAPE_DIFFERENCE_MAX and close

    def packed(self) -> bytes:
        """Its sketch."""
        return _SIZE.pack(self.width, self.height) + zlib.compress(self.cells.astype(np.uint8).tobytes(), 1)


def look_of(image: Image) -> Look | None:
    """How a picture looks; None where it is so plain that it looks like any other plain one."""
    picture = PIL.Image.fromarray(image.pixels)
    cells = np.asarray(picture.resize((_CELLS, _CELLS), PIL.Image.Resampling.BOX), np.int16)
    if float(cells.mean(axis=2).std()) < _PLAIN_DEVIATION:
        return None
    steps = np.asarray(picture.convert("L").resize((9, 8), PIL.Image.Resampling.BOX), np.int16)
    bits = (steps[:, 1:] > steps[:, :-1]).flatten()
    return Look(int.from_bytes(np.packbits(bits).tobytes(), "big"), image.width, image.height, cells)


class NearIndex:
    """The looks of kept pictures, in the store beside their answers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def remember(self, place: Place, digest: str, look: Look, ttl_s: int) -> None:
        """An answer for a picture that looks so is kept."""
        keys = _band_keys(place, look.hash)
        member = _MEMBER.pack(look.hash, bytes.fromhex(digest))
        kept = _REMEMBERED * _MEMBER.size
        entries = [
            Entry(key, (member + (value or b"").replace(member, b""))[:kept], ttl_s)
            for key, value in zip(keys, self._store.get_many(keys), strict=True)
        ]
        self._store.put([*entries, Entry(_sketch_key(place, digest), look.packed(), ttl_s)])

    def nearest(self, place: Place, look: Look, distance_max: int) -> list[tuple[int, str]]:
        """Kept pictures that look the same, the nearest first: how many bits of the hash differ, and the SHA-256 of their bytes."""
        members = {member for value in self._store.get_many(_band_keys(place, look.hash)) for member in _members(value)}
        near = sorted((distance, digest) for hashed, digest in members if (distance := (hashed ^ look.hash).bit_count()) <= distance_max)
        near = near[:_LOOKED_AT]
        sketches = self._store.get_many([_sketch_key(place, digest) for _, digest in near]) if near else []
        return [found for found, sketch in zip(near, sketches, strict=True) if (other := _look(sketch)) and look.resembles(other)]


def _band_keys(place: Place, hashed: int) -> list[str]:
    rest = f"{place.scope}:{place.choice}:{place.features}"
    return [f"vg:{VERSION}:h:{rest}:{band}:{byte:02x}" for band, byte in enumerate(hashed.to_bytes(8, "big"))]


def _sketch_key(place: Place, digest: str) -> str:
    return f"vg:{VERSION}:s:{place.scope}:{place.choice}:{place.features}:{digest}"


def _members(value: bytes | None) -> Iterable[tuple[int, str]]:
    if not value or len(value) % _MEMBER.size:
        return ()
    return ((hashed, digest.hex()) for hashed, digest in _MEMBER.iter_unpack(value))


def _look(sketch: bytes | None) -> Look | None:
    """None for what is missing or damaged."""
    try:
        width, height = _SIZE.unpack_from(sketch or b"")
        cells = np.frombuffer(zlib.decompressobj().decompress((sketch or b"")[_SIZE.size :], 3 * _CELLS**2), np.uint8)
        return Look(0, width, height, cells.reshape(_CELLS, _CELLS, 3).astype(np.int16)) if width and height else None
    except (struct.error, zlib.error, ValueError):
        return None
