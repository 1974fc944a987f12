"""The plugin of llm: its embedding commands with our models, and its blobs in our SQL."""

import json
import sqlite3

import pytest
import sqlite_bge
import support


@pytest.fixture
def llm(tmp_path):
    def run(*arguments, **options):
        return support.run(support.BIN / "llm", *arguments, env=support.environment(LLM_USER_PATH=str(tmp_path)), **options)

    return run


def test_a_text_becomes_our_vector(llm, db):
    got = json.loads(llm("embed", "-m", support.MODEL, "-c", "how do I reset it").stdout)
    wanted = sqlite_bge.deserialize(db.execute("SELECT bge_embed('how do I reset it')").fetchone()[0])
    assert len(got) == 384 and max(abs(a - b) for a, b in zip(got, wanted)) < 1e-6


def test_many_texts_and_what_is_similar(llm, tmp_path):
    path = tmp_path / "notes.db"
    rows = json.dumps([{"id": title, "body": body} for title, body in support.ROWS])
    llm("embed-multi", "desk", "-m", support.MODEL, "-d", path, "--store", "--format", "json", "-", input=rows, stdin=None)
    similar = [json.loads(line) for line in llm("similar", "desk", "-d", path, "-c", "reset my device", "-n", "1").stdout.splitlines()]
    assert similar[0]["id"] == "Router"
    db = sqlite3.connect(path)
    sqlite_bge.load(db)
    best = db.execute("SELECT id, bge_cosine(embedding, bge_embed('reset my device')) AS c FROM embeddings ORDER BY c DESC").fetchone()
    assert best[0] == "Router" and abs(best[1] - similar[0]["score"]) < 1e-5


def test_more_texts_than_one_statement_takes_keep_their_order():
    from sqlite_bge.llm_plugin import BATCH, BgeModel

    texts = [f"text number {n}" for n in range(BATCH + 3)]
    model = BgeModel(support.MODEL)
    vectors = list(model.embed_multi(texts))
    assert len(vectors) == len(texts)
    alone = model.embed(texts[BATCH + 1])
    assert max(abs(a - b) for a, b in zip(vectors[BATCH + 1], alone)) < 1e-5


def test_the_models_of_the_catalogue_are_listed(llm):
    listed = llm("embed-models").stdout
    assert support.MODEL in listed and "bge-m3" in listed
    assert "reranker" not in listed  # it makes no vectors


def test_a_model_that_is_not_here_is_said(llm):
    done = llm("embed", "-m", "bge-large-zh-v1.5", "-c", "x", code=1)
    assert "no model 'bge-large-zh-v1.5' found" in done.stderr
