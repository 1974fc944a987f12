"""Filters before ranking, at a million rows: how long a query takes whose filter passes no row, 1 %, 50 %, a
range of 1,000 rowids, or all rows.

Vectors are made, not embedded: 20,000 points of 48 dimensions turned into 384, repeated with noise. So the
figures say what filters cost beside each other, and nothing of recall. Two libraries can be compared on
the same file, in processes of their own, in turn:

    .venv/bin/python benches/filters.py [--rows N] [--rounds N] [--library FILE]...
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

DIST = pathlib.Path(__file__).parent.parent / "dist"
DIMS = 384
FILE = pathlib.Path(__file__).parent.parent / "target" / "benches" / "filters.db"
FILTERS = {
    "all": "",
    "none": " AND part = -1",
    "1 %": " AND part = 7",
    "50 %": " AND part < 50",
    "1,000 rowids": " AND rowid BETWEEN 400001 AND 401000",
}


def connect(library):
    db = apsw.Connection(str(FILE))
    db.enable_load_extension(True)
    db.load_extension(str(library), "sqlite3_bge_init")
    return db


def vectors(rows, seed=1):
    """Portions of unit vectors."""
    random = np.random.default_rng(seed)
    turn = random.standard_normal((48, DIMS), dtype="f4")
    points = random.standard_normal((20_000, 48), dtype="f4") @ turn
    for start in range(0, rows, 10_000):
        at = random.integers(0, len(points), min(10_000, rows - start))
        some = points[at] + random.standard_normal((len(at), DIMS), dtype="f4") * 2
        yield some / np.linalg.norm(some, axis=1, keepdims=True)


def fill(library, rows):
    FILE.parent.mkdir(parents=True, exist_ok=True)
    for ending in ("", "-wal", "-shm"):
        pathlib.Path(f"{FILE}{ending}").unlink(missing_ok=True)
    db = connect(library)
    db.execute("PRAGMA journal_mode = wal; PRAGMA synchronous = off")
    db.execute("CREATE VIRTUAL TABLE idx USING bge(body, part INTEGER UNINDEXED, content='')")
    begun, rowid = time.perf_counter(), 1
    for portion in vectors(rows):
        blobs = [v.tobytes() for v in portion.astype("<f4")]
        with db:
            db.executemany("INSERT INTO idx(rowid, part, embedding) VALUES (?, ?, ?)",
                           ((rowid + n, (rowid + n) % 100, blob) for n, blob in enumerate(blobs)))
        rowid += len(blobs)
    print(f"{rows:,} vectors written at {rows / (time.perf_counter() - begun):,.0f} rows/s", flush=True)
    db.execute("PRAGMA wal_checkpoint(truncate)").fetchall()


def ask(library, rounds):
    """Seconds of each filter, medians, in this process."""
    db = connect(library)
    queries = [v.tobytes() for v in next(vectors(1_000, seed=1)).astype("<f4")]
    times = {name: [] for name in FILTERS}
    for n in range(rounds + 2):
        for place, (name, sql) in enumerate(FILTERS.items()):
            query = f"SELECT rowid FROM idx WHERE idx MATCH ? AND k = 10{sql}"
            begun = time.perf_counter()
            db.execute(query, (queries[(n + 41 * place) % len(queries)],)).fetchall()
            if n >= 2:
                times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(of) for name, of in times.items()}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--library", action="append", default=[])
    arguments.add_argument("--keep", action="store_true", help="ask the file that is there")
    arguments.add_argument("--ask", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.ask:
        print(json.dumps(ask(chosen.ask, chosen.rounds)))
        return
    libraries = chosen.library or [str(DIST / "libbge")]
    if not chosen.keep:
        fill(libraries[0], chosen.rows)
    for turn in range(2):
        for library in libraries:
            command = [sys.executable, __file__, "--ask", library, "--rounds", str(chosen.rounds)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            for name, seconds in json.loads(said).items():
                print(f"  turn {turn + 1}, {library}: filter that passes {name}: {seconds * 1e3:.1f} ms", flush=True)


if __name__ == "__main__":
    main()
