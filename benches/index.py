"""The semantic index: recall, latency, syncing, writing and size, beside brute force in SQL and beside
the two other vector extensions for SQLite, sqlite-vec and sqlite-vector, on the same vectors.

Real vectors are those of corpus.py. Where more rows are wanted than there are real ones, these are
repeated with noise (corpus.enlarged): the figures say which. All databases are files, in WAL mode.

    .venv/bin/python benches/index.py [--only NAME] [--rows N] [--texts N] [--rounds N]
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import apsw
import numpy as np

import corpus
import peer
from vector_tables import (ASK_IDX, INTO_IDX, QUANTIZATIONS, QUANTIZED, TABLES, blobs, ids, prepare_quantized,
                           sqlite_vec_file, sqlite_vector_file)

FILES = corpus.CACHE / "databases"
REAL = 20_000
TOP = 10
PORTION = 10_000


def connect(name, fresh=False):
    """A connection to one of our files, with all three extensions."""
    FILES.mkdir(parents=True, exist_ok=True)
    file = FILES / f"{name}.db"
    if fresh:
        for ending in ("", "-wal", "-shm"):
            pathlib.Path(f"{file}{ending}").unlink(missing_ok=True)
    db = apsw.Connection(str(file))
    db.enable_load_extension(True)
    for extension in (peer.DIST / "libbge", sqlite_vector_file(), sqlite_vec_file()):
        db.load_extension(str(extension))
    db.execute("PRAGMA journal_mode = wal; PRAGMA synchronous = normal")
    return db


# ---- the sides: how each is made, written and asked ----------------------------------------------

DOCS = "CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT, part INTEGER)"
OVER_DOCS = DOCS + "; CREATE VIRTUAL TABLE idx USING bge(body, part UNINDEXED, content='docs')"
SIDES = {**TABLES, "index over a table": (OVER_DOCS, INTO_IDX, ASK_IDX)}


def file_of(side):
    return side.replace(", ", "-").replace(" ", "-")


# ---- measures --------------------------------------------------------------------------------------


def fill(vectors, sides):
    """Makes the files; rows/s of each side, the median over portions written in turn."""
    dbs = {side: connect(file_of(side), fresh=True) for side in sides}
    for side, db in dbs.items():
        db.execute(SIDES[side][0])
        if side == "index over a table":
            with db:
                rows = ((n + 1, f"text {n}", (n + 1) % 100) for n in range(len(vectors)))
                db.executemany("INSERT INTO docs VALUES (?, ?, ?)", rows)
    times = {side: [] for side in sides}
    for start in range(0, len(vectors), PORTION):
        rows = list(enumerate(blobs(vectors[start:start + PORTION]), start + 1))
        for side, db in dbs.items():
            begun = time.perf_counter()
            with db:
                db.executemany(SIDES[side][1], rows)
            times[side].append((time.perf_counter() - begun) / len(rows))
    for side, db in dbs.items():
        if side == "index over a table":
            # Compares each row with what is indexed, and finds nothing to embed.
            begun = time.perf_counter()
            db.execute("SELECT bge_sync('idx')").fetchall()
            rate = len(vectors) / (time.perf_counter() - begun)
            print(f"  bge_sync over rows that have their vectors: {rate:,.0f} rows/s")
        db.execute("PRAGMA wal_checkpoint(truncate)").fetchall()
        db.close()
    medians = {side: statistics.median(of) for side, of in times.items()}
    for side, seconds in medians.items():
        size = (FILES / f"{file_of(side)}.db").stat().st_size / len(vectors)
        print(f"  {side}: {1 / seconds:,.0f} rows/s ({seconds * 1e6:.1f} us a row), "
              f"{medians['vec0'] / seconds:.2f} times vec0; {size:,.0f} bytes of file a row", flush=True)


def latency(sides, queries, rounds, warm=2):
    """Medians of {name: one query}, interleaved. Each side asks for other vectors in its turn: where
    two share a connection, the second would find the pages that the first has read."""
    times = {name: [] for name in sides}
    for n in range(rounds + warm):
        for place, (name, ask) in enumerate(sides.items()):
            begun = time.perf_counter()
            ask(queries[(n + 41 * place) % len(queries)])
            if n >= warm:
                times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(of) for name, of in times.items()}


def recall(db, sql, queries, exact):
    found = [len(ids(db, sql, query) & truth) for query, truth in zip(queries, exact)]
    return sum(found) / TOP / len(found)


def exact_answers(vectors, queries):
    """The ten nearest by brute force over the same vectors, as rowids."""
    scores = queries @ vectors.T
    return [set((np.argpartition(-row, TOP)[:TOP] + 1).tolist()) for row in scores]


def measure_recall(chosen):
    """Real vectors, all queries."""
    vectors, queries = corpus.embedded(REAL)
    print(f"{REAL:,} real vectors, {len(queries)} real queries")
    exact, asked = exact_answers(vectors, queries), blobs(queries)
    fill(vectors, [side for side in SIDES if side.startswith("index")] + ["vec0", "table"])
    for side, (db, sql) in asking().items():
        print(f"  recall@10 of {side}: {recall(db, sql, asked, exact):.4f}", flush=True)


def measure_large(chosen):
    """Many vectors: writing, sizes, warm and first queries, filters, beside the others."""
    real, queries = corpus.embedded(REAL)
    vectors = corpus.enlarged(real, chosen.rows)
    print(f"{len(vectors):,} vectors: {REAL:,} real ones, repeated with noise; real queries", flush=True)
    fill(vectors, list(SIDES))
    asked = blobs(queries)
    exact = exact_answers(vectors, queries[:50])
    del vectors
    warm_queries(chosen, asked, exact)
    filters(chosen, asked)
    first_queries(chosen)


def asking():
    """{side: (connection, select)}; sqlite-vector with each kind of quantization."""
    sides = {side: (connect(file_of(side)), select) for side, (_, _, select) in SIDES.items()}
    for name, options in QUANTIZATIONS.items():
        # A later quantization replaces this one in the file, but not in this connection's memory.
        db = connect("table")
        prepare_quantized(db, options)
        sides[f"sqlite-vector, {name}"] = (db, QUANTIZED)
    return sides


def warm_queries(chosen, asked, exact):
    dbs = asking()
    for side, (db, sql) in dbs.items():
        print(f"  recall@10 of {side}: {recall(db, sql, asked, exact):.4f}", flush=True)
    sides = {side: (lambda q, db=db, sql=sql: ids(db, sql, q)) for side, (db, sql) in dbs.items()}
    medians = latency(sides, asked, chosen.rounds)
    for side, seconds in medians.items():
        print(f"  warm query, {side}: {seconds * 1e3:.2f} ms, {seconds / medians['index']:.1f} times the index's")
    memory()


def memory():
    """Bytes of the codes that a process holds once it has searched one index, in a fresh one."""
    print(f"  codes in memory: {in_new_process('memory'):.1f} bytes a row", flush=True)


def in_new_process(what):
    command = [sys.executable, __file__, "--first", what]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def filters(chosen, asked):
    db = connect(file_of("index over a table"))
    plain = "SELECT rowid FROM idx WHERE idx MATCH ? AND k = 10"
    sides = {"none": plain, "1 %": plain + " AND part = 7", "50 %": plain + " AND part < 50"}
    sides = {name: (lambda q, sql=sql: ids(db, sql, q)) for name, sql in sides.items()}
    for name, seconds in latency(sides, asked, chosen.rounds).items():
        print(f"  filter that passes {name}: {seconds * 1e3:.2f} ms")
    with_limit(chosen, asked)


JOINED = "SELECT d.id, d.body FROM idx JOIN docs AS d ON d.id = idx.rowid WHERE idx MATCH {} {}"


def with_limit(chosen, asked):
    """LIMIT without k, joined, in the sqlite3 shell of the machine."""
    version = subprocess.run(["sqlite3", "--version"], check=True, capture_output=True, text=True).stdout.split()[0]
    shell = Shell(FILES / f"{file_of('index over a table')}.db")
    literal = lambda q: f"x'{q.hex()}'"
    sides = {
        "k": lambda q: shell.ask(JOINED.format(literal(q), "AND k = 10 ORDER BY distance")),
        "LIMIT": lambda q: shell.ask(JOINED.format(literal(q), "ORDER BY distance LIMIT 10")),
    }
    assert sides["k"](asked[0]) == sides["LIMIT"](asked[0])
    times = {"k": [], "LIMIT": []}
    for n, query in enumerate(asked[:5 * chosen.rounds]):
        sides["k"](query)  # not timed: whoever asks first reads the pages of this query's candidates
        for side in sorted(sides, reverse=n % 2):
            begun = time.perf_counter()
            sides[side](query)
            times[side].append(time.perf_counter() - begun)
    k, limit = (statistics.median(times[side]) for side in ("k", "LIMIT"))
    ratio = statistics.median(l / k for k, l in zip(times["k"], times["LIMIT"]))
    print(f"  joined, sqlite3 {version}: k = 10 {k * 1e3:.2f} ms, LIMIT 10 {limit * 1e3:.2f} ms, "
          f"ratio {ratio:.3f} (median of pairs)", flush=True)


class Shell:
    """The sqlite3 program, kept open; its times include a pipe (some 0.1 ms)."""

    def __init__(self, file):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(["sqlite3", "-batch", str(file)], stdin=pipe, stdout=pipe, text=True)
        self.ask(f"SELECT 1;\n.load {peer.DIST / 'libbge'}\nSELECT 1")

    def ask(self, sql):
        self.process.stdin.write(f"{sql};\nSELECT 'end of answer';\n")
        self.process.stdin.flush()
        return list(iter(self.process.stdout.readline, "end of answer\n"))


FIRST = ("index", "vec0", "table", "sqlite-vector")


def first_queries(chosen):
    """The first query of a new process; the files are in the system's page cache."""
    times = {side: [] for side in FIRST}
    for _ in range(max(3, chosen.rounds // 4)):
        for side in FIRST:
            times[side].append(in_new_process(side))
    medians = {side: statistics.median(of) for side, of in times.items()}
    for side, seconds in medians.items():
        print(f"  first query, {side}: {seconds * 1e3:.1f} ms, {seconds / medians['index']:.1f} times the index's")


def first_query(side):
    """In a process of its own: seconds from opening the file to the ten rows; bytes of codes a row."""
    query = np.load(next(corpus.CACHE.glob("queries-500-*.npy")))[7].tobytes()
    if side == "memory":
        db = connect("index")
        ids(db, ASK_IDX, query)
        status = json.loads(db.execute("SELECT bge_status('idx')").fetchone()[0])
        print(status["codes"]["bytes_in_memory"] / status["passages"])
        return
    begun = time.perf_counter()
    if side == "sqlite-vector":
        db = connect("table")
        prepare_quantized(db)
        ids(db, QUANTIZED, query)
    else:
        ids(connect(file_of(side)), SIDES[side][2], query)
    print(time.perf_counter() - begun)


def measure_notes(chosen):
    """Rows/s of writing texts, which only notes them."""
    rows = 100_000
    print(f"{rows:,} texts written in one INSERT ... SELECT")
    texts = corpus.descriptions(30_000)
    db = connect("notes", fresh=True)
    db.execute("CREATE TABLE source(body TEXT)")
    with db:
        db.executemany("INSERT INTO source VALUES (?)", ((texts[n % len(texts)],) for n in range(rows)))
    kinds = {
        "a table without an index": DOCS,
        "a table with an index": DOCS + "; CREATE VIRTUAL TABLE {0} USING bge(body, content='docs')",
        "an index that keeps the text": "CREATE VIRTUAL TABLE docs USING bge(body)",
        "an FTS5 table": "CREATE VIRTUAL TABLE docs USING fts5(body)",
    }
    times = {kind: [] for kind in kinds}
    for _ in range(5):
        for kind, sql in kinds.items():
            db.execute("DROP TABLE IF EXISTS idx; DROP TABLE IF EXISTS docs")
            db.execute(sql.format("idx"))
            begun = time.perf_counter()
            db.execute("INSERT INTO docs(body) SELECT body FROM source")
            times[kind].append(time.perf_counter() - begun)
    for kind, of in times.items():
        print(f"  {kind}: {rows / statistics.median(of):,.0f} rows/s", flush=True)


def measure_sync(chosen):
    """bge_sync against bge_batch on the same rows, in portions that take turns."""
    texts, _ = corpus.split(REAL)
    portion = 500
    texts = texts[:chosen.texts]
    db = connect("sync", fresh=True)
    db.execute(DOCS + "; CREATE TABLE emb(id INTEGER PRIMARY KEY, v BLOB)")
    db.execute("CREATE VIRTUAL TABLE idx USING bge(body, content='docs')")
    # Not timed: loading the model, and its fingerprint, which is read once a process.
    with db:
        db.execute("INSERT INTO docs(id, body) VALUES (-1, 'loads the model')")
    db.execute("SELECT bge_sync('idx')").fetchall()

    def sync():
        return db.execute("SELECT bge_sync('idx')").fetchall()

    def batch(start):
        rows = f"SELECT id, body FROM docs WHERE id > {start}"
        db.execute(f"INSERT INTO emb SELECT key, embedding FROM bge_batch('{rows}')")

    ratios, spent, used = [], {"sync": 0.0, "batch": 0.0}, {"sync": 0.0, "batch": 0.0}
    for start in range(0, len(texts), portion):
        with db:
            rows = enumerate(texts[start:start + portion], start + 1)
            db.executemany("INSERT INTO docs(id, body) VALUES (?, ?)", rows)
        turns = [("sync", sync), ("batch", lambda: batch(start))]
        took = {}
        for name, run in turns if start // portion % 2 else turns[::-1]:
            begun, before = time.perf_counter(), time.process_time()
            run()
            took[name] = time.perf_counter() - begun
            spent[name] += took[name]
            used[name] += time.process_time() - before
        ratios.append(took["batch"] / took["sync"])
    assert db.execute("SELECT count(*) FROM idx_passages").fetchone() == (len(texts) + 1,)
    print(f"{len(texts):,} texts in portions of {portion}: bge_sync {len(texts) / spent['sync']:.1f} texts/s, "
          f"bge_batch {len(texts) / spent['batch']:.1f} texts/s, ratio {statistics.median(ratios):.3f} "
          f"(median of portions), {spent['batch'] / spent['sync']:.3f} (all), "
          f"{used['batch'] / used['sync']:.3f} (by CPU time, which other processes disturb less)", flush=True)


MEASURES = {"recall": measure_recall, "large": measure_large, "notes": measure_notes, "sync": measure_sync}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", choices=MEASURES)
    arguments.add_argument("--rows", type=int, default=200_000, help="vectors of `large`")
    arguments.add_argument("--texts", type=int, default=3_000, help=f"texts of `sync`, {REAL} at most")
    arguments.add_argument("--rounds", type=int, default=20, help="queries for a median")
    arguments.add_argument("--first", choices=(*FIRST, "memory"), help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.first:
        return first_query(chosen.first)
    db = connect("versions", fresh=True)
    versions = db.execute("SELECT sqlite_version(), bge_version(), vec_version(), vector_version(), vector_backend()")
    print(peer.machine())
    print("SQLite {}, sqlite-bge {}, sqlite-vec {}, sqlite-vector {} ({})".format(*versions.fetchone()), flush=True)
    for name, measure in MEASURES.items():
        if chosen.only in (None, name):
            measure(chosen)


if __name__ == "__main__":
    main()
