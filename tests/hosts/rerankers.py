"""The tiny rerankers and how tests call them."""

import json
import os

import pytest
from support import FIXTURES, golden, value

CPU = open("/proc/cpuinfo").read() if os.path.exists("/proc/cpuinfo") else ""
NATIVE = "avx2" in CPU
BERT, XLMR = "tiny-reranker", "tiny-reranker-xlmr"
RERANKERS = [BERT, XLMR]
MODELS = FIXTURES / "rerankers"
QUERY = "how do i reset my device"


@pytest.fixture(autouse=True)
def rerankers_are_found(monkeypatch):
    monkeypatch.setenv("BGE_MODELS", f"{FIXTURES}{os.pathsep}{MODELS}")


def rerank(db, query, text, model=BERT):
    return value(db, "SELECT bge_rerank(?, ?, ?)", query, text, model)


def each(db, query, array, model=BERT):
    array = array if isinstance(array, str) else json.dumps(array)
    return list(db.execute("SELECT idx, text, score FROM bge_rerank_each(?, ?, ?)", (query, array, model)))


def goldens(model):
    return golden(MODELS / model / "golden.jsonl")
