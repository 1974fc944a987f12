"""Rows like a row: MATCH with the row's own vector, which is that of the first passage of its text."""

import random

import numpy as np
import pytest
from oracle import sentence
from support import TINY, connect as open_connection, embed, inferences, loaded, value

LIKE = "SELECT rowid, distance FROM t WHERE t MATCH (SELECT embedding FROM t WHERE rowid = ?1)"
UNITS = []


@pytest.fixture(scope="module")
def db():
    db, rng = open_connection(), np.random.default_rng(1)
    db.execute("CREATE VIRTUAL TABLE t USING bge(body, lang UNINDEXED, content='')")
    centres = rng.standard_normal((60, 48))
    vectors = (centres[rng.integers(60, size=20_000)] + 0.5 * rng.standard_normal((20_000, 48))).astype("<f4")
    with db:
        db.executemany("INSERT INTO t(rowid, lang, embedding) VALUES (?, ?, ?)",
                       ((n, "de" if n % 3 else "en", vector.tobytes()) for n, vector in enumerate(vectors)))
    UNITS.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    yield db
    db.close()


def nearest(row, keep=lambda n: True):
    scores = UNITS[0] @ UNITS[0][row]
    return [n for n in np.lexsort((np.arange(len(scores)), -scores)).tolist() if n != row and keep(n)]


@pytest.mark.parametrize("end", ["AND rowid <> ?1 AND k = 10", "AND rowid <> ?1 ORDER BY distance LIMIT 10",
                                 "AND rowid IS NOT ?1 AND k = 10", "AND rowid <> 7 AND k = 10"])
def test_ten_rows_are_ten_others(db, end):
    found = db.execute(f"{LIKE} {end}", (7,)).fetchall()
    assert [row for row, _ in found] == nearest(7)[:10]
    assert found[0][1] > 0.01


def test_without_an_exception_the_row_itself_comes_first(db):
    [row, distance], *_ = db.execute(f"{LIKE} AND k = 3", (11,)).fetchall()
    assert row == 11 and abs(distance) < 1e-7


def test_other_filters_hold_too(db):
    found = db.execute(f"{LIKE} AND rowid <> ?1 AND lang = 'en' AND k = 10", (7,)).fetchall()
    assert [row for row, _ in found] == nearest(7, lambda n: n % 3 == 0)[:10]


def test_for_each_row_of_another_table(db):
    db.execute("CREATE TEMP TABLE IF NOT EXISTS asked AS SELECT value AS id FROM json_each('[3, 500, 19999]')")
    best = ("SELECT id, (SELECT rowid FROM t WHERE t MATCH (SELECT embedding FROM t WHERE rowid = id) AND rowid <> id "
            "ORDER BY distance LIMIT 1) FROM asked")
    assert db.execute(best).fetchall() == [(n, nearest(n)[0]) for n in (3, 500, 19999)]


def test_the_plan_is_a_lookup_and_a_search(db):
    plan = [row[-1] for row in db.execute(f"EXPLAIN QUERY PLAN {LIKE} AND rowid <> ?1 ORDER BY distance LIMIT 10", (1,))]
    assert any("0:match rowid<>? order=distance" in line for line in plan), plan
    assert any("0:lookup rowid=" in line for line in plan), plan
    assert not any("TEMP B-TREE" in line for line in plan)


def test_no_row_no_vector_no_rows(db):
    assert db.execute(LIKE, (10**9,)).fetchall() == []
    assert db.execute(LIKE, (None,)).fetchall() == []


def test_no_model_runs(connect):
    db = connect()
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, model='{TINY}')")
    db.executemany("INSERT INTO t(body) VALUES (?)", ((sentence(random.Random(n), 3, 9),) for n in range(20)))
    value(db, "SELECT bge_sync('t')")
    before = inferences(db)
    assert TINY in loaded(db)
    assert len(db.execute(f"{LIKE} AND rowid <> ?1 AND k = 5", (3,)).fetchall()) == 5
    assert inferences(db) == before


def test_of_several_passages_the_first_in_the_text_counts(connect):
    """Whatever slots they have: those of deleted rows are used again, the lowest first."""
    db = connect()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT);"
               f"CREATE VIRTUAL TABLE t USING bge(body, content='docs', model='{TINY}', chunk_tokens=12, overlap=0)")
    chance = random.Random(5)
    texts = [" ".join(["reset", *chance.choices("my device button".split(), k=2), f"{n}."]) for n in range(5_000)]
    with db:
        db.executemany("INSERT INTO docs(body) VALUES (?)", ((text,) for text in texts))
    value(db, "SELECT bge_sync('t')")
    assert value(db, "SELECT count(*) FROM t_codes") > 0
    db.execute("DELETE FROM docs WHERE id IN (SELECT row FROM t_passages WHERE slot BETWEEN 100 AND 140)")
    value(db, "SELECT bge_sync('t')")
    [row] = db.execute("SELECT row FROM t_passages WHERE slot = 7000").fetchone()
    others = [id for id, in db.execute("SELECT id FROM docs WHERE id <> ? ORDER BY id LIMIT 2", (row,))]
    more = "body || char(10, 10) || (SELECT group_concat(body, char(10, 10)) FROM docs WHERE id IN (?, ?))"
    db.execute(f"UPDATE docs SET body = {more} WHERE id = ?", (*others, row))
    value(db, "SELECT bge_sync('t')")
    slots = db.execute("SELECT slot FROM t_passages WHERE row = ? ORDER BY start", (row,)).fetchall()
    assert len(slots) > 1 and min(slots) != slots[0], "the first passage should not have the lowest slot"
    first = value(db, "SELECT substr(body, start + 1, stop - start) FROM docs JOIN t_passages ON row = id WHERE id = ? "
                      "ORDER BY start LIMIT 1", row)
    assert value(db, "SELECT embedding FROM t WHERE rowid = ?", row) == embed(db, first)
    # Any passage of the row: its later ones are those of other rows.
    both = "SELECT b FROM bge_pairs('t', 0.9999) WHERE a = ?1 UNION SELECT a FROM bge_pairs('t', 0.9999) WHERE b = ?1"
    assert set(others) <= {other for other, in db.execute(both, (row,))}
