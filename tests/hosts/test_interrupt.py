"""Stopping: sqlite3_interrupt from another thread, a progress handler that says stop (Datasette's time limit) and Ctrl-C in the
shell end whatever is running within a batch. The error is SQLITE_INTERRUPT, nothing is half-written, the next statement works.

On the newest SQLite and on the system's 3.40, which has no sqlite3_is_interrupted. The jobs take 5 to 30 seconds if nobody
stops them; here they are stopped after a part of a second.
"""

import json
import os
import signal
import subprocess
import threading
import time

import apsw
import pytest
from support import EXTENSION, SystemSqlite, connect, environment, failure, load, unload, value

INTERRUPT, DONE = 9, 101
STOPPED_IN = 1.0  # seconds from the stop to the error; a batch of the real model takes some 0.1
SETUP = """
CREATE TABLE docs(id INTEGER PRIMARY KEY, body, v);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 6000)
INSERT INTO docs(body) SELECT 'sentence number ' || i || ' about how to reset the small device at home' FROM n;
CREATE TABLE big AS SELECT replace(hex(zeroblob(2500000)), '0', 'reset ') AS body;
CREATE TABLE many AS SELECT replace(hex(zeroblob(600000)), '0', 'reset the device. ') AS body;
CREATE TABLE emb(id, v)
"""
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, i FROM n"
JOBS = {
    "INSERT from bge_batch": "INSERT INTO emb SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs')",
    "UPDATE from bge_batch": "UPDATE docs SET v = b.embedding FROM bge_batch('SELECT id, body FROM docs') b WHERE docs.id = b.key",
    "count of bge_batch": "SELECT count(embedding) FROM bge_batch('SELECT id, body FROM docs')",
    "a bge_batch that waits for its first row": f"SELECT count(*) FROM bge_batch('{ENDLESS} WHERE i < 0')",
    "an endless bge_batch without texts": f"SELECT count(*) FROM bge_batch('{ENDLESS.replace('i, i', 'i, NULL')}')",
    "an endless bge_batch that is inserted": f"INSERT INTO emb SELECT key, embedding FROM bge_batch('{ENDLESS}', 'tiny-bert')",
    "bge_embed_each": "INSERT INTO emb SELECT idx, embedding FROM (SELECT json_group_array(body) AS a FROM docs), bge_embed_each(a)",
    "bge_embed of many rows": "INSERT INTO emb SELECT id, bge_embed(body) FROM docs",
    "bge_embed_query of many rows": "UPDATE docs SET v = bge_embed_query(body)",
    "bge_tokens of a huge text": "INSERT INTO emb SELECT 1, bge_tokens(body) FROM big",
    "bge_chunks of a huge text": "INSERT INTO emb SELECT idx, tokens FROM many, bge_chunks(body, 64)",
    "bge_chunks with overlap": "SELECT count(*) FROM many, bge_chunks(body, 64, 32)",
}


class NewestHost:
    def __init__(self, extension=EXTENSION):
        self.connection = connect(extension)
        self.interrupt, self.value = self.connection.interrupt, lambda sql: str(value(self.connection, sql))
        self.set_progress_handler = self.connection.set_progress_handler

    def run(self, sql):
        try:
            for _ in self.connection.execute(sql):
                pass
        except apsw.Error as error:
            return error.result
        return DONE


@pytest.fixture(scope="module", params=[NewestHost, SystemSqlite], ids=["newest", "3.40"])
def host(request):
    """One connection for all jobs: each shows that the one before has left it usable."""
    made = request.param()
    for sql in SETUP.split(";"):
        assert made.run(sql) == DONE
    assert made.value("SELECT length(bge_embed('the model is loaded'))") == "1536"
    return made


def is_untouched(host):
    return host.value("SELECT (SELECT count(*) FROM emb) || ' ' || (SELECT count(v) FROM docs)") == "0 0"


def works(host):
    return host.value("SELECT length(bge_embed('still here ' || random())) || ' ' || count(embedding) FROM "
                      "bge_batch('SELECT id, body FROM docs LIMIT 3')") == "1536 3"


# --- both ways to stop, on both versions ---------------------------------------------------------


