"""Graph passes, precision and the graph cache, through SQL: what bge_load takes, what bge_info and bge_models say."""

import json
import math

import pytest
from support import DIST, FIXTURES, SMALL, TINY, distance, embed, failure, floats, load, loaded, unload, value

TEXTS = ["a", "how do i reset my password", "the router blinks red " * 60]
FOLDER = f"{DIST}/models/{SMALL}"


def report(db, name):
    """What bge_info says of a loaded model."""
    return loaded(db)[name]


def passes(db, name):
    """{pass: reason why it is off, or None}"""
    found = report(db, name)["passes"]
    assert all(entry["on"] == (entry["reason"] is None) for entry in found)
    return {entry["name"]: entry["reason"] for entry in found}


def refusal(db, name, source, options):
    """Why bge_load refuses these options."""
    return str(failure(db, "SELECT bge_load(?, ?, ?)", name, str(FIXTURES / source), json.dumps(options)))


def cosine(a, b):
    a, b = floats(a), floats(b)
    return sum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b)


def test_passes_are_on_unless_told_otherwise_and_change_no_vector(db, name):
    load(db, name, FOLDER, passes="none")
    assert set(passes(db, name).values()) == {"not asked for"}
    stock = [embed(db, text, name) for text in TEXTS]
    load(db, name, FOLDER, encoder="graph")
    assert passes(db, name) == {"attention": None, "last_layer": None, "pool": None}
    assert report(db, name)["graph_cache"] == "off"
    for text, want in zip(TEXTS, stock):
        assert distance(embed(db, text, name), floats(want)) <= 1e-5
    load(db, name, FOLDER, passes=["pool"])
    assert passes(db, name) == {"attention": "not asked for", "last_layer": "not asked for", "pool": None}
    load(db, name, FOLDER, pooling="mean", encoder="graph")
    assert passes(db, name)["last_layer"] == "mean pooling uses every token"
    unload(db, name)


@pytest.mark.parametrize("encoder", ["auto", "graph"])
@pytest.mark.parametrize("precision, least", [("int8", 0.98), ("fp16", 0.9999), ("fp32", 0.999999)])
def test_precision_is_what_was_asked_for(db, name, precision, least, encoder):
    load(db, name, FOLDER, precision=precision, encoder=encoder)
    assert value(db, "SELECT precision FROM bge_models WHERE name = ?", name) == precision
    assert report(db, name)["precision"] == precision
    for text in TEXTS[1:]:
        assert cosine(embed(db, text, name), embed(db, text, SMALL)) >= least
    unload(db, name)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_precision_that_the_file_contradicts_is_an_error(db, name, precision):
    message = refusal(db, name, "tiny-bert-fp16", {"precision": precision})
    assert f"option precision is '{precision}', but " in message
    assert "tiny-bert-fp16/onnx/model.onnx computes in fp16" in message


@pytest.mark.parametrize("options", [
    {"precision": "fp64"}, {"precision": 8}, {"passes": "some"}, {"passes": ["pool", "speed"]}, {"passes": 1},
    {"graph_cache": "relative/folder"}, {"graph_cache": False},
])
def test_wrong_options_are_named(db, name, options):
    message = refusal(db, name, TINY, options)
    assert f"option {next(iter(options))} is" in message and "known are device" in message


def test_a_prepared_graph_is_kept_where_asked(db, name, tmp_path):
    cache = tmp_path / "graphs"
    states, vectors = [], []
    for _ in range(2):
        load(db, name, f"{FIXTURES}/{TINY}", precision="int8", encoder="graph", graph_cache=str(cache))
        states.append(report(db, name)["graph_cache"])
        vectors.append(embed(db, TEXTS[1], name))
    assert states == ["written", "hit"]
    assert vectors[0] == vectors[1]
    [kept] = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    load(db, name, f"{FIXTURES}/{TINY}", precision="int8", encoder="graph", graph_cache=str(cache))
    assert report(db, name)["graph_cache"].startswith("written anew")
    assert embed(db, TEXTS[1], name) == vectors[0]
    unload(db, name)
