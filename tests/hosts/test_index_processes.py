"""Several processes on one file, and processes that are killed.

Everything runs in WAL and in rollback-journal mode. The other processes are Python programs; what they do is in their text.
"""

import json
import os
import random
import subprocess
import sys
import time

import apsw
import pytest
from support import EXTENSION, HERE, blob, connect, environment, failure, inferences, run_python, value

BUSY = 5
JOURNALS = ["wal", "delete"]
WORDS = "reset your password machine learning how do i love nlp device button bill page team".split()
NEAREST = "SELECT rowid, distance FROM docs_bge WHERE docs_bge MATCH ? ORDER BY distance LIMIT 20"


def text(chance):
    return " ".join([*chance.choices(WORDS, k=chance.randint(2, 9)), str(chance.random())[:6]])


def make(file, journal, rows=60, catchup=64, sync=True):
    db = connect(database=file)
    db.execute(f"PRAGMA journal_mode = {journal}")
    db.set_busy_timeout(20_000)
    chance = random.Random(1)
    with db:
        db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
        for n in range(1, rows + 1):
            db.execute("INSERT INTO docs VALUES (?, ?)", (n, text(chance)))
        db.execute(f"CREATE VIRTUAL TABLE docs_bge USING bge(body, content='docs', model='tiny-bert', catchup={catchup})")
    if sync:
        assert value(db, "SELECT bge_sync('docs_bge')") == rows
    return db


@pytest.fixture(params=JOURNALS)
def journal(request):
    return request.param


def start(code, *arguments, env=None):
    """A Python process that runs beside; `finish` waits for it."""
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); from support import *\nimport test_index_processes as t\n{code}"
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment(**(env or {})),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, timeout=60):
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0 and err == "", err
    return out


def in_step(db, index="docs_bge", table="docs"):
    """Every row is embedded once, with its present text, and nothing else is there."""
    db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
    assert value(db, "PRAGMA integrity_check") == "ok"
    assert value(db, f"SELECT count(*) FROM {index}_log") == 0
    rows = [row for row, in db.execute(f"SELECT id FROM {table} WHERE body IS NOT NULL ORDER BY id")]
    assert [row for row, in db.execute(f"SELECT row FROM {index}_passages ORDER BY row")] == rows
    assert [row for row, in db.execute(f"SELECT id FROM {index}_rows ORDER BY id")] == rows
    wrong = f"SELECT count(*) FROM {index} WHERE bge_cosine(embedding, bge_embed(body, 'tiny-bert')) < 0.99999"
    assert value(db, wrong) == 0


# --- readers and writers ----------------------------------------------------------------------------


def test_a_readers_snapshot_stays_as_it_is(tmp_path, connect, host, journal):
    """Inside one transaction a search answers the same, whatever another process does meanwhile."""
    file = tmp_path / "d.db"
    make(file, journal).close()
    reader, other = connect(database=file), host(env={"BGE_MODELS": os.environ["BGE_MODELS"]})
    other.value("SELECT bge_info()")
    other.value(f"ATTACH '{file}' AS f")
    for step in range(6):
        reader.execute("BEGIN")
        query = f"reset the device {step}"
        before = list(reader.execute(NEAREST, (query,)))
        if journal == "wal":
            other.value("UPDATE f.docs SET body = ? WHERE id = ?", f"{query}", step + 1)
            other.value("DELETE FROM f.docs WHERE id = ?", 40 + step)
            assert list(reader.execute(NEAREST, (query,))) == before
            assert other.value("SELECT bge_sync('f.docs_bge')") == 2
        else:
            assert "locked" in other.error("UPDATE f.docs SET body = ? WHERE id = ?", query, step + 1)
        assert list(reader.execute(NEAREST, (query,))) == before
        reader.execute("COMMIT")
        if journal == "wal":
            after = list(reader.execute(NEAREST, (query,)))
            assert after[0][0] == step + 1 and after != before
    in_step(connect(database=file))


