"""Blobs and numbers: what Python writes the extension reads, and the other way round."""

import sqlite_bge
import numpy
import pytest


@pytest.mark.parametrize("vector", [[0.5, -1.25], (0.5, -1.25), numpy.array([0.5, -1.25]),
                                    numpy.array([0.5, -1.25], dtype=">f4"), iter([0.5, -1.25])])
def test_what_is_written_is_read_by_the_extension(db, vector):
    blob = sqlite_bge.serialize_float32(vector)
    assert db.execute("SELECT bge_to_json(?)", (blob,)).fetchone() == ("[0.5,-1.25]",)


def test_what_the_extension_makes_is_read(db):
    blob = db.execute("SELECT bge_embed('router')").fetchone()[0]
    vector = sqlite_bge.deserialize(blob)
    assert (vector.shape, vector.dtype) == ((384,), numpy.float32)
    assert abs(numpy.linalg.norm(vector) - 1) < 1e-6
    vector *= 2  # a copy of one's own
    assert sqlite_bge.serialize_float32(vector / 2) == blob


@pytest.mark.parametrize("vector, error, said", [
    (numpy.zeros((2, 3)), ValueError, "2 dimensions, expected a single vector"),
    ([], ValueError, "has no numbers"), ([1e39], ValueError, "beyond the range of f32"),
    (["a"], TypeError, "no number"), ([None], TypeError, "no number"), (3, TypeError, "not iterable")])
def test_what_is_no_vector_is_said(vector, error, said):
    with pytest.raises(error, match=said):
        sqlite_bge.serialize_float32(vector)


def test_a_blob_of_a_wrong_length_is_said():
    with pytest.raises(ValueError, match="5 bytes, expected a multiple of 4"):
        sqlite_bge.deserialize(b"12345")
