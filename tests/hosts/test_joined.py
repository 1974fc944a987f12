"""Joined callers: many threads with a connection each share one model and are batched together. Nobody gets a stranger's vector,
nobody's failure or interruption is another's, and no thread of ours outlives a call."""

import pytest
from support import run_python

START = """
import os, threading, time
def thread_count():
    return len(os.listdir("/proc/self/task"))
def threads_are(count):
    "Those of a host that has joined them need a moment to be gone."
    end = time.monotonic() + 0.5
    while thread_count() != count and time.monotonic() < end:
        time.sleep(0.01)
    assert thread_count() == count, (thread_count(), count)
def together(count, work):
    "Runs work(number, connection) in threads with a connection each, started at once; errors fail the test."
    gate, errors = threading.Barrier(count), []
    connections = [connect() for _ in range(count)]
    def run(number):
        try:
            gate.wait()
            work(number, connections[number])
        except BaseException as error:
            errors.append(error)
    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    [c.close(True) for c in connections]
    assert errors == [], errors
def right(text, vector, alone):
    "The vector of a single caller, with a model of its own."
    return distance(vector, floats(embed(alone, text, "alone"))) < 1e-6
db = connect()
"""


@pytest.mark.parametrize("threads", [8, 16])
@pytest.mark.parametrize("model, calls, most", [("bge-small-en-v1.5", 12, 0.7), ("tiny-bert", 200, 1.0)])
def test_every_result_is_right_and_runs_are_shared(threads, model, calls, most):
    """One caller alone needs a run of the model for each text. (A run of the tiny model is over before the host has another.)"""
    found = run_python(START + f"""
model, calls, found = {model!r}, {calls}, {{}}
load(db, "shared", model, cache_mb=0)
load(db, "alone", model, cache_mb=0)
assert len(embed(db, "first", "shared")) > 0
before = thread_count()
def work(number, connection):
    for n, text in enumerate(texts(calls, seed=number, longest=12)):
        found[text] = embed(connection, text, "shared")
together({threads}, work)
runs = inferences(db, "shared") - 1
assert len(found) == {threads} * calls
assert all(right(text, vector, db) for text, vector in found.items())
threads_are(before)
print(runs / len(found))
""", timeout=120)
    assert float(found) < most, found


def test_the_same_text_from_all_is_the_same_vector():
    run_python(START + """
found = []
load(db, "alone")
def work(number, connection):
    for n in range(100):
        found.append((n, embed(connection, f"text {n}")))
together(8, work)
assert len({vector for n, vector in found}) <= 110     # joined in different batches, last bits may differ
assert all(right(f"text {n}", vector, db) for n, vector in found)
""")


def test_callers_of_every_kind_at_once():
    """Single texts, queries, arrays, whole tables, tokens and chunks, on two models."""
    run_python(START + """
load(db, "alone", cache_mb=0)
load(db, "alone-other", "tiny-bert-no-types", cache_mb=0)
wrong = []
def check(text, vector, model):
    alone = "alone" if model == TINY else "alone-other"
    with lock:
        if distance(vector, floats(embed(db, text, alone))) > 1e-6:
            wrong.append((text, model))
lock = threading.Lock()
def work(number, c):
    model = ("tiny-bert", "tiny-bert-no-types")[number % 2]
    mine = texts(60, seed=number, longest=30)
    c.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
    c.executemany("INSERT INTO docs(body) VALUES (?)", [(t,) for t in mine])
    for n in range(5):
        if number < 4:
            for t in mine:
                check(t, embed(c, t, model), model)
        elif number < 8:
            for t, v in list(c.execute("SELECT text, embedding FROM bge_batch('SELECT id, body FROM docs', ?)", (model,))):
                check(t, v, model)
        elif number < 12:
            for t, v in list(c.execute("SELECT text, embedding FROM bge_embed_each(?, ?)", (json.dumps(mine), model))):
                check(t, v, model)
        else:
            for t in mine:
                assert value(c, "SELECT bge_tokens(?, ?)", t, model) == value(c, "SELECT tokens FROM bge_chunks(?, 512, 0, ?)", t, model)
                check(t, value(c, "SELECT bge_embed_query(?, ?)", t, model), model)
together(14, work)
assert wrong == [], wrong[:5]
""", timeout=120)