def test_busy_is_passed_on(tmp_path, connect, journal):
    """Code and words are SQLite's, and the connection works afterwards."""
    file = tmp_path / "d.db"
    make(file, journal).close()
    db, other = connect(database=file), connect(database=file)
    db.execute("UPDATE docs SET body = 'new' WHERE id = 1")
    other.execute("BEGIN IMMEDIATE")
    for sql in ("INSERT INTO docs(body) VALUES ('x')", "INSERT INTO docs_bge(docs_bge) VALUES ('sync')",
                "INSERT INTO docs_bge(docs_bge) VALUES ('rebuild')", "INSERT INTO docs_bge(docs_bge) VALUES ('optimize')",
                "INSERT INTO docs_bge(rowid, embedding) VALUES (1, zeroblob(128))", "DROP TABLE docs_bge",
                "ALTER TABLE docs_bge RENAME TO other"):
        error = failure(db, sql)
        assert error.result == BUSY and "database is locked" in str(error), (sql, error)
        assert db.get_autocommit()
    assert value(db, "SELECT rowid FROM docs_bge('new', 1)") == 1  # reading goes on
    started = time.monotonic()
    error = failure(db, "SELECT bge_sync('docs_bge')")
    assert error.result == BUSY and "database is locked" in str(error)
    assert time.monotonic() - started < 30  # some 5 seconds, and not for ever
    assert db.get_autocommit()
    other.execute("COMMIT")
    assert value(db, "SELECT bge_sync('docs_bge')") == 1
    in_step(db)


def test_a_snapshot_that_is_too_old_is_found_before_embedding(tmp_path, connect):
    file = tmp_path / "d.db"
    make(file, "wal").close()
    db, other = connect(database=file), connect(database=file)
    db.execute("UPDATE docs SET body = 'a new text that must be embedded' WHERE id = 1")
    db.execute("BEGIN")
    value(db, "SELECT count(*) FROM docs")
    other.execute("UPDATE docs SET body = 'x' WHERE id = 2")
    before = inferences(db)
    error = failure(db, "SELECT bge_sync('docs_bge')")
    assert (error.result, error.extendedresult) == (BUSY, apsw.SQLITE_BUSY_SNAPSHOT)
    assert inferences(db) == before
    db.execute("ROLLBACK")
    assert value(db, "SELECT bge_sync('docs_bge')") == 2
    in_step(db)


def test_an_open_search_makes_sync_busy_and_is_named(tmp_path, connect):
    file = tmp_path / "d.db"
    db = make(file, "wal")
    db.execute("UPDATE docs SET body = 'new' WHERE id = 1")
    search = db.execute("SELECT rowid FROM docs_bge WHERE docs_bge MATCH 'reset'")
    next(search)
    error = failure(db, "SELECT bge_sync('docs_bge')")
    assert error.result == BUSY and "SELECT rowid FROM docs_bge WHERE docs_bge MATCH 'reset'" in str(error)
    search.close(True)
    assert value(db, "SELECT bge_sync('docs_bge')") == 1
    db.close()


def test_no_lock_is_held_while_embedding(tmp_path, connect, journal):
    """A writer with no patience at all writes between the steps of a sync; few of its tries meet a step."""
    file = tmp_path / "d.db"
    db = make(file, journal, rows=1500, sync=False)
    syncer = start("db = connect(database=sys.argv[1]); db.set_busy_timeout(20000); print(value(db, \"SELECT bge_sync('docs_bge')\"))",
                   file)
    db.set_busy_timeout(0)
    written = refused = 0
    while syncer.poll() is None:
        try:
            db.execute("UPDATE docs SET body = body || '!' WHERE id = ?", (written % 1500 + 1,))
            written += 1
        except apsw.BusyError:
            refused += 1
        time.sleep(0.005)
    assert int(finish(syncer)) >= 1500
    assert written > 3
    db.set_busy_timeout(20_000)
    value(db, "SELECT bge_sync('docs_bge')")
    in_step(db)
    db.close()


# --- two syncers, a writer, a rebuild ---------------------------------------------------------------

