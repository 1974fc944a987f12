"""What belongs together is read together: another connection may commit anything between two statements of ours, and nobody calls
the index damaged.

The other connection works at each boundary between two statements of ours in turn, found with SQLite's own trace.
"""

import json
import shutil
import threading
import time

import apsw
import pytest
from support import TINY, run_python, value
from support import connect as open_file

NEW = [f"CREATE TABLE docs(id INTEGER PRIMARY KEY, body, lang); CREATE VIRTUAL TABLE t USING bge(body, lang UNINDEXED, content='docs', model='{TINY}')",
       "INSERT INTO docs VALUES (1, 'reset the device', 'en'), (2, 'machine learning', 'de'), (3, NULL, 'de')"]
SYNCED = [*NEW, "CREATE TABLE synced AS SELECT bge_sync('t')", "UPDATE docs SET body = 'i love nlp' WHERE id = 2; INSERT INTO docs VALUES (4, 'the bill', 'fr')"]
OURS = {"sync": "SELECT bge_sync('t')", "command": "INSERT INTO t(t) VALUES ('sync')", "search": "SELECT rowid FROM t('device')", "status": "SELECT bge_status('t')",
        "check": "INSERT INTO t(t) VALUES ('integrity-check')", "optimize": "INSERT INTO t(t) VALUES ('optimize')", "scan": "SELECT * FROM t",
        "rebuild": "INSERT INTO t(t) VALUES ('rebuild')"}
THEIRS = {
    "sync": ["SELECT bge_sync('t')"], "rebuild": ["INSERT INTO t(t) VALUES ('rebuild')"],
    "rebuild and sync": ["INSERT INTO t(t) VALUES ('rebuild')", "SELECT bge_sync('t')"],
    "write and sync": ["DELETE FROM docs WHERE id = 1", "INSERT INTO docs VALUES (9, 'page team', 'en')", "SELECT bge_sync('t')"],
    "rename": ["ALTER TABLE docs RENAME COLUMN body TO content"], "delete all and sync": ["DELETE FROM docs", "SELECT bge_sync('t')"],
}


@pytest.fixture(scope="module", params=["new", "synced"])
def made(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("snapshots") / "made.db"
    db = open_file(database=path)
    db.execute("PRAGMA journal_mode = wal")
    for sql in {"new": NEW, "synced": SYNCED}[request.param]:
        db.execute(sql)
    db.close()
    return path


def beside(made, folder, ours, theirs, boundary):
    """Runs a statement, and the other's at one boundary inside of it. Gives the error; None at a boundary that it does not reach."""
    path = folder / "c.db"
    for left in folder.glob("c.db*"):
        left.unlink()
    shutil.copy(made, path)
    one, other = open_file(database=path), open_file(database=path)
    for db in (one, other):
        db.execute("SELECT rowid FROM t('x')").fetchall()
    seen, errors = 0, []

    def trace(event):
        nonlocal seen
        seen += 1
        if seen == boundary and one.txn_state("main") != apsw.SQLITE_TXN_WRITE:
            for sql in theirs:
                other.execute(sql).fetchall()

    one.trace_v2(apsw.SQLITE_TRACE_STMT, trace)
    try:
        one.execute(ours).fetchall()
    except apsw.Error as error:
        errors.append(error)
    one.trace_v2(0, None)
    answered = seen >= boundary
    status = json.loads(value(other, "SELECT bge_status('t')"))
    for attempt in range(2):
        value(other, "SELECT bge_sync('t')")
    other.execute("INSERT INTO t(t) VALUES ('integrity-check')")
    assert "damaged" not in str(status["wrong"])
    one.close(True)
    other.close(True)
    return answered, errors


@pytest.mark.parametrize("ours,theirs", [(ours, theirs) for ours in OURS for theirs in THEIRS
                                         if ours in ("sync", "command") or theirs in ("rebuild and sync", "write and sync")])
def test_others_commit_between_two_statements_of_ours(connect, made, tmp_path, ours, theirs):
    has_triggers = value(connect(database=made), "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'")
    if theirs == "rename" and not has_triggers:
        pytest.skip("no trigger follows a rename before the first sync")
    for boundary in range(1, 400):
        answered, errors = beside(made, tmp_path, OURS[ours], THEIRS[theirs], boundary)
        for error in errors:
            # Somebody else has the lock, or a snapshot is too old: that is said, and tried again. A column may be gone.
            busy = isinstance(error, (apsw.BusyError, apsw.LockedError, apsw.SchemaChangeError))
            renamed = theirs == "rename" and "body" in str(error)
            assert busy or renamed, f"boundary {boundary}: {type(error).__name__} {error}"
            assert "damaged" not in str(error)
        if not answered:
            return
    raise AssertionError("more than 400 statements")


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_processes_that_sync_first(tmp_path, journal):
    """All of them end well, and each row is embedded."""
    code = """
db = connect(database=sys.argv[1])
db.set_busy_timeout(20000)
print(value(db, "SELECT bge_embed('warm', 'tiny-bert') IS NOT NULL"), flush=True)
import time
while time.time() < float(sys.argv[2]):
    pass
print(value(db, "SELECT bge_sync('t')"))
"""
    for round in range(2):
        path = tmp_path / f"{round}.db"
        db = open_file(database=path)
        db.execute(f"PRAGMA journal_mode = {journal}")
        for sql in NEW:
            db.execute(sql)
        start, printed, failed = time.time() + 3, [], []

        def work():
            try:
                printed.append(run_python(code, path, start))
            except AssertionError as error:
                failed.append(str(error))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed, failed
        assert json.loads(value(db, "SELECT bge_status('t')"))["pending"] == 0
        db.execute("INSERT INTO t(t) VALUES ('integrity-check')")
        db.close()
