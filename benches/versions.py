"""Two builds of the library beside each other: one text, a sync, inserting vectors, a warm search. Each measure runs
in a process of its own for each build, in turns; medians, and the second build's as times the first's.

    .venv/bin/python benches/versions.py FIRST SECOND [--rounds N]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import apsw
import numpy as np

MEASURES = ["one text, ms", "sync of 150 texts, s", "insert, us a vector", "search of 20,000, ms"]


def timed(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure(library):
    db = apsw.Connection(":memory:")
    db.enable_load_extension(True)
    db.load_extension(library, "sqlite3_bge_init")
    random = np.random.default_rng(1)
    words = "device button cable page bill travel team lead days router reset month garden light water".split()

    def text(length):
        return " ".join(random.choice(words, length)) + f" {random.integers(1 << 40)}"

    db.execute("SELECT bge_embed('warm')").fetchall()
    one = statistics.median(timed(lambda: db.execute("SELECT bge_embed(?)", (text(12),)).fetchall()) for _ in range(30))
    db.execute("CREATE VIRTUAL TABLE own USING bge(body)")
    with db:
        db.executemany("INSERT INTO own(body) VALUES (?)", ((text(24),) for _ in range(150)))
    sync = timed(lambda: db.execute("SELECT bge_sync('own')").fetchall())
    db.execute("CREATE VIRTUAL TABLE given USING bge(body, content='')")
    base = random.standard_normal((40, 384), dtype="f4")
    vectors = random.standard_normal((20_000, 40), dtype="f4") @ base
    blobs = [v.tobytes() for v in vectors.astype("<f4")]

    def insert():
        with db:
            db.executemany("INSERT INTO given(rowid, embedding) VALUES (?, ?)", enumerate(blobs, 1))

    inserting = timed(insert)
    ask = "SELECT rowid FROM given WHERE given MATCH ? AND k = 10"
    search = statistics.median(timed(lambda: db.execute(ask, (blobs[n * 37],)).fetchall()) for n in range(100))
    return [one * 1e3, sync, inserting / len(blobs) * 1e6, search * 1e3]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("libraries", nargs="+")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.here:
        print(json.dumps(measure(chosen.libraries[0])))
        return
    found = {library: [] for library in chosen.libraries}
    for _ in range(chosen.rounds):
        for library, of in found.items():
            command = [sys.executable, __file__, library, "--here"]
            of.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    medians = [[statistics.median(column) for column in zip(*of)] for of in found.values()]
    for n, name in enumerate(MEASURES):
        sides = "; ".join(f"{side[n]:.2f}" for side in medians)
        print(f"{name}: {sides}; {medians[-1][n] / medians[0][n]:.2f} times the first")


if __name__ == "__main__":
    main()