SYNCER = """
db = connect(database=sys.argv[1])
db.set_busy_timeout(20000)
print("ready", flush=True)
sys.stdin.readline()
done = 0
while True:
    n = value(db, "SELECT bge_sync('docs_bge')")
    done += n
    if not n and os.path.exists(sys.argv[2]):
        break
print(done, inferences(db))
"""
WRITER = """
import random, time
db = apsw.Connection(sys.argv[1])  # without the extension
db.set_busy_timeout(20000)
chance = random.Random(9)
print("ready", flush=True)
sys.stdin.readline()
for n in range(120):
    with db:
        for _ in range(chance.randint(1, 4)):
            row, what = chance.randint(1, 700), chance.random()
            if what < 0.5:
                db.execute("UPDATE docs SET body = ? WHERE id = ?", (t.text(chance), row))
            elif what < 0.8:
                db.execute("INSERT OR REPLACE INTO docs VALUES (?, ?)", (row, t.text(chance)))
            else:
                db.execute("DELETE FROM docs WHERE id = ?", (row,))
    time.sleep(0.002)
"""


def go(*processes):
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def test_two_syncers_and_a_writer(tmp_path, journal):
    file, end = tmp_path / "d.db", tmp_path / "end"
    db = make(file, journal, rows=600, sync=False)
    syncers = [start(SYNCER, file, end) for _ in range(2)]
    writer = start(WRITER, file)
    go(*syncers, writer)
    finish(writer)
    end.touch()
    for syncer in syncers:
        finish(syncer)
    value(db, "SELECT bge_sync('docs_bge')")
    in_step(db)
    db.close()


def test_two_syncers_share_the_work(tmp_path, journal):
    """Each row is embedded about once: they begin at random places. (From one end on, both embed all of them.)"""
    end, rows, batches = tmp_path / "end", 6000, []
    end.touch()
    for count in (1, 2):
        file = tmp_path / f"{count}.db"
        db = make(file, journal, rows=rows, sync=False)
        syncers = [start(SYNCER, file, end) for _ in range(count)]
        go(*syncers)
        done = [list(map(int, finish(syncer).split())) for syncer in syncers]
        assert sum(changed for changed, _ in done) == rows
        batches.append(sum(run for _, run in done))
        in_step(db)
        db.close()
    assert batches[1] < 1.8 * batches[0]


def test_rebuild_beside_a_sync(tmp_path, journal):
    file, end = tmp_path / "d.db", tmp_path / "end"
    db = make(file, journal, rows=2000, sync=False)
    syncers = [start(SYNCER, file, end) for _ in range(2)]
    go(*syncers)
    for _ in range(6):
        time.sleep(0.05)
        db.execute("INSERT INTO docs_bge(docs_bge) VALUES ('rebuild')")
    end.touch()
    for syncer in syncers:
        finish(syncer)
    value(db, "SELECT bge_sync('docs_bge')")
    in_step(db)
    db.close()


def test_progress_is_seen_from_another_connection(tmp_path, journal):
    file, end = tmp_path / "d.db", tmp_path / "end"
    db = make(file, journal, rows=4000, sync=False)
    end.touch()
    syncer = start(SYNCER, file, end)
    go(syncer)
    seen = set()
    while syncer.poll() is None:
        status = json.loads(value(db, "SELECT bge_status('docs_bge')"))
        assert status["wrong"] == []
        assert status["rows"] + status["pending"] <= 4000, status  # counted one after the other
        seen.add(status["rows"])
        time.sleep(0.002)
    finish(syncer)
    assert len(seen) > 2
    assert value(db, "SELECT bge_status('docs_bge') ->> '$.pending'") == 0
    db.close()


# --- files that cannot be written -------------------------------------------------------------------


