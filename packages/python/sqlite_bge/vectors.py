"""Vectors as the extension stores them: blobs of little-endian f32, 4 bytes a dimension."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def serialize_float32(vector: Iterable[float] | Any) -> bytes:
    """The blob of one vector: a list of numbers, or a one-dimensional array of any number type.

    Raises ValueError for an array of several dimensions, for no numbers at all, and for a number
    beyond the range of f32; TypeError for what is no number.
    """
    if hasattr(vector, "ndim"):
        if vector.ndim != 1:
            raise ValueError(f"the array has {vector.ndim} dimensions, expected a single vector of shape (n,)")
        vector = vector.tolist()
    import struct

    values = list(vector)
    if not values:
        raise ValueError("the vector has no numbers")
    try:
        return struct.pack(f"<{len(values)}f", *values)
    except OverflowError as error:
        raise ValueError("a number of the vector is beyond the range of f32") from error
    except struct.error as error:
        raise TypeError("the vector has something in it that is no number") from error


def deserialize(blob: bytes) -> Any:
    """The vector of a blob: a numpy array of shape (n,) and type float32, a copy that may be changed.

    Raises ValueError for a blob whose length is no multiple of 4. Needs numpy.
    """
    import numpy

    if len(blob) % 4:
        raise ValueError(f"the blob has {len(blob)} bytes, expected a multiple of 4: f32 values")
    return numpy.frombuffer(blob, dtype="<f4").astype(numpy.float32)
