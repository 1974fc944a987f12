"""bge_pairs and "more like this" beside brute force: every pair of rows that near, by blocks of matrix products in
numpy, which finds the same pairs; and MATCH with a row's own vector beside MATCH with a vector at hand.

20,000 real vectors (corpus.py), or more: those repeated with noise (corpus.enlarged), and every tenth row a copy of
another one, moved a little: duplicates are what is looked for.

    .venv/bin/python benches/pairs.py [--rows N] [--only make|pairs|numpy|portions|like] [--scores S ...]
"""

import argparse
import os
import pathlib
import statistics
import time

import apsw
import numpy as np

import corpus
import peer
from vector_tables import INTO_IDX, OURS, blobs

REAL = 20_000
BLOCK = 2_000


def file_of(rows):
    return corpus.CACHE / "databases" / f"pairs-{rows}.db"


def vectors_of(rows):
    real, _ = corpus.embedded(REAL)
    if rows == REAL:
        return real
    rng = np.random.default_rng(7)
    vectors = corpus.enlarged(real, rows)
    copies = rng.permutation(rows)[:rows // 10]
    vectors[copies] = vectors[rng.integers(rows, size=len(copies))]
    vectors[copies] += rng.standard_normal((len(copies), vectors.shape[1]), dtype=np.float32) * np.float32(0.01)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def connect(rows):
    db = apsw.Connection(str(file_of(rows)))
    db.enable_load_extension(True)
    db.load_extension(str(peer.DIST / "libbge"))
    return db


def make(rows):
    file = file_of(rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    for ending in ("", "-wal", "-shm"):
        pathlib.Path(f"{file}{ending}").unlink(missing_ok=True)
    db = connect(rows)
    db.execute("PRAGMA journal_mode = wal; PRAGMA synchronous = normal")
    db.execute(OURS.format("f32"))
    with db:
        db.executemany(INTO_IDX, enumerate(blobs(vectors_of(rows)), 1))
    db.execute("PRAGMA wal_checkpoint(truncate)").fetchall()


def timed(what, work):
    begun, cpu = time.perf_counter(), time.process_time()
    found = work()
    seconds = time.perf_counter() - begun
    print(f"  {what}: {found:,} pairs in {seconds:.2f} s ({time.process_time() - cpu:.2f} s of CPU)", flush=True)


def pairs(rows, scores):
    db = connect(rows)
    for score in scores:
        counted = "SELECT count(*) FROM bge_pairs('idx', ?)"
        timed(f"bge_pairs, {score}", lambda: db.execute(counted, (score,)).get)


def brute_force(vectors, score):
    found = 0
    for start in range(0, len(vectors), BLOCK):
        scores = vectors[start:start + BLOCK] @ vectors[start:].T
        a, b = np.nonzero(scores >= score)
        found += int(np.count_nonzero(b > a))
    return found


def numpy(rows, scores):
    vectors = vectors_of(rows)
    for score in scores:
        timed(f"numpy, {score}", lambda: brute_force(vectors, score))


def portions(rows, scores):
    """The pairs of the last 1,000 rows with all others; those of one row."""
    db = connect(rows)
    for where in (f"b > {rows - 1000}", f"a = {rows // 2}", f"b = {rows // 2}"):
        counted = f"SELECT count(*) FROM bge_pairs('idx', ?) WHERE {where}"
        for score in scores:
            timed(f"{where}, {score}", lambda: db.execute(counted, (score,)).get)


def like(rows, _):
    """Medians of 60 warm queries each, in turn."""
    db = connect(rows)
    one = "SELECT rowid FROM idx WHERE idx MATCH (SELECT embedding FROM idx WHERE rowid = ?1) AND rowid <> ?1 AND k = 10"
    other = "SELECT rowid FROM idx WHERE idx MATCH ?1 AND k = 10"
    times = {"MATCH (SELECT embedding ...) AND rowid <> ?": [], "MATCH a vector": []}
    for n in range(70):
        row = n * 7919 % rows + 1
        vector = db.execute("SELECT embedding FROM idx WHERE rowid = ?", (row * 31 % rows + 1,)).get
        for (name, of), (sql, value) in zip(times.items(), ((one, row), (other, vector))):
            begun = time.perf_counter()
            db.execute(sql, (value,)).fetchall()
            of.append(time.perf_counter() - begun)
    for name, of in times.items():
        print(f"  {name}: {statistics.median(of[10:]) * 1e3:.2f} ms", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=REAL)
    parser.add_argument("--only", choices=["make", "pairs", "numpy", "portions", "like"])
    parser.add_argument("--scores", type=float, nargs="+", default=[0.95, 0.9])
    chosen = parser.parse_args()
    print(f"{chosen.rows:,} vectors; load {os.getloadavg()[0]:.1f}", flush=True)
    measures = {"pairs": pairs, "numpy": numpy, "portions": portions, "like": like}
    if chosen.only == "make" or not file_of(chosen.rows).exists():
        make(chosen.rows)
    for name, measure in measures.items():
        if chosen.only in (None, name):
            measure(chosen.rows, chosen.scores)