def readable(database, flags=None):
    connection = apsw.Connection(str(database), flags=flags or apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    connection.enable_load_extension(True)
    connection.load_extension(str(EXTENSION))
    return connection


def read_only(db, expected):
    assert list(db.execute(NEAREST, ("the new text",))) == expected
    assert json.loads(value(db, "SELECT bge_status('docs_bge')"))["pending"] == 1
    assert value(db, "SELECT count(*) FROM docs_bge") == 60
    for sql in ("SELECT bge_sync('docs_bge')", "INSERT INTO docs_bge(docs_bge) VALUES ('sync')",
                "INSERT INTO docs_bge(docs_bge) VALUES ('rebuild')"):
        assert failure(db, sql).result == apsw.SQLITE_READONLY
        assert db.get_autocommit()
    assert list(db.execute(NEAREST, ("the new text",))) == expected
    db.close()


def with_a_pending_row(file, journal):
    """A file with one pending row, and what a search gives."""
    db = make(file, journal)
    db.execute("UPDATE docs SET body = 'the new text' WHERE id = 7")
    expected = list(db.execute(NEAREST, ("the new text",)))
    assert expected[0][0] == 7
    return db, expected


def test_a_read_only_connection(tmp_path, journal):
    file = tmp_path / "d.db"
    db, expected = with_a_pending_row(file, journal)
    read_only(readable(file), expected)
    db.close()
    read_only(readable(file), expected)


def test_an_immutable_file_in_a_folder_that_cannot_be_written(tmp_path, journal):
    folder = tmp_path / "folder"
    folder.mkdir()
    db, expected = with_a_pending_row(folder / "d.db", journal)
    db.close()
    before = (folder / "d.db").read_bytes()
    os.chmod(folder / "d.db", 0o444)
    os.chmod(folder, 0o555)
    try:
        read_only(readable(f"file:{folder}/d.db?immutable=1"), expected)
        assert [path.name for path in folder.iterdir()] == ["d.db"]
        assert (folder / "d.db").read_bytes() == before
    finally:
        os.chmod(folder, 0o755)


def test_a_wal_that_cannot_be_written(tmp_path):
    """Copied while a writer was at work: database, WAL and index of the WAL, none of which may be written."""
    db, expected = with_a_pending_row(tmp_path / "d.db", "wal")
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("d.db", "d.db-wal", "d.db-shm"):
        (folder / name).write_bytes((tmp_path / name).read_bytes())
        os.chmod(folder / name, 0o444)
    assert (folder / "d.db-wal").stat().st_size > 0
    read_only(readable(f"file:{folder}/d.db?readonly_shm=1"), expected)
    db.close()


# --- SIGKILL ----------------------------------------------------------------------------------------

KILLED = """
import os, random, signal, time
import test_index_processes as t

def child(file, pipe, seed, journal):
    # Writes ("before", changes) and ("after",) around each commit.
    chance = random.Random(seed)
    db = connect(database=file)
    db.set_busy_timeout(10000)
    os.write(pipe, b'["up"]\\n')
    while True:
        changes = []
        db.execute("BEGIN IMMEDIATE")
        for _ in range(chance.randint(1, 5)):
            table, row = chance.choice(["docs", "own", "given"]), chance.randint(1, 40)
            what = chance.random()
            if table == "given":
                row += 8150
            body = None if what < 0.25 else t.text(chance)
            if table == "given" and body is not None:
                body = t.blob(*(chance.gauss(0, 1) for _ in range(8))).hex()
            changes.append((table, row, body))
            if table == "docs":
                if body is None:
                    db.execute("DELETE FROM docs WHERE id = ?", (row,))
                else:
                    db.execute(chance.choice(["INSERT OR REPLACE INTO docs VALUES (?1, ?2)",
                        "INSERT INTO docs VALUES (?1, ?2) ON CONFLICT(id) DO UPDATE SET body = excluded.body"]), (row, body))
            elif body is None:
                db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))
            elif table == "own":
                db.execute("INSERT OR REPLACE INTO own(rowid, body) VALUES (?, ?)", (row, body))
            else:
                db.execute("INSERT OR REPLACE INTO given(rowid, embedding) VALUES (?, ?)", (row, bytes.fromhex(body)))
        if chance.random() < 0.2:
            value(db, "SELECT bge_sync('own')")  # one step of this transaction
        os.write(pipe, (json.dumps(["before", changes]) + "\\n").encode())
        db.execute("COMMIT")
        os.write(pipe, b'["after"]\\n')
        if chance.random() < 0.6:
            value(db, "SELECT bge_sync(?)", chance.choice(["docs_bge", "own"]))
        if chance.random() < 0.1:
            db.execute("INSERT INTO given(given) VALUES ('optimize')")

file, journal, kills = sys.argv[1], sys.argv[2], int(sys.argv[3])
chance = random.Random(journal)
reader = apsw.Connection(file)
reader.set_busy_timeout(10000)
committed = 0

def seen():
    return {"docs": dict(reader.execute("SELECT id, body FROM docs")),
            "own": dict(reader.execute("SELECT id, c0 FROM own_text")),
            "given": {row: body.hex() for row, body in reader.execute("SELECT row, vector FROM given_passages WHERE row > 8150")}}

def after(changes, state):
    state = {table: dict(rows) for table, rows in state.items()}
    for table, row, body in changes:
        if body is None:
            state[table].pop(row, None)
        else:
            state[table][row] = body
    return state

state = seen()
for n in range(kills):
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(out)
            child(file, into, f"{journal} {n}", journal)
        except BaseException as error:
            os.write(into, (json.dumps(["failed", repr(error)]) + "\\n").encode())
        os._exit(1)
    os.close(into)
    lines = os.fdopen(out)
    first = lines.readline()
    assert first == '["up"]\\n', first
    # At a random moment after some commits, however slow the machine is.
    told = [line for line in (lines.readline() for _ in range(chance.randint(0, 5))) if line]
    time.sleep(chance.choice([0.002, 0.02, 0.1]) * chance.random())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pending = None
    for line in [*told, *lines]:
        if not line.endswith("\\n"):
            break
        kind, *rest = json.loads(line)
        assert kind != "failed", rest
        if kind == "before":
            pending = rest[0]
        else:
            state, pending, committed = after(pending, state), None, committed + 1
    lines.close()
    now = seen()
    if now != state:
        # The transaction that was under way may have been committed, as a whole.
        assert pending is not None and now == after(pending, state), f"kill {n}"
        state = now
    assert list(reader.execute("PRAGMA integrity_check")) == [("ok",)], f"kill {n}"
print(json.dumps([committed, {table: sorted(rows.items()) for table, rows in state.items()}]))
"""


def test_a_hundred_kills(tmp_path, journal):
    """The parent has no extension; its children load it, write, sync, and are killed. 50 kills a journal mode."""
    file = tmp_path / "d.db"
    db = make(file, journal, rows=40)
    chance = random.Random(3)
    with db:
        db.execute("CREATE VIRTUAL TABLE own USING bge(body, model='tiny-bert');"
                   "CREATE VIRTUAL TABLE given USING bge(body, model='tiny-bert')")
        for n in range(1, 8_190):
            db.execute("INSERT INTO given(rowid, embedding) VALUES (?, ?)", (n, blob(*(chance.gauss(0, 1) for _ in range(8)))))
    db.close()
    committed, state = json.loads(run_python(KILLED, file, journal, "50", timeout=120))
    assert committed > 30
    db = connect(database=file)
    for index in ("docs_bge", "own", "given"):
        db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
    for index in ("docs_bge", "own"):
        value(db, "SELECT bge_sync(?)", index)
    in_step(db)
    assert [list(row) for row in db.execute("SELECT id, body FROM docs ORDER BY id")] == state["docs"]
    assert [list(row) for row in db.execute("SELECT rowid, body FROM own ORDER BY rowid")] == state["own"]
    wrong = "SELECT count(*) FROM own WHERE bge_cosine(embedding, bge_embed(body, 'tiny-bert')) < 0.99999 OR embedding IS NULL"
    assert value(db, wrong) == 0
    for row, vector in state["given"]:
        assert value(db, "SELECT hex(embedding) FROM given WHERE rowid = ?", row).lower() == vector
        assert value(db, "SELECT rowid FROM given WHERE given MATCH ? AND k = 1", bytes.fromhex(vector)) == row
    for index in ("own", "given"):
        db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
    db.close()
