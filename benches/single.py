"""What one short text costs: bge_embed in SQL against the same call in ONNX Runtime's Python API,
loading the extension, a cached text, and the cosine of two vectors in a table.

    make bench        (or: .venv/bin/python benches/single.py)
"""

import itertools
import subprocess

import numpy as np
import onnxruntime

import peer

ROUNDS = 300
TEXT = "How do I reset the device to its factory settings, number {}?"


def main():
    print(peer.machine())
    db, plain, numbers = peer.connect(), peer.Peer(), itertools.count()
    embed = lambda: db.execute("SELECT bge_embed(?)", (TEXT.format(next(numbers)),)).fetchone()[0]
    direct = lambda: plain.embed([TEXT.format(next(numbers))])[0]
    difference = np.abs(np.frombuffer(db.execute("SELECT bge_embed('x')").fetchone()[0], "<f4") - plain.embed(["x"])[0])
    assert difference.max() < 1e-5, difference.max()
    for _ in range(20):
        embed(), direct()
    median = peer.interleaved({"sql": embed, "python": direct}, ROUNDS)
    print(f"one short text, warm: SQL {median['sql'] * 1e3:.2f} ms, Python API of ONNX Runtime "
          f"{onnxruntime.__version__} {median['python'] * 1e3:.2f} ms, ratio {median['sql'] / median['python']:.3f}")

    cached = lambda: db.execute("SELECT bge_embed('x')").fetchone()
    print(f"a cached text: {peer.interleaved({'cached': cached}, 2000)['cached'] * 1e6:.1f} us a statement")

    print(f"one vector against 20,000 in a table: {scan(db):.3f} us a row over reading the rows")
    print(f".load in a new sqlite3 process: {loading() * 1e3:.1f} ms more than without")


def scan(db):
    """Microseconds a row of bge_cosine over what reading the rows costs."""
    db.execute("CREATE TABLE e(v BLOB)")
    vectors = np.random.default_rng(1).standard_normal((20_000, 384), dtype=np.float32)
    with db:
        db.executemany("INSERT INTO e VALUES (?)", ((v.tobytes(),) for v in vectors))
    query = vectors[0].tobytes()
    sides = {
        "cosine": lambda: db.execute("SELECT max(bge_cosine(v, ?)) FROM e", (query,)).fetchone(),
        "read": lambda: db.execute("SELECT max(length(v)) FROM e").fetchone(),
    }
    median = peer.interleaved(sides, 15)
    return (median["cosine"] - median["read"]) / 20_000 * 1e6


def loading():
    """Seconds that `.load` adds to starting the sqlite3 shell."""
    def shell(*commands):
        return lambda: subprocess.run(["sqlite3", ":memory:", *commands, "select 1"], check=True, capture_output=True)
    median = peer.interleaved({"with": shell(f".load {peer.DIST}/libbge"), "without": shell(".print")}, 30)
    return median["with"] - median["without"]


if __name__ == "__main__":
    main()
