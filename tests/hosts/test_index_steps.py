"""A step of bge_sync is bounded by work, not by rows: whatever the texts are, a call that is given little time gets on, and what it
has embedded when it is interrupted is not embedded again.

The real model: its speed is what makes rows of 400 words long work.
"""

import json
import time

import apsw
import pytest
from support import value

WORDS = ("the device can be reset by holding its small button for some ten seconds while the cable is in " * 30).split()
ROWS = 80


def long_text(n, words=400):
    """A text of its own for each row: equal ones would be embedded once."""
    return f"number {n}: " + " ".join(WORDS[n % 17:][:words])


@pytest.fixture
def pending(connect):
    db = connect()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); CREATE VIRTUAL TABLE t USING bge(body, content='docs')")
    db.executemany("INSERT INTO docs VALUES (?, ?)", ((n, long_text(n)) for n in range(ROWS)))
    # The model is in memory: loading it is no work of a sync.
    value(db, "SELECT bge_embed('x')")
    return db


def left(db):
    return json.loads(value(db, "SELECT bge_status('t')"))["pending"]


def interrupted_sync(db, seconds):
    """One call that the host ends after so long; whether it came to its end before."""
    end = time.monotonic() + seconds
    db.set_progress_handler(lambda: time.monotonic() > end, 1000)
    try:
        db.execute("SELECT bge_sync('t')").fetchall()
        return True
    except apsw.InterruptError:
        return False
    finally:
        db.set_progress_handler(None)


def test_calls_that_are_interrupted_get_on(pending):
    before, calls = ROWS, 0
    while not interrupted_sync(pending, 1.0):
        calls += 1
        now = left(pending)
        assert now < before or calls == 1, f"call {calls}: {now} rows were left before it and after it"
        before = now
        assert calls <= 2 * ROWS
    assert calls > 0, "it was never interrupted: the rows are too few"
    assert left(pending) == 0
    pending.execute("INSERT INTO t(t) VALUES ('integrity-check')")


def test_a_limit_leaves_the_rest(pending):
    rows = value(pending, "SELECT bge_sync('t', 0)")
    assert rows == 1, "no time lets one text through"
    rows += value(pending, "SELECT bge_sync('t', 1)")
    assert 1 < rows < ROWS and left(pending) == ROWS - rows
    assert value(pending, "SELECT bge_sync('t')") == ROWS - rows
    assert left(pending) == 0


def test_a_text_that_takes_longer_than_any_call_is_embedded_in_several(connect):
    """Its passages are kept from call to call, and stored when all are there."""
    db = connect()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); CREATE VIRTUAL TABLE t USING bge(body, content='docs')")
    db.execute("INSERT INTO docs VALUES (1, ?)", (" ".join(long_text(n) for n in range(ROWS)),))
    value(db, "SELECT bge_embed('x')")
    calls = 1
    while value(db, "SELECT bge_sync('t', 0.5)") == 0:
        assert left(db) == 1
        calls += 1
        assert calls < 2 * ROWS
    assert calls > 1, "it was done at once: the text is too short"
    assert left(db) == 0 and value(db, "SELECT count(*) FROM t_passages") > 10
