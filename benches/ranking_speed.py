"""What a ranking costs beside `meaning` alone: 200,000 rows with their words, warm, k = 10.

Texts are 20,000 descriptions of Debian packages, ten times each with another number at the end; vectors are theirs by
bge-small, each copy moved by noise (`corpus.enlarged`). Questions are other descriptions, without their names (six words
in the median), one alone and four in a row, embedded as part of each query. Rankings take turns; the figures are medians of milliseconds, and
ratios of those.

    .venv/bin/python benches/ranking_speed.py [--rows N] [--questions N] [--keep]
"""

import argparse
import pathlib
import statistics
import time

import apsw
import corpus
import peer

FILE = peer.ROOT / "target" / "benches" / "ranking.db"
RANKINGS = ["meaning", "words", "hybrid", "mmr", "hybrid, mmr", "decay(added, '90 days', 1764028800)"]
DISTINCT = 20_000
PORTION = 10_000


def connect():
    db = apsw.Connection(str(FILE))
    db.enable_load_extension(True)
    db.load_extension(str(peer.ROOT / "dist" / "libbge"), "sqlite3_bge_init")
    return db


def fill(rows):
    FILE.parent.mkdir(parents=True, exist_ok=True)
    for ending in ("", "-wal", "-shm"):
        pathlib.Path(f"{FILE}{ending}").unlink(missing_ok=True)
    texts, _ = corpus.split(DISTINCT)
    vectors, _ = corpus.embedded(DISTINCT)
    vectors = corpus.enlarged(vectors, rows)
    db = connect()
    db.execute("PRAGMA journal_mode = wal; PRAGMA synchronous = off")
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT, added INTEGER)")
    with db:
        db.executemany("INSERT INTO docs VALUES (?, ?, ?)",
                       ((n + 1, f"{texts[n % DISTINCT]} {n}", 1_700_000_000 + n * 300) for n in range(rows)))
    db.execute("CREATE VIRTUAL TABLE idx USING bge(body, added INTEGER UNINDEXED, content='docs', words=on)")
    for start in range(0, rows, PORTION):
        with db:
            db.executemany("INSERT INTO idx(rowid, embedding) VALUES (?, ?)",
                           ((start + n + 1, vector.astype("<f4").tobytes())
                            for n, vector in enumerate(vectors[start:start + PORTION])))
    db.execute("PRAGMA wal_checkpoint(truncate)").fetchall()


def ask(questions):
    """Milliseconds of each query by each ranking."""
    db = connect()
    times = {ranking: [] for ranking in RANKINGS}
    for n, question in enumerate(questions):
        for ranking in RANKINGS[n % len(RANKINGS):] + RANKINGS[:n % len(RANKINGS)]:
            begun = time.perf_counter()
            db.execute("SELECT rowid, rank FROM idx WHERE idx MATCH ? AND rank MATCH ? ORDER BY rank LIMIT 10",
                       # Another question of the same words each time: the vector of one that was asked is kept.
                       (f"{question} {RANKINGS.index(ranking)}", ranking)).fetchall()
            if n >= len(RANKINGS):
                times[ranking].append((time.perf_counter() - begun) * 1000)
    return times


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--questions", type=int, default=100)
    options.add_argument("--keep", action="store_true", help="ask the index of the last run")
    options = options.parse_args()
    if not options.keep:
        fill(options.rows)
    _, queries = corpus.split(DISTINCT)
    short, others = queries[:options.questions], queries[options.questions:]
    show("short", ask(short))
    show("four times as long", ask([" ".join(others[n:n + 4]) for n in range(0, len(others) - 3, 4)][:options.questions]))


def show(questions, times):
    base = statistics.median(times["meaning"])
    for ranking, of_ranking in times.items():
        median, slow = statistics.median(of_ranking), sorted(of_ranking)[len(of_ranking) * 95 // 100]
        print(f"{questions:20} {ranking:40} p50 {median:6.1f} ms  p95 {slow:6.1f} ms  {median / base:5.2f} x meaning", flush=True)


if __name__ == "__main__":
    main()