def test_a_callers_bad_text_is_its_own_error():
    """Texts that are refused, not UTF-8, BLOBs or too long, between good ones of others."""
    run_python(START + """
load(db, "strict", overflow="error", max_length=64, cache_mb=0)
load(db, "alone", cache_mb=0)
found, refused = {}, []
bad = ["a " * 100, b"a blob", None]
def work(number, connection):
    for n, text in enumerate(texts(150, seed=number, longest=10)):
        if number % 2:
            found[text] = embed(connection, text, "strict")
        elif n % 3 == 2:
            refused.append(str(failure(connection, "SELECT bge_embed(CAST(x'ff' AS TEXT), 'strict')")))
        else:
            refused.append(str(failure(connection, "SELECT bge_embed(?, ?)", bad[n % 3], "strict")))
together(8, work)
assert len(found) == len(refused) == 600
assert all(right(text, vector, db) for text, vector in found.items())
kinds = {message[:40] for message in refused}
assert len(kinds) == 3, kinds
""")


def test_a_callers_interruption_is_its_own():
    """Two of eight are interrupted all the time: they get SQLITE_INTERRUPT or a right vector, the others only right vectors."""
    run_python(START + """
load(db, "shared", SMALL, cache_mb=0)
load(db, "alone", SMALL, cache_mb=0)
embed(db, "first", "shared")
found, stopped, end = {}, [], threading.Event()
def work(number, connection):
    if number < 2:
        done = threading.Event()
        def pester():
            while not done.is_set():
                time.sleep(0.003)
                connection.interrupt()
        thread = threading.Thread(target=pester)
        thread.start()
        for text in texts(60, seed=number, longest=10):
            try:
                found[text] = embed(connection, text, "shared")
            except apsw.InterruptError:
                stopped.append(text)
        done.set()
        thread.join()
        assert len(embed(connection, "still here", "shared")) == 1536
    else:
        for text in texts(20, seed=number, longest=10):
            found[text] = embed(connection, text, "shared")
before = thread_count()
together(8, work)
threads_are(before)
assert len(found) + len(stopped) == 2 * 60 + 6 * 20 and len(stopped) > 0, len(stopped)
assert all(right(text, vector, db) for text, vector in found.items())
""", timeout=120)


def test_a_model_that_fails_to_load_is_told_to_all_who_waited():
    run_python(START + """
messages = []
def work(number, connection):
    messages.append(str(failure(connection, "SELECT bge_embed('a', 'no-such-model')")))
together(16, work)
assert len(messages) == 16 and all("no-such-model" in message for message in messages)
assert len(embed(db, "still here")) == 128
""")


def test_no_thread_of_ours_outlives_a_call():
    """After the first embedding the process has the runtime's threads, and never more when no call is running."""
    run_python(START + """
embed(db, "first")
before = thread_count()
def work(number, connection):
    for text in texts(30, seed=number, longest=10):
        embed(connection, text)
    value(connection, "SELECT count(embedding) FROM bge_embed_each(?, ?)", json.dumps(texts(300, seed=number)), TINY)
    value(connection, "SELECT count(embedding) FROM bge_batch(?, ?)", "SELECT 1, 'a' UNION ALL SELECT 2, 'b'", TINY)
    value(connection, "SELECT count(*) FROM bge_chunks(?, 16, 4, ?)", "word one two. " * 500, TINY)
    value(connection, "SELECT bge_tokens(?, ?)", "word " * 20_000, TINY)
for round in range(2):
    together(16, work)
    threads_are(before)
for n in range(3):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, i FROM n"
    rows = db.execute("SELECT key FROM bge_batch(?, ?)", (endless, TINY))
    next(rows)
    assert thread_count() == before, "between two rows no call is running"
    rows.close()
""", timeout=120)


def test_threads_are_faster_than_one():
    """As many texts: eight threads against one. The benches measure how much."""
    run_python(START + """
load(db, "shared", SMALL, cache_mb=0)
embed(db, "first", "shared")
times = {1: [], 8: []}
for seed in range(3):
    for threads in times:
        mine = texts(80, seed=f"{threads} {seed}", longest=8)
        def work(number, connection):
            for text in mine[number::threads]:
                embed(connection, text, "shared")
        start = time.monotonic()
        together(threads, work)
        times[threads].append(time.monotonic() - start)
assert min(times[8]) < min(times[1]), times
print(min(times[1]) / min(times[8]))
""", timeout=120)