@pytest.mark.parametrize("job", JOBS)
def test_sqlite3_interrupt(host, job):
    delay = 0.4
    timer = threading.Timer(delay, host.interrupt)
    start = time.monotonic()
    timer.start()
    rc = host.run(JOBS[job])
    took = time.monotonic() - start
    timer.join()
    assert rc & 0xff == INTERRUPT, f"{rc} after {took:.2f} s"
    assert delay <= took < delay + STOPPED_IN
    assert is_untouched(host) and works(host)


@pytest.mark.parametrize("job", JOBS)
def test_a_progress_handler_that_says_stop(host, job):
    """Set to 1,000 steps, as Datasette does; it says stop when its time is over."""
    delay, asked = 0.4, []
    start = time.monotonic()

    def over():
        asked.append(time.monotonic() - start)
        return asked[-1] > delay

    host.set_progress_handler(over, 1000)
    try:
        rc = host.run(JOBS[job])
    finally:
        host.set_progress_handler(None)
    took = time.monotonic() - start
    assert rc & 0xff == INTERRUPT, f"{rc} after {took:.2f} s, asked {len(asked)} times"
    assert delay <= took < delay + STOPPED_IN
    assert is_untouched(host) and works(host)


RUNS = """SELECT json_extract(value, '$.inferences') FROM json_each(bge_info(), '$.loaded')
          WHERE json_extract(value, '$.name') = 'bge-small-en-v1.5'"""


@pytest.mark.parametrize("job", ["INSERT from bge_batch", "UPDATE from bge_batch", "bge_embed_each", "bge_embed of many rows",
                                 "bge_embed_query of many rows"])
def test_a_handler_that_says_stop_at_once_is_heard_within_a_batch(host, job):
    """Counted in runs of the model, so that it does not depend on the machine: one row of bge_embed is a batch of its own."""
    before = int(host.value(RUNS))
    host.set_progress_handler(lambda: True, 1000)
    try:
        rc = host.run(JOBS[job])
    finally:
        host.set_progress_handler(None)
    assert rc & 0xff == INTERRUPT
    assert int(host.value(RUNS)) - before <= 3


def test_a_progress_handler_that_never_says_stop_changes_nothing(host):
    for steps in (1, 1000):
        asked = []
        host.set_progress_handler(lambda: bool(asked.append(1)), steps)
        try:
            found = host.value("SELECT count(embedding) FROM bge_batch('SELECT id, body FROM docs LIMIT 200', 'tiny-bert')")
        finally:
            host.set_progress_handler(None)
        assert found == "200" and asked


def test_an_interruption_when_nothing_runs_changes_nothing(host):
    host.interrupt()
    assert works(host)


def test_stopped_many_times_at_any_moment(host):
    """Short jobs, stopped from the first moment to the last."""
    assert host.value("SELECT length(bge_embed('a', 'tiny-bert'))") == "128"
    sql = "INSERT INTO emb SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs LIMIT 400', 'tiny-bert')"
    start = time.monotonic()
    assert host.run("SAVEPOINT s") == host.run(sql) == host.run("ROLLBACK TO s") == host.run("RELEASE s") == DONE
    whole, codes = time.monotonic() - start, []
    for n in range(60):
        timer = threading.Timer(whole * n / 50, host.interrupt)
        timer.start()
        codes.append(host.run(sql) & 0xff)
        timer.join()
        assert host.value("SELECT count(*) FROM emb") == ("400" if codes[-1] == DONE else "0")
        assert host.run("DELETE FROM emb") == DONE
    assert set(codes) <= {INTERRUPT, DONE} and INTERRUPT in codes
    assert works(host)


# --- more on the newest --------------------------------------------------------------------------


