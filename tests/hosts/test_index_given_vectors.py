"""Vectors that are written ready-made into an index: what they leave behind, whatever is undone."""

import random
import struct

import apsw
import pytest
from support import blob


def vector(rng):
    return blob(*(rng.uniform(-1, 1) for _ in range(8)))


def check(db):
    db.execute("INSERT INTO t(t) VALUES ('integrity-check')")


def test_without_texts_a_vector_takes_the_text_s_place_at_once(connect):
    db = connect()
    db.execute("CREATE VIRTUAL TABLE t USING bge(body, lang UNINDEXED, content='')")
    rng = random.Random(1)
    db.execute("INSERT INTO t(rowid, body, lang, embedding) VALUES (3, 'a text', 'en', ?)", (vector(rng),))
    db.execute("INSERT INTO t(lang, embedding) VALUES ('de', ?)", (vector(rng),))
    assert db.execute("SELECT count(*) FROM t_text").fetchone() == (0,), "the text is not kept"
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 't_log'").fetchone() == (0,), "nothing is noted"
    assert db.execute("SELECT rowid, lang FROM t WHERE t MATCH ? AND k = 9 ORDER BY rowid",
                      (vector(rng),)).fetchall() == [(3, "en"), (4, "de")]
    assert db.execute("SELECT hash <> x'' FROM t_rows").fetchall() == [(1,), (1,)]
    check(db)


def test_slots_are_whole_after_rollbacks_and_deletes(connect):
    db = connect()
    db.execute("CREATE VIRTUAL TABLE t USING bge(body, content='')")
    rng = random.Random(2)
    rows = {}
    with db:
        for n in range(9_000):  # enough for codes
            rows[n] = vector(rng)
            db.execute("INSERT INTO t(rowid, embedding) VALUES (?, ?)", (n, rows[n]))
    assert db.execute("SELECT count(*) FROM t_codes").fetchone()[0] > 0
    for _ in range(40):
        db.execute("SAVEPOINT s")
        kept = dict(rows)
        for _ in range(rng.randint(1, 60)):
            n = rng.randrange(9_100)
            if n in rows and rng.random() < 0.5:
                db.execute("DELETE FROM t WHERE rowid = ?", (n,))
                del rows[n]
            else:
                rows[n] = vector(rng)
                db.execute("INSERT OR REPLACE INTO t(rowid, embedding) VALUES (?, ?)", (n, rows[n]))
        if rng.random() < 0.5:
            db.execute("ROLLBACK TO s")
            rows = kept
        db.execute("RELEASE s")
    check(db)
    assert {n: v for n, v in db.execute("SELECT rowid, embedding FROM t")} == rows
    for n in rng.sample(sorted(rows), 20):
        nearest = db.execute("SELECT rowid, round(distance, 5) FROM t WHERE t MATCH ? AND k = 1", (rows[n],))
        assert nearest.fetchall() == [(n, 0)]


def test_a_blob_of_float64_is_asked_about(connect):
    """numpy's default: twice as many bytes as the vector that was meant."""
    db = connect()
    db.execute("CREATE VIRTUAL TABLE t USING bge(body, content='')")
    db.execute("INSERT INTO t(rowid, embedding) VALUES (1, ?)", (struct.pack("<4f", 0.1, 0.2, 0.3, 0.4),))
    wrong = struct.pack("<4d", 0.1, 0.2, 0.3, 0.4)
    for sql in ("INSERT INTO t(rowid, embedding) VALUES (2, ?)", "UPDATE t SET embedding = ? WHERE rowid = 1",
                "SELECT rowid FROM t WHERE t MATCH ?"):
        with pytest.raises(apsw.SQLError, match="8 dimensions, those of this index have 4.*float64"):
            db.execute(sql, (wrong,)).fetchall()
    # Eight dimensions of float32 are just wrong.
    with pytest.raises(apsw.SQLError, match="8 dimensions, those of this index have 4$"):
        db.execute("SELECT rowid FROM t WHERE t MATCH ?", (struct.pack("<8f", *[0.1] * 8),)).fetchall()
    check(db)
