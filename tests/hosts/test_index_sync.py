"""bge_sync and bge_status: committed steps, or none of ours; interruption; rows that cannot be embedded; passages; models."""

import ctypes
import json
import shutil
import threading

import apsw
import pytest
from support import (TINY, SystemSqlite, embed, failure, floats, fresh_text, inferences, load, run_python, stopped_after, texts, unload,
                     value)

OTHER = "tiny-bert-no-types"
DOCS = "CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT, lang TEXT)"
INDEX = f"CREATE VIRTUAL TABLE idx USING bge(body, lang UNINDEXED, content = docs, model = '{TINY}')"


def sync(db, *seconds, name="idx"):
    return value(db, f"SELECT bge_sync(?{', ?' * len(seconds)})", name, *seconds)


def status(db, name="idx"):
    return json.loads(value(db, "SELECT bge_status(?)", name))


def pending(db):
    return status(db)["pending"]


def noted(db):
    """Rows that have notes. The log is made with the first one."""
    if not value(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'idx_log'"):
        return set()
    return {row[0] for row in db.execute("SELECT id FROM idx_log")}


def found(db, query="router", name="idx"):
    return {row[0] for row in db.execute(f"SELECT rowid FROM {name} WHERE {name} MATCH ?", (query,))}


def check(db, name="idx"):
    db.execute(f"INSERT INTO {name}({name}) VALUES ('integrity-check')")


def fill(db, count, longest=8):
    made = texts(count, seed=fresh_text(), longest=longest)
    with db:
        db.executemany("INSERT INTO docs(body, lang) VALUES (?, 'en')", [(text,) for text in made])


@pytest.fixture
def file(connect, tmp_path):
    """A file with an index over an empty table."""
    db = connect(database=tmp_path / "x.db")
    value(db, "PRAGMA journal_mode = wal")
    db.execute(f"{DOCS}; {INDEX}")
    return tmp_path / "x.db"


@pytest.fixture
def small(db):
    """Three rows that wait."""
    db.execute(f"{DOCS}; {INDEX}; INSERT INTO docs(body, lang) VALUES ('a router', 'en'), ('a bill', 'de'), (NULL, 'en')")
    return db


# --- counts and time -----------------------------------------------------------------------------

def test_the_result_counts_rows_that_were_done(small):
    assert sync(small) == 3
    assert sync(small) == 0
    small.execute("UPDATE docs SET body = 'x' WHERE id = 1; UPDATE docs SET body = 'y' WHERE id = 1; DELETE FROM docs WHERE id = 2; INSERT INTO docs(body) VALUES ('z')")
    assert sync(small) == 3
    small.execute("INSERT INTO docs(id, body) VALUES (9, 'never synced'); DELETE FROM docs WHERE id = 9")
    assert sync(small) == 0 and pending(small) == 0


@pytest.mark.parametrize("seconds", [0, 0.0])
def test_no_time_is_one_text_and_it_goes_on_from_there(small, seconds):
    fill(small, 60)
    small.execute("INSERT INTO idx(idx) VALUES ('rebuild')")
    total, calls = 0, 0
    while waiting := pending(small):
        before = inferences(small)
        done = sync(small, seconds)
        # The row without a text costs nothing, so it goes with another one.
        assert done in (1, 2) and inferences(small) - before == 1 and pending(small) == waiting - done
        total, calls = total + done, calls + 1
    assert total == 63 and calls in (62, 63)
    assert sync(small, seconds) == 0
    check(small)


def test_a_limit_that_is_not_reached(small):
    assert sync(small, 1000) == 3
    for bad in (-1, "soon", b"\x01"):
        assert "seconds" in str(failure(small, "SELECT bge_sync('idx', ?)", bad))


def test_wrong_counts_of_arguments(small):
    for sql in ("SELECT bge_sync()", "SELECT bge_sync('idx', 1, 2)", "SELECT bge_status()", "SELECT bge_status('idx', 1)"):
        assert "wrong number of arguments" in str(failure(small, sql))


def test_sync_is_for_statements_of_the_user_only(small):
    small.execute("CREATE VIEW v AS SELECT bge_sync('idx')")
    assert "unsafe use" in str(failure(small, "SELECT * FROM v"))
    small.execute("CREATE TABLE other(a); CREATE TRIGGER t AFTER INSERT ON other BEGIN SELECT bge_sync('idx'); END")
    assert "unsafe use" in str(failure(small, "INSERT INTO other VALUES (1)"))


def test_an_index_that_keeps_its_text(db):
    db.execute(f"CREATE VIRTUAL TABLE idx USING bge(body, model = '{TINY}')")
    db.execute("INSERT INTO idx(body) VALUES ('a'), (NULL), ('')")
    assert pending(db) == 3 and sync(db) == 3 and pending(db) == 0
    assert found(db) == {1, 3}


# --- committed steps -----------------------------------------------------------------------------

def test_progress_is_seen_from_another_connection(connect, file):
    db, other = connect(database=file), connect(database=file)
    fill(db, 3000)
    assert pending(other) == 3000
    seen = []

    def look():
        seen.append(pending(other))
        return False

    db.set_progress_handler(look, 20_000)
    assert sync(db) == 3000
    db.set_progress_handler(None)
    assert len({*seen} - {0, 3000}) >= 2
    assert seen == sorted(seen, reverse=True) and pending(other) == 0
    check(other)


def test_an_interruption_keeps_the_slices_that_were_committed(connect, file):
    db, other = connect(database=file), connect(database=file)
    fill(db, 2000)
    db.set_progress_handler(lambda: 0 < pending(other) < 2000, 5_000)
    with pytest.raises(apsw.InterruptError):
        sync(db)
    db.set_progress_handler(None)
    left = pending(other)
    assert 0 < left < 2000 and not db.in_transaction
    check(db)
    assert status(db)["rows"] == 2000 - left
    assert sync(db) == left and found(db) == set(range(1, 2001))
    check(db)


def test_interrupt_from_another_thread(connect, file):
    db, other = connect(database=file), connect(database=file)
    fill(db, 6000, longest=30)
    stop = threading.Event()

    def interrupt():
        while not stop.wait(0.001):
            if pending(other) < 6000:
                db.interrupt()
                return

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(apsw.InterruptError):
            sync(db)
    finally:
        stop.set()
        thread.join()
    left = pending(other)
    assert 0 < left < 6000 and not db.in_transaction
    db.execute("INSERT INTO docs(body) VALUES ('after')")
    assert sync(db, 0) >= 1


KILLED = """
import os, signal
connection = connect(database=sys.argv[1])
other = connect(database=sys.argv[1])
def look():
    waiting = json.loads(value(other, "SELECT bge_status('idx')"))["pending"]
    if 0 < waiting < 1500:
        os.kill(os.getpid(), signal.SIGKILL)
    return False
connection.set_progress_handler(look, 5000)
value(connection, "SELECT bge_sync('idx')")
"""


def test_a_killed_sync_goes_on_where_it_was(connect, file):
    db = connect(database=file)
    fill(db, 1500)
    with pytest.raises(AssertionError, match="rc -9"):
        run_python(KILLED, str(file))
    left = pending(db)
    assert 0 < left < 1500
    check(db)
    assert sync(db) == left and found(db) == set(range(1, 1501))
    check(db)


def test_writes_beside_a_sync_are_kept(connect, file):
    """A writer changes rows while they are embedded: nothing is lost, and nothing is there twice."""
    db, other = connect(database=file), connect(database=file)
    fill(db, 1500)
    rounds = []

    def write():
        if db.in_transaction or len(rounds) >= 30:
            return False
        n = len(rounds) + 1
        other.execute("UPDATE docs SET body = 'changed ' || id WHERE id = ?1; DELETE FROM docs WHERE id = ?1 + 100; "
                      "INSERT INTO docs(id, body) VALUES (?1 + 5000, 'new ' || ?1)", {"1": n})
        rounds.append(n)
        return False

    db.set_progress_handler(write, 3_000)
    sync(db)
    db.set_progress_handler(None)
    assert len(rounds) > 3
    sync(db)
    assert pending(db) == 0
    assert found(db) == {row[0] for row in db.execute("SELECT id FROM docs")}
    for rowid in (1, 2, 3, 5001, 5002):
        vector, body = db.execute("SELECT embedding, body FROM idx WHERE rowid = ?", (rowid,)).get
        assert floats(vector) == pytest.approx(floats(embed(db, body)), abs=1e-6)
    check(db)


def test_two_syncers(connect, file, host):
    db = connect(database=file)
    fill(db, 3000, longest=20)
    done = []
    threads = [threading.Thread(target=lambda c=connect(database=file): done.append(sync(c))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2 and sum(done) == 3000
    assert pending(db) == 0 and found(db) == set(range(1, 3001))
    assert status(db)["passages"] == 3000
    check(db)


def test_sync_waits_for_a_lock_and_says_busy(connect, file):
    db, other = connect(database=file), connect(database=file)
    fill(db, 5)
    other.execute("BEGIN IMMEDIATE; INSERT INTO docs(body) VALUES ('x')")
    with stopped_after(db, 0.3), pytest.raises(apsw.InterruptError):  # it waits, and can be stopped
        sync(db)
    assert not db.in_transaction
    other.execute("COMMIT")
    assert sync(db) == 6


# --- the user's transactions ---------------------------------------------------------------------

def test_inside_a_transaction_it_is_part_of_it(connect, file):
    db, other = connect(database=file), connect(database=file)
    fill(db, 200)
    db.execute("BEGIN; INSERT INTO docs(body) VALUES ('mine')")
    assert sync(db) == 201
    assert db.in_transaction and pending(db) == 0
    assert pending(other) == 200 and value(other, "SELECT count(*) FROM docs") == 200
    assert found(other) and status(other)["passages"] == 0
    db.execute("ROLLBACK")
    assert pending(db) == 200 and value(db, "SELECT count(*) FROM docs") == 200 and status(db)["model"]["bound"] is False
    check(db)
    db.execute("SAVEPOINT s; INSERT INTO docs(body) VALUES ('mine')")
    assert sync(db) == 201
    assert db.in_transaction and pending(other) == 200
    db.execute("ROLLBACK TO s")
    assert sync(db) == 200
    db.execute("RELEASE s")
    assert pending(other) == 0 and value(other, "SELECT count(*) FROM docs") == 200
    check(other)


@pytest.mark.parametrize("kind", ["BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_inside_any_transaction(connect, file, kind):
    db = connect(database=file)
    fill(db, 100)
    db.execute(kind)
    assert sync(db, 0) >= 1
    assert db.in_transaction
    sync(db)
    db.execute("COMMIT")
    assert pending(db) == 0 and found(db) == set(range(1, 101))


def test_a_stale_snapshot_is_found_before_embedding(connect, file):
    db, other = connect(database=file), connect(database=file)
    fill(db, 50)
    db.execute("BEGIN")
    assert value(db, "SELECT count(*) FROM docs") == 50
    other.execute("INSERT INTO docs(body) VALUES ('x')")
    before = inferences(db)
    assert isinstance(failure(db, "SELECT bge_sync('idx')"), apsw.BusyError)
    assert inferences(db) == before
    db.execute("ROLLBACK")
    assert sync(db) == 51


WRITING = {
    "INSERT ... SELECT": ("CREATE TABLE results(n)", "INSERT INTO results SELECT bge_sync('idx')", "SELECT count(*) FROM results"),
    "UPDATE": ("CREATE TABLE results(n); INSERT INTO results VALUES (NULL)", "UPDATE results SET n = bge_sync('idx')", "SELECT count(n) FROM results"),
    "CREATE TABLE AS": ("SELECT 1", "CREATE TABLE results AS SELECT bge_sync('idx') AS n", "SELECT count(n) FROM results"),
}


@pytest.mark.parametrize("case", WRITING)
def test_inside_a_statement_that_writes(connect, file, case):
    db, other = connect(database=file), connect(database=file)
    start, sql, count = WRITING[case]
    db.execute(start).get
    fill(db, 150)
    db.execute(sql)
    assert not db.in_transaction
    for connection in (db, other):
        assert value(connection, count) == 1 and pending(connection) == 0
    assert value(other, "SELECT n FROM results") == 150
    check(other)


def test_a_failing_statement_undoes_its_sync(connect, file):
    db = connect(database=file)
    fill(db, 150)
    db.execute("CREATE TABLE results(n CHECK (n < 0))")
    assert isinstance(failure(db, "INSERT INTO results SELECT bge_sync('idx')"), apsw.ConstraintError)
    assert pending(db) == 150 and not db.in_transaction
    check(db)
    assert sync(db) == 150


def test_beside_a_half_stepped_returning(connect, file):
    db, other = connect(database=file), connect(database=file)
    fill(db, 100)
    cursor = db.cursor().execute("INSERT INTO docs(body) VALUES ('x'), ('y'), ('z') RETURNING id")
    next(cursor)
    assert sync(db) == 103
    assert pending(other) == 100 and value(other, "SELECT count(*) FROM docs") == 100  # nothing of the user's was committed
    assert len(list(cursor)) == 2
    assert pending(other) == 0 and value(other, "SELECT count(*) FROM docs") == 103
    check(other)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_an_open_cursor_is_named(connect, tmp_path, mode):
    db = connect(database=tmp_path / "x.db")
    assert value(db, f"PRAGMA journal_mode = {mode}") == mode
    db.execute(f"{DOCS}; {INDEX}")
    fill(db, 20)
    cursor = db.cursor().execute("SELECT body FROM docs -- the open one")
    next(cursor)
    error = failure(db, "SELECT bge_sync('idx')")
    assert isinstance(error, apsw.BusyError) and "the open one" in str(error)
    assert pending(db) == 20 and len(list(cursor)) == 19
    assert sync(db) == 20


def test_a_search_that_is_open(connect, file):
    db = connect(database=file)
    fill(db, 20)
    cursor = db.cursor().execute("SELECT rowid FROM idx WHERE idx MATCH 'open search'")
    next(cursor)
    error = failure(db, "SELECT bge_sync('idx')")
    assert isinstance(error, apsw.BusyError) and "open search" in str(error)
    assert len(list(cursor)) == 19
    assert sync(db) == 20


def test_over_the_rows_of_a_select(connect, file):
    """`SELECT bge_sync(name) FROM names` reads a table itself: BUSY, or the work is done; never half of it."""
    db = connect(database=file)
    db.execute("CREATE TABLE names(name); INSERT INTO names VALUES ('idx')")
    fill(db, 20)
    error = failure(db, "SELECT bge_sync(name) FROM names")
    assert isinstance(error, apsw.BusyError) and "FROM names" in str(error)
    assert pending(db) == 20 and sync(db) == 20




def test_transactions_that_a_driver_begins(connect, file):
    """As Python's sqlite3 does before a write: sync is a step of that transaction."""
    db, other = connect(database=file), connect(database=file)
    db.execute("BEGIN DEFERRED; INSERT INTO docs(body) VALUES ('a')")
    assert sync(db) == 1
    assert value(other, "SELECT count(*) FROM docs") == 0
    db.execute("COMMIT")
    assert found(other) == {1}


# --- problems ------------------------------------------------------------------------------------

def test_rows_that_cannot_be_embedded_are_counted_and_skipped(db):
    db.execute(f"{DOCS}; {INDEX}")
    db.execute("INSERT INTO docs VALUES (1, 'fine', 'en'), (2, x'0102', 'en'), (3, CAST(x'61ff' AS TEXT), 'en'), (4, ?, 'de')", ("x" * (32 * 2**20 + 1),))
    waits = sync(db)
    assert waits == 4
    said = status(db)
    assert said["pending"] == 0 and said["problems"] == 3 and said["rows"] == 4 and said["passages"] == 1
    problems = {row["rowid"]: row["problem"] for row in said["problem_rows"]}
    assert set(problems) == {2, 3, 4}
    assert "BLOB" in problems[2] and "body" in problems[2]
    assert "UTF-8" in problems[3] and "body" in problems[3]
    assert found(db) == {1}
    before = inferences(db)
    assert sync(db) == 0 and inferences(db) == before
    db.execute("UPDATE docs SET body = 'fixed' WHERE id = 2; UPDATE docs SET body = 'fixed too' WHERE id = 3; DELETE FROM docs WHERE id = 4")
    assert sync(db) == 3
    assert status(db)["problems"] == 0 and status(db)["problem_rows"] == [] and found(db) == {1, 2, 3}
    db.execute("UPDATE docs SET body = x'00' WHERE id = 1")
    sync(db)
    assert found(db) == {2, 3} and status(db)["problems"] == 1
    check(db)


def test_a_blob_in_an_unindexed_column_is_no_problem(small):
    small.execute("UPDATE docs SET lang = x'0102'")
    assert sync(small) == 3 and status(small)["problems"] == 0
    assert list(small.execute("SELECT rowid FROM idx WHERE idx MATCH 'a' AND lang = x'0102' ORDER BY rowid")) == [(1,), (2,)]


def test_null_and_empty_texts(db):
    db.execute(f"CREATE TABLE docs(id INTEGER PRIMARY KEY, title, body); "
               f"CREATE VIRTUAL TABLE idx USING bge(title, body, content = docs, model = '{TINY}')")
    db.execute("INSERT INTO docs VALUES (1, NULL, NULL), (2, '', NULL), (3, NULL, 'b'), (4, 'a', 'b'), (5, '', ''), (6, 'a', NULL)")
    assert sync(db) == 6
    joined = {2: "", 3: "b", 4: "a\nb", 5: "\n", 6: "a"}
    assert found(db) == set(joined)
    got = dict(db.execute("SELECT rowid, passage FROM idx WHERE idx MATCH 'x'"))
    assert got == joined
    for rowid, text in joined.items():
        assert floats(value(db, "SELECT embedding FROM idx WHERE rowid = ?", rowid)) == pytest.approx(floats(embed(db, text)), abs=1e-6)
    db.execute("UPDATE docs SET title = 'now' WHERE id = 1; UPDATE docs SET title = NULL, body = NULL WHERE id = 4")
    assert sync(db) == 2 and found(db) == {1, 2, 3, 5, 6}


# --- passages ------------------------------------------------------------------------------------

def test_long_texts_have_passages(db):
    db.execute(f"{DOCS}; CREATE VIRTUAL TABLE idx USING bge(body, content = docs, model = '{TINY}', chunk_tokens = 16, overlap = 4)")
    long = " ".join(f"word{i} and the device button." for i in range(60))
    db.execute("INSERT INTO docs(body) VALUES (?), ('short')", (long,))
    assert sync(db) == 2
    said = status(db)
    chunks = [row[0] for row in db.execute("SELECT chunk FROM bge_chunks(?, 16, 4, ?)", (long, TINY))]
    assert len(chunks) > 10 and said["passages"] == len(chunks) + 1 and said["rows"] == 2
    # A row is found once, with the passage that fits best.
    for n in (0, len(chunks) // 2, len(chunks) - 1):
        got = dict(db.execute("SELECT rowid, passage FROM idx WHERE idx MATCH ?", (embed(db, chunks[n]),)))
        assert set(got) == {1, 2} and got[1] == chunks[n] and got[2] == "short"
        assert value(db, "SELECT distance FROM idx WHERE idx MATCH ? AND k = 1", embed(db, chunks[n])) == pytest.approx(0, abs=1e-6)
    # passage: NULL once the text has changed.
    db.execute("UPDATE docs SET body = 'short now' WHERE id = 1")
    assert sync(db) == 1 and status(db)["passages"] == 2
    check(db)
    db.execute("UPDATE docs SET body = ? WHERE id = 2", (long,))
    assert sync(db) == 1 and status(db)["passages"] == len(chunks) + 1
    db.execute("DELETE FROM docs WHERE id = 2")
    assert sync(db) == 1 and status(db)["passages"] == 1
    check(db)


def test_the_default_size_of_passages(db):
    db.execute(f"{DOCS}; {INDEX}")
    long = " ".join(f"word{i}" for i in range(2000))
    db.execute("INSERT INTO docs(body) VALUES (?)", (long,))
    sync(db)
    chunks = value(db, "SELECT count(*) FROM bge_chunks(?, 256, 32, ?)", long, TINY)
    assert status(db)["passages"] == chunks > 1
    spans = list(db.execute("SELECT start, stop FROM idx_passages ORDER BY slot"))
    assert spans[0][0] == 0 and spans[-1][1] == len(long)
    assert all(b[0] < a[1] for a, b in zip(spans, spans[1:]))  # they overlap, and leave out nothing


def test_passages_count_in_characters(db):
    db.execute(f"{DOCS}; CREATE VIRTUAL TABLE idx USING bge(body, content = docs, model = '{TINY}', chunk_tokens = 12, overlap = 0)")
    long = "Über die größte Tür. 🔥 Der Knopf für das Gerät. " * 8
    db.execute("INSERT INTO docs(body) VALUES (?)", (long,))
    sync(db)
    spans = list(db.execute("SELECT start, stop FROM idx_passages ORDER BY slot"))
    passage = value(db, "SELECT passage FROM idx WHERE idx MATCH 'Knopf'")
    assert passage in [long[start:stop] for start, stop in spans] and len(spans) > 3


def test_chunk_tokens_beyond_the_model(db):
    db.execute(f"{DOCS}; CREATE VIRTUAL TABLE idx USING bge(body, content = docs, model = '{TINY}', chunk_tokens = 900000)")
    db.execute("INSERT INTO docs(body) VALUES ('short')")
    try:
        assert sync(db) == 1  # no text is that long
    except apsw.Error as error:
        assert "900000" in str(error) and TINY in str(error)


# --- models --------------------------------------------------------------------------------------

def bound(db, name):
    """An index of two rows, bound to a model of this name."""
    db.execute(f"{DOCS}; {INDEX.replace(TINY, name)}; INSERT INTO docs(body) VALUES ('a router'), ('a bill')")
    assert sync(db) == 2
    return db


def test_another_model_under_the_bound_name_is_refused(db, name):
    load(db, name)
    bound(db, name)
    print_ = status(db)["model"]["fingerprint"]
    load(db, name, OTHER)
    for sql in ("SELECT rowid FROM idx WHERE idx MATCH 'router'", "SELECT bge_sync('idx')"):
        db.execute("UPDATE docs SET body = body || '!' WHERE id = 1")  # noting goes on
        error = str(failure(db, sql))
        assert name in error and print_[:8] in error and "rebuild" in error and "bge_load" in error
        # Both are named: what the index has and what is there.
        assert len({word.strip(",;") for word in error.split() if len(word.strip(",;")) == 8 and set(word.strip(",;")) <= set("0123456789abcdef")}) == 2
    assert pending(db) == 1 and status(db)["model"]["fingerprint"] == print_
    assert [row[0] for row in db.execute("SELECT rowid FROM idx")] == [1, 2]
    load(db, name)  # the right one again
    assert sync(db) == 1 and found(db) == {1, 2}
    load(db, name, OTHER)
    db.execute("INSERT INTO idx(idx) VALUES ('rebuild')")
    assert sync(db) == 2 and found(db) == {1, 2}
    assert status(db)["model"]["fingerprint"] != print_
    assert floats(value(db, "SELECT embedding FROM idx WHERE rowid = 2")) == pytest.approx(floats(embed(db, "a bill", OTHER)), abs=1e-6)


def test_a_renamed_model_is_reached_by_its_bound_name(db, model_folder):
    model_folder("first-name")
    bound(db, "first-name")
    folder = model_folder("second-name")
    unload(db, "first-name")
    shutil.rmtree(folder.parent / "first-name")
    db.execute("INSERT INTO docs(body) VALUES ('x')")
    for sql in ("SELECT rowid FROM idx WHERE idx MATCH 'something new'", "SELECT bge_sync('idx')"):
        assert "first-name" in str(failure(db, sql))
    value(db, "SELECT bge_load('first-name', ?)", str(folder))
    assert sync(db) == 1 and found(db, "something new") == {1, 2, 3}
    unload(db, "first-name")


def test_the_model_binds_at_the_first_embedding_and_not_before(db, name, monkeypatch):
    monkeypatch.setenv("BGE_MODEL", TINY)
    db.execute(f"{DOCS}; {INDEX.replace(f', model = {chr(39)}{TINY}{chr(39)}', '')}")
    said = status(db)["model"]
    assert said["name"] == TINY and said["bound"] is False and said["fingerprint"] is None and said["dims"] is None
    db.execute("INSERT INTO docs VALUES (1, NULL, 'en')")
    assert sync(db) == 1 and status(db)["model"]["bound"] is False
    monkeypatch.setenv("BGE_MODEL", OTHER)
    db.execute("INSERT INTO docs VALUES (2, 'a router', 'en')")
    assert found(db) == {2} and status(db)["model"]["bound"] is False  # a query writes nothing
    assert sync(db) == 1
    said = status(db)["model"]
    assert said["name"] == OTHER and said["bound"] is True and said["dims"] == 32
    monkeypatch.setenv("BGE_MODEL", "no-such-model")
    db.execute("INSERT INTO docs VALUES (3, 'a bill', 'en')")
    assert sync(db) == 1 and found(db) == {2, 3}


def test_without_the_model_writes_work_and_sync_says_what_is_wrong(db):
    db.execute(f"{DOCS}; {INDEX.replace(TINY, 'not-here')}")
    db.execute("INSERT INTO docs(body) VALUES ('a'), ('b'); UPDATE docs SET body = 'c' WHERE id = 1; DELETE FROM docs WHERE id = 2")
    assert "not-here" in str(failure(db, "SELECT bge_sync('idx')")) and not db.in_transaction
    assert "not-here" in str(failure(db, "INSERT INTO idx(idx) VALUES ('sync')"))
    assert "not-here" in str(failure(db, "SELECT * FROM idx WHERE idx MATCH 'a'"))
    assert list(db.execute("SELECT rowid, body FROM idx")) == [(1, "c")]
    said = status(db)
    assert said["pending"] >= 1 and said["model"]["name"] == "not-here"
    db.execute("ALTER TABLE idx RENAME TO other; INSERT INTO other(other) VALUES ('rebuild'); DROP TABLE other")


def test_a_sync_that_only_removes_needs_no_model(db, model_folder):
    folder = model_folder("soon-gone")
    bound(db, "soon-gone")
    unload(db, "soon-gone")
    shutil.rmtree(folder)
    db.execute("DELETE FROM docs WHERE id = 1; UPDATE docs SET lang = 'nl' WHERE id = 2")
    assert sync(db) == 2 and pending(db) == 0


def test_given_vectors_and_a_model_of_other_dims(db):
    db.execute(f"CREATE VIRTUAL TABLE idx USING bge(body, model = '{TINY}')")
    db.execute("INSERT INTO idx(rowid, embedding) VALUES (1, ?)", (b"\0\0\x80\x3f" * 3,))
    db.execute("INSERT INTO idx(body) VALUES ('a')")
    error = str(failure(db, "SELECT bge_sync('idx')"))
    assert "3" in error and "32" in error and TINY in error
    assert pending(db) == 1


# --- rebuild -------------------------------------------------------------------------------------

def test_rebuild_marks_all_rows_and_embeds_nothing(small):
    sync(small)
    before = inferences(small)
    small.execute("INSERT INTO idx(idx) VALUES ('rebuild')")
    assert inferences(small) == before
    said = status(small)
    assert (said["rows"], said["passages"], said["pending"], said["problems"]) == (0, 0, 3, 0)
    assert said["model"]["bound"] is False and said["triggers"] == "on"
    assert sync(small) == 3 and inferences(small) > before
    check(small)


def test_rebuild_can_be_rolled_back(small):
    sync(small)
    small.execute("BEGIN; INSERT INTO idx(idx) VALUES ('rebuild')")
    assert pending(small) == 3
    small.execute("ROLLBACK")
    assert pending(small) == 0 and found(small) == {1, 2}
    check(small)


def test_rebuild_beside_a_sync(connect, file):
    """What was embedded before a rebuild is not taken over after it."""
    db, other = connect(database=file), connect(database=file)
    fill(db, 1200)
    rebuilt = []

    def rebuild():
        if not db.in_transaction and not rebuilt and 0 < pending(other) < 1200:
            rebuilt.append(1)
            other.execute("INSERT INTO idx(idx) VALUES ('rebuild')")
        return False

    db.set_progress_handler(rebuild, 3_000)
    sync(db)
    db.set_progress_handler(None)
    assert rebuilt
    sync(db)
    assert pending(db) == 0 and found(db) == set(range(1, 1201)) and status(db)["passages"] == 1200
    check(db)


# --- formats -------------------------------------------------------------------------------------

def test_a_newer_format_is_refused_with_its_number(small):
    sync(small)
    small.execute("UPDATE idx_config SET v = 99 WHERE k = 'format'")
    for sql in ("SELECT bge_sync('idx')", "SELECT rowid FROM idx WHERE idx MATCH 'a'", "INSERT INTO idx(rowid, embedding) VALUES (1, x'0000803f')",
                "INSERT INTO idx(idx) VALUES ('sync')", "INSERT INTO idx(idx) VALUES ('optimize')", "INSERT INTO idx(idx) VALUES ('integrity-check')"):
        error = str(failure(small, sql))
        assert "format 99" in error, sql
    said = status(small)
    assert said["format"] == 99 and any("99" in wrong for wrong in said["wrong"])
    small.execute("INSERT INTO docs(body) VALUES ('noted')")
    small.execute("DROP TABLE idx")
    assert [row[0] for row in small.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")] == ["docs"]


def test_rebuild_does_not_touch_a_newer_format(small):
    """It holds settings that this version does not know: queries, sync and writes are refused."""
    sync(small)
    small.execute("UPDATE idx_config SET v = 99 WHERE k = 'format'")
    assert "format 99" in str(failure(small, "INSERT INTO idx(idx) VALUES ('rebuild')"))


@pytest.mark.parametrize("table", ["CREATE VIRTUAL TABLE idx USING bge(body)", "CREATE VIRTUAL TABLE idx USING bge(body, content='')"])
def test_a_newer_format_takes_no_writes(db, table):
    db.execute(table)
    db.execute("INSERT INTO idx(body) VALUES ('a'); UPDATE idx_config SET v = 3 WHERE k = 'format'")
    for sql in ("INSERT INTO idx(body) VALUES ('b')", "UPDATE idx SET body = 'c'", "DELETE FROM idx"):
        assert "format 3" in str(failure(db, sql)), sql


# --- status --------------------------------------------------------------------------------------

def test_the_keys_of_status(small):
    said = status(small)
    assert {"index", "schema", "format", "rows", "passages", "pending", "model", "storage", "content", "triggers", "problems"} <= set(said)
    assert (said["index"], said["schema"], said["content"], said["storage"], said["triggers"]) == ("idx", "main", "docs", "f32", "due")
    assert (said["rows"], said["passages"], said["pending"], said["problems"], said["wrong"]) == (0, 0, 3, 0, [])
    sync(small)
    said = status(small)
    assert said["triggers"] == "on"
    assert (said["rows"], said["passages"], said["pending"], said["problems"]) == (3, 2, 0, 0)
    assert said["model"]["name"] == TINY and said["model"]["bound"] is True and said["model"]["dims"] == 32
    assert len(said["model"]["fingerprint"]) >= 16
    small.execute("UPDATE docs SET body = 'x' WHERE id = 1; UPDATE docs SET body = 'y' WHERE id = 1; DELETE FROM docs WHERE id = 2")
    assert pending(small) == 2


def test_status_writes_nothing(connect, file):
    db, other = connect(database=file), connect(database=file)
    fill(db, 5)
    before = value(other, "PRAGMA data_version")
    status(db)
    assert value(other, "PRAGMA data_version") == before
    db.execute("BEGIN IMMEDIATE")
    assert pending(other) == 5


@pytest.mark.parametrize("storage", ["f32", "f16", "int8"])
def test_storages(db, storage):
    db.execute(f"{DOCS}; {INDEX[:-1]}, storage = {storage})")
    db.execute("INSERT INTO docs(body) VALUES ('a router'), ('a bill')")
    assert sync(db) == 2 and status(db)["storage"] == storage
    assert list(db.execute("SELECT rowid FROM idx WHERE idx MATCH ? AND k = 1", (embed(db, "a bill"),))) == [(2,)]
    check(db)


def test_pending_counts_rows_that_a_scan_has_not_reached(db):
    db.execute(DOCS)
    fill(db, 25_000, longest=2)
    db.execute(INDEX)
    assert pending(db) == 25_000
    # Nothing notes before the first sync: the rows are counted, as they are now.
    db.execute("UPDATE docs SET lang = 'x' WHERE id = 24000; DELETE FROM docs WHERE id = 23000; INSERT INTO docs(body) VALUES ('x')")
    assert not noted(db) and pending(db) == 25_000
    done = sync(db, 0)
    assert done == 1 and pending(db) == 24_999
    assert len(noted(db)) == 9_999 and value(db, "SELECT v FROM idx_config WHERE k = 'scan'") == 10_000
    db.execute("UPDATE docs SET lang = 'y' WHERE id = 24001; DELETE FROM docs WHERE id = 22000; INSERT INTO docs(body) VALUES ('y')")
    # A deleted row that no scan had reached has a note as well.
    assert pending(db) == 25_000
    for _ in range(3):
        done += sync(db, 0)
    assert done == 4 and pending(db) in (25_000 - 3, 25_000 - 4)


# --- failures in the middle ----------------------------------------------------------------------

def interrupted_after(db, steps):
    """A progress handler that stops the statement after so many calls; the calls are counted in what it returns."""
    left = [steps]

    def stop():
        left[0] -= 1
        return left[0] < 0

    db.set_progress_handler(stop, 20)
    return left


def unscanned(db):
    """Rows that count as pending without a note, since no scan has reached them."""
    reached = value(db, "SELECT max(v) FROM idx_config WHERE k = 'scan'")
    return {row[0] for row in db.execute("SELECT id FROM docs WHERE ?1 IS NULL OR ?1 <> 'all' AND id > ?1", (reached,))}


@pytest.mark.parametrize("triggers", ["on", "due"])
@pytest.mark.parametrize("kept", ["COMMIT", "ROLLBACK"])
def test_an_interruption_anywhere_in_a_transaction_of_the_users(connect, file, kept, triggers):
    """Whatever the transaction then holds is in step with itself: no row reads as embedded and has no vector."""
    db = connect(database=file)
    if triggers == "on":
        assert sync(db) == 0
    assert status(db)["triggers"] == triggers
    fill(db, 60)
    db.execute("UPDATE docs SET body = body || ' more' WHERE id % 2")
    ended = False
    for steps in [*range(0, 60, 3), *range(60, 2000, 97), *range(2000, 100_000, 4999)]:
        db.execute("BEGIN; INSERT INTO docs(body) VALUES ('mine'); DELETE FROM docs WHERE id = (SELECT max(id) FROM docs)")
        interrupted_after(db, steps)
        try:
            sync(db)
            ended = True
        except apsw.InterruptError:
            pass
        db.set_progress_handler(None)
        if db.in_transaction:
            db.execute(kept)
        check(db)
        waiting = noted(db) | unscanned(db)
        assert triggers == "due" or not unscanned(db)
        vectors = {row[0] for row in db.execute("SELECT row FROM idx_passages")}
        assert {row[0] for row in db.execute("SELECT id FROM docs")} <= waiting | vectors
        if ended:
            break
        db.execute("UPDATE docs SET body = body || ' more' WHERE id = ?", (steps % 60 + 1,))
    assert ended
    sync(db)
    assert found(db) == set(range(1, 61))


def test_an_interruption_anywhere(connect, file):
    db = connect(database=file)
    fill(db, 60)
    ended = False
    for steps in [*range(0, 60, 3), *range(60, 2000, 97), *range(2000, 100_000, 4999)]:
        interrupted_after(db, steps)
        try:
            sync(db)
            ended = True
        except apsw.InterruptError:
            pass
        db.set_progress_handler(None)
        assert not db.in_transaction
        check(db)
        if ended:
            break
    assert ended
    assert pending(db) == 0 and found(db) == set(range(1, 61))


def test_a_full_disk(connect, file):
    db = connect(database=file)
    fill(db, 500)
    pages = value(db, "PRAGMA page_count")
    value(db, f"PRAGMA max_page_count = {pages + 12}")
    assert isinstance(failure(db, "SELECT bge_sync('idx')"), apsw.FullError)
    assert not db.in_transaction
    check(db)
    value(db, "PRAGMA max_page_count = 1000000")
    db.execute("BEGIN; INSERT INTO docs(body) VALUES ('mine')")
    value(db, f"PRAGMA max_page_count = {value(db, 'PRAGMA page_count') + 6}")
    assert isinstance(failure(db, "SELECT bge_sync('idx')"), apsw.FullError)
    value(db, "PRAGMA max_page_count = 1000000")
    if db.in_transaction:
        db.execute("COMMIT")
    check(db)
    sync(db)
    assert found(db) == {row[0] for row in db.execute("SELECT id FROM docs")} >= set(range(1, 501))
    check(db)


def test_a_reader_in_rollback_mode_holds_up_the_commit(connect, tmp_path):
    db, other = (connect(database=tmp_path / "x.db") for _ in range(2))
    db.execute(f"{DOCS}; {INDEX}")
    fill(db, 10)
    cursor = other.cursor().execute("SELECT id FROM docs")
    next(cursor)
    with stopped_after(db, 0.3), pytest.raises(apsw.InterruptError):
        sync(db)
    assert not db.in_transaction and pending(db) == 10
    timer = threading.Timer(0.3, cursor.close)
    timer.start()
    assert sync(db) == 10  # it waits until the reader is done
    timer.join()
    assert pending(other) == 0
    check(other)


def test_a_file_that_cannot_be_written(connect, file):
    db = connect(database=file)
    fill(db, 10)
    db.execute("PRAGMA query_only = on")
    assert isinstance(failure(db, "SELECT bge_sync('idx')"), apsw.ReadOnlyError)
    assert not db.in_transaction and len(found(db)) == 10
    db.execute("PRAGMA query_only = off")
    assert sync(db) == 10


def test_an_authorizer_that_denies_writing(connect, file):
    db = connect(database=file)
    fill(db, 10)
    db.authorizer = lambda action, *_: apsw.SQLITE_DENY if action in (apsw.SQLITE_UPDATE, apsw.SQLITE_INSERT) else apsw.SQLITE_OK
    assert isinstance(failure(db, "SELECT bge_sync('idx')"), (apsw.AuthError, apsw.SQLError))
    db.authorizer = None
    assert not db.in_transaction and sync(db) == 10


def test_hooks_of_the_host_see_ordinary_commits(connect, file):
    """A host that vetoes commits stops the sync; nothing is left open."""
    db = connect(database=file)
    fill(db, 10)
    db.set_commit_hook(lambda: True)
    assert isinstance(failure(db, "SELECT bge_sync('idx')"), apsw.ConstraintError)
    db.set_commit_hook(None)
    assert not db.in_transaction and pending(db) == 10 and sync(db) == 10


def test_other_attached_files_are_not_locked(connect, file, tmp_path):
    db, other = connect(database=file), connect(database=tmp_path / "y.db")
    other.execute("CREATE TABLE a(b)")
    db.execute("ATTACH ? AS y", (str(tmp_path / "y.db"),))
    fill(db, 10)
    other.execute("BEGIN EXCLUSIVE; INSERT INTO a VALUES (1)")
    with stopped_after(db, 10):
        assert sync(db) == 10
    other.execute("COMMIT")


def test_sync_of_an_attached_index(connect, file):
    db = connect()
    db.execute("ATTACH ? AS far", (str(file),))
    db.execute("INSERT INTO far.docs(body) VALUES ('a'), ('b')")
    db.execute("CREATE TABLE near(a); BEGIN; INSERT INTO near VALUES (1); COMMIT")
    assert sync(db, name="far.idx") == 2 and not db.in_transaction


def test_an_interrupted_commit_leaves_nothing_open_on_an_older_sqlite(connect, tmp_path):
    """sqlite3_interrupt also stops the ROLLBACK that should follow."""
    with connect(database=tmp_path / "x.db") as db:
        db.execute(f"{DOCS}; {INDEX}")
        fill(db, 10)
    reader, old = SystemSqlite(), SystemSqlite()
    for one in (reader, old):
        one.value(f"ATTACH '{tmp_path / 'x.db'}' AS far")
    statement = ctypes.c_void_p()
    assert reader.lib.sqlite3_prepare_v2(reader.db, b"SELECT id FROM far.docs", -1, ctypes.byref(statement), None) == 0
    assert reader.lib.sqlite3_step(statement) == 100
    timer = threading.Timer(0.3, old.interrupt)
    timer.start()
    assert old.value("SELECT bge_sync('far.idx')") == "interrupted"
    timer.join()
    assert old.lib.sqlite3_get_autocommit(old.db) == 1
    reader.lib.sqlite3_finalize(statement)
    assert old.value("SELECT bge_sync('far.idx')") == "10"
    for one in (reader, old):
        one.lib.sqlite3_close(one.db)


@pytest.mark.parametrize("how", ["interrupt", "progress handler"])
def test_an_interruption_in_a_transaction_leaves_it_whole_or_rolled_back(connect, file, how):
    db, other = connect(database=file), connect(database=file)
    fill(db, 3000, longest=20)
    db.execute("BEGIN; INSERT INTO docs(id, body) VALUES (9000, 'mine')")
    with pytest.raises(apsw.InterruptError):
        if how == "interrupt":
            with stopped_after(db, 0.1):
                sync(db)
        else:
            interrupted_after(db, 3000)
            sync(db)
    db.set_progress_handler(None)
    # As with any write that is interrupted, SQLite may have rolled back the transaction; half of it is never there.
    rows = value(db, "SELECT count(*) FROM docs")
    assert rows == (3001 if db.in_transaction else 3000)
    check(db)
    if db.in_transaction:
        db.execute("COMMIT")
    check(other)
    sync(db)
    assert len(found(db)) == rows and pending(other) == 0


def test_a_scan_reaches_every_key(db):
    """Rows that were there before the index, in more than one step of a scan, and with keys at both ends."""
    db.execute(DOCS)
    db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) INSERT INTO docs(id) SELECT i * 3 FROM n")
    db.executemany("INSERT INTO docs(id, body) VALUES (?, ?)", [(2**63 - 1, "last"), (-(2**63), "first"), (0, "middle")])
    db.execute(INDEX)
    assert pending(db) == 20_003 and sync(db) == 20_003
    assert pending(db) == 0 and found(db) == {2**63 - 1, -(2**63), 0} and status(db)["rows"] == 20_003
    assert sync(db) == 0
    check(db)


def test_a_row_of_the_index_that_is_deleted_before_its_sync_is_not_pending(db):
    db.execute(f"CREATE VIRTUAL TABLE idx USING bge(body, model = '{TINY}'); INSERT INTO idx(body) VALUES ('a'), ('b'); DELETE FROM idx WHERE rowid = 1")
    assert pending(db) == 1
    db.execute("DELETE FROM idx")
    assert pending(db) == 0