def test_the_error_is_an_interrupt_error_also_inside_a_nested_batch(db):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
    db.executemany("INSERT INTO docs(body) VALUES (?)", [(f"sentence number {n} of some more words",) for n in range(3000)])
    nested = "SELECT count(*) FROM bge_batch('SELECT key, text FROM bge_batch(''SELECT id, body FROM docs'')')"
    value(db, "SELECT bge_embed('a')")
    for sql in (nested, "SELECT count(*) FROM docs a JOIN bge_batch('SELECT id, body FROM docs') b ON a.id = b.key"):
        timer = threading.Timer(0.3, db.interrupt)
        timer.start()
        start = time.monotonic()
        assert isinstance(failure(db, sql), apsw.InterruptError)
        assert time.monotonic() - start < 0.3 + STOPPED_IN
        timer.join()


def test_only_the_connection_that_is_interrupted_stops(db, connect):
    other, found = connect(), []
    sql = "SELECT count(embedding) FROM bge_embed_each(?)"
    value(db, "SELECT bge_embed('a')")
    thread = threading.Thread(target=lambda: found.append(value(other, sql, json.dumps([f"other text {n}" for n in range(300)]))))
    timer = threading.Timer(0.2, db.interrupt)
    thread.start(), timer.start()
    assert isinstance(failure(db, sql, json.dumps([f"own text {n}" for n in range(4000)])), apsw.InterruptError)
    thread.join(), timer.join()
    assert found == [300]


def test_a_caller_that_waits_for_the_model_can_be_interrupted(db, connect, name):
    """Another connection keeps the model busy with one batch of long texts after the other."""
    load(db, name, "bge-small-en-v1.5", batch_tokens=8192)
    busy, end = connect(), threading.Event()

    def work():
        n = 0
        while not end.is_set():
            n += 1
            value(busy, "SELECT count(embedding) FROM bge_embed_each(json_array(?1, ?1 || 'b', ?1 || 'c'), ?2)",
                  f"{n} " + "word " * 600, name)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.2)
    for _ in range(5):
        timer = threading.Timer(0.05, db.interrupt)
        timer.start()
        start = time.monotonic()
        try:
            value(db, "SELECT bge_embed('waits ' || random(), ?)", name)
        except apsw.InterruptError:
            assert time.monotonic() - start < 0.05 + STOPPED_IN
        timer.join()
    end.set()
    thread.join()
    assert value(db, "SELECT length(bge_embed('still here', ?))", name) == 1536


def test_a_model_is_loaded_in_spite_of_an_interruption_or_by_the_next_call(db, name):
    for n in range(5):
        timer = threading.Timer(0.02 * n, db.interrupt)
        timer.start()
        try:
            load(db, name, "bge-small-en-v1.5")
        except apsw.InterruptError:
            pass
        timer.join()
        load(db, name, "bge-small-en-v1.5")
        assert value(db, "SELECT length(bge_embed('a', ?))", name) == 1536
        unload(db, name)


# --- Ctrl-C in the shell -------------------------------------------------------------------------


@pytest.mark.parametrize("job", ["INSERT from bge_batch", "bge_tokens of a huge text", "bge_embed of many rows"])
def test_ctrl_c_in_the_shell(tmp_path, job):
    shell = subprocess.Popen(["sqlite3", "-interactive", "-init", "/dev/null", tmp_path / "user.db"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), text=True, bufsize=1)
    try:
        def until(words):
            seen = []
            while words not in (seen or [""])[-1]:
                seen.append(shell.stdout.readline())
                assert seen[-1], f"the shell ended: {seen}"
            return "".join(seen)

        shell.stdin.write(f'.load "{EXTENSION}"\n{SETUP};\nSELECT \'dims \' || bge_dims(bge_embed(\'a\'));\n')
        until("dims 384")
        shell.stdin.write(f"{JOBS[job]};\n")
        time.sleep(1.0)
        start = time.monotonic()
        shell.send_signal(signal.SIGINT)
        until("interrupted")
        assert time.monotonic() - start < STOPPED_IN
        shell.stdin.write("SELECT 'rows ' || count(*) || ' dims ' || bge_dims(bge_embed('still here')) FROM emb;\n")
        until("rows 0 dims 384")
        assert shell.poll() is None
        shell.stdin.write(".quit\n")
        shell.communicate(timeout=20)
        assert shell.returncode == 1, "what the shell answers after any error"
    finally:
        shell.kill()
        shell.wait()
    assert not os.path.exists(tmp_path / "user.db-journal")
