"""The native encoder under the head of a reranker: the graph's scores, and what it cannot run."""

import json
import os
import subprocess
import sys

import pytest
from rerankers import (BERT, CPU, MODELS, NATIVE, XLMR, each, goldens, rerank,
                       rerankers_are_found)  # noqa: F401
from support import failure, load, loaded

needs_kernels = pytest.mark.skipif(not NATIVE, reason="this CPU has no AVX2")


@needs_kernels
def test_the_native_encoder_gives_the_graphs_scores(db, name):
    load(db, name, MODELS / BERT, encoder="graph")
    assert loaded(db)[name]["encoder"] == {"kind": "graph", "reason": "option encoder is 'graph'"}
    rows = goldens(BERT)
    graph = [rerank(db, row["query"], row["text"], name) for row in rows]
    load(db, name, MODELS / BERT, encoder="native")
    kind = loaded(db)[name]["encoder"]
    assert kind["kind"] == "native" and kind["weights"] == "packed when the model was loaded" and kind["reason"] is None
    assert loaded(db)[name]["passes"] == [{"name": "attention", "on": False, "reason": "the native encoder runs"}]
    for row, other in zip(rows, graph, strict=True):
        own = rerank(db, row["query"], row["text"], name)
        assert own == pytest.approx(other, abs=1e-5) and own == pytest.approx(row["score"], abs=1e-5), row["note"]
    query = rows[0]["query"]
    same = [(row, other) for row, other in zip(rows, graph, strict=True) if row["query"] == query]
    for (_, _, own), (row, other) in zip(each(db, query, [row["text"] for row, _ in same], name), same, strict=True):
        assert own == pytest.approx(other, abs=1e-5), row["note"]


@needs_kernels
def test_it_runs_by_default_and_on_every_kind_of_kernels(name):
    code = ("import json, sys; from support import *; db = connect(); load(db, 'm', sys.argv[1])\n"
            "scores = [value(db, 'SELECT bge_rerank(?, ?, ?)', row['query'], row['text'], 'm') for row in json.loads(sys.argv[2])]\n"
            "print(json.dumps([loaded(db)['m']['encoder'], scores]))")
    rows = goldens(BERT)
    for kernels, flag in (("avx512_bf16", "avx512_bf16"), ("avx512", "avx512_vnni"), ("avx2", "avx2"), ("none", "")):
        if flag not in CPU:
            continue
        environment = {**os.environ, "BGE_KERNELS": kernels, "PYTHONPATH": os.path.dirname(__file__)}
        done = subprocess.run([sys.executable, "-c", code, str(MODELS / BERT), json.dumps(rows)], env=environment,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        kind, scores = json.loads(done.stdout)
        if kernels == "none":
            assert kind == {"kind": "graph", "reason": "BGE_KERNELS is 'none'"}
        else:
            assert (kind["kind"], kind["kernels"]) == ("native", kernels)
        assert scores == pytest.approx([row["score"] for row in rows], abs=1e-5), kernels


@pytest.mark.parametrize("model, options, why", [
    (BERT, {"passes": "all"}, "option passes is for the graph"),
    (BERT, {"precision": "fp16"}, "precision 'fp16' is for the graph"),
    (XLMR, {}, "the graph is not BERT's"),
])
def test_what_it_cannot_run_runs_as_its_graph_and_says_why(db, name, model, options, why):
    load(db, name, MODELS / model, **options)
    kind = loaded(db)[name]["encoder"]
    assert kind["kind"] == "graph" and (why in kind["reason"] or not NATIVE), kind


@pytest.mark.parametrize("options, asked", [
    ({"encoder": "native"}, "option encoder is 'native', and"),
    ({"precision": "bf16"}, "option precision is 'bf16', which the native encoder alone has, and"),
])
def test_what_only_it_has_is_refused_where_it_cannot_run(db, name, options, asked):
    message = str(failure(db, "SELECT bge_load(?, ?, ?)", name, str(MODELS / XLMR), json.dumps(options)))
    assert asked in message and "the graph is not BERT's" in message or not NATIVE, message
    assert "leave the option out" in message and name not in loaded(db)
