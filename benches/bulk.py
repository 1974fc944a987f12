"""Whole tables: `bge_batch` in SQL against ONNX Runtime's Python API on the same texts, interleaved.

The peer is a good script: texts sorted by length, 32 a batch, ONNX Runtime's own Python API, the same
runtime version. Its spinning setting is the extension's, unless the line says "default".

    .venv/bin/python benches/bulk.py [--rounds N]
"""

import argparse
import resource
import subprocess
import sys
import threading
import time

import numpy as np

import peer
import texts


def peer_bulk(plain, items, size=32):
    order = sorted(range(len(items)), key=lambda i: len(items[i]))
    rows = np.empty((len(items), 384), np.float32)
    for start in range(0, len(items), size):
        chosen = order[start:start + size]
        rows[chosen] = plain.embed([items[i] for i in chosen])
    return rows


def table(items):
    db = peer.connect()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT); CREATE TABLE emb(id INTEGER PRIMARY KEY, v BLOB)")
    with db:
        db.executemany("INSERT INTO docs(body) VALUES (?)", ((t,) for t in items))
    return db


def sql_bulk(db):
    db.execute("DELETE FROM emb")
    db.execute("INSERT INTO emb(id, v) SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs')")


def vectors(db):
    return np.array([np.frombuffer(v, "<f4") for (v,) in db.execute("SELECT v FROM emb ORDER BY id")])


def throughput(name, items, plain, default, rounds):
    db = table(items)
    sides = {
        "sql": lambda: sql_bulk(db),
        "python": lambda: peer_bulk(plain, items),
        "python, default spinning": lambda: peer_bulk(default, items),
    }
    sql_bulk(db)
    difference = np.abs(vectors(db) - peer_bulk(plain, items)).max()
    assert difference < 1e-5, difference
    median = peer.interleaved(sides, rounds)
    tokens = db.execute("SELECT sum(bge_tokens(body)) FROM docs").fetchone()[0]
    print(f"{name}: {len(items)} texts, {tokens / len(items):.0f} tokens each; bge_batch {len(items) / median['sql']:.1f} "
          f"texts/s ({tokens / median['sql']:.0f} tokens/s); "
          + "; ".join(f"{median[s] / median['sql']:.3f} times {s}" for s in list(sides)[1:]))


def orders(items, rounds):
    """The same texts in random, ascending and descending order of length."""
    sort = sorted(items, key=len)
    dbs = {"random": table(items), "ascending": table(sort), "descending": table(sort[::-1])}
    median = peer.interleaved({name: (lambda db=db: sql_bulk(db)) for name, db in dbs.items()}, rounds)
    by_text = {n: dict(db.execute("SELECT body, v FROM docs JOIN emb USING (id)")) for n, db in dbs.items()}
    off = max(
        float(np.abs(np.frombuffer(by_text["random"][t], "<f4") - np.frombuffer(by_text[n][t], "<f4")).max())
        for n in dbs for t in items)
    slowest = max(median.values()) / min(median.values())
    print(f"orders of {len(items)} texts: slowest / fastest {slowest:.3f}, largest difference of a component {off:.1e}")


def callers(seconds):
    """Eight threads with a connection each against one thread: short texts, no cache hits."""
    def run(threads):
        counts, stop = [0] * threads, threading.Event()
        def work(n):
            db = peer.connect()
            while not stop.is_set():
                db.execute("SELECT bge_embed(?)", (f"where is order {threads} {n} {counts[n]}",)).fetchone()
                counts[n] += 1
        workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
        [w.start() for w in workers]
        time.sleep(seconds)
        stop.set()
        [w.join() for w in workers]
        return sum(counts) / seconds
    ratios = [run(8) / run(1) for _ in range(3)]
    print(f"eight threads against one, short texts: {sorted(ratios)[1]:.2f} times the throughput")


def memory():
    """Peak memory of embedding short rows from a file into a file, in a process of its own."""
    peaks = {}
    for rows in (1_000, 100_000):
        done = subprocess.run([sys.executable, __file__, "--memory", str(rows)], check=True, capture_output=True, text=True)
        peaks[rows] = float(done.stdout)
    print(f"peak memory: {peaks[1_000]:.0f} MB for 1,000 rows, {peaks[100_000]:.0f} MB for 100,000: "
          f"{peaks[100_000] - peaks[1_000]:.0f} MB more")


def memory_of(rows):
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        import apsw
        db = apsw.Connection(f"{folder}/bulk.db")
        db.enable_load_extension(True)
        db.load_extension(str(peer.DIST / "libbge"))
        db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT); CREATE TABLE emb(id INTEGER PRIMARY KEY, v BLOB)")
        with db:
            db.executemany("INSERT INTO docs(body) VALUES (?)", ((f"row {n}",) for n in range(rows)))
        sql_bulk(db)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--memory", type=int)
    arguments.add_argument("--only")
    chosen = arguments.parse_args()
    if chosen.memory:
        return memory_of(chosen.memory)
    print(peer.machine())
    plain, default = peer.Peer(), peer.Peer(stop_spinning=False)
    short, long = texts.sentences(2_000), texts.paragraphs(500)
    wanted = lambda name: chosen.only in (None, name)
    if wanted("sentences"):
        throughput("sentences", short, plain, default, chosen.rounds)
    if wanted("paragraphs"):
        throughput("paragraphs", long, plain, default, chosen.rounds)
    if wanted("orders"):
        orders(short, chosen.rounds)
    if wanted("callers"):
        callers(5)
    if wanted("memory"):
        memory()


if __name__ == "__main__":
    main()
