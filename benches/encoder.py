"""The native encoder in each precision against ONNX Runtime's Python API, through SQL, interleaved in one run.

    .venv/bin/python benches/encoder.py [--rounds N] [--only one|sentences|paragraphs] [--count N]

Sentences and paragraphs are those of benches/bulk.py, and so is the peer: texts sorted by length, 32 a batch.
`one` is the time of one new text of 16 tokens, as a part of the peer's.
"""

import argparse
import itertools
import json

import bulk
import peer
import texts

PRECISIONS = ("fp32", "bf16", "int8")
COUNTS = {"sentences": 600, "paragraphs": 150}


def connect():
    db = peer.connect()
    for precision in PRECISIONS:
        options = json.dumps({"precision": precision, "encoder": "native", "cache_mb": 0})
        db.execute("SELECT bge_load(?, ?, ?)", (precision, peer.MODEL, options))
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT); CREATE TABLE emb(id INTEGER PRIMARY KEY, v BLOB)")
    return db


def whole_tables(db, plain, what, count, rounds):
    items = getattr(texts, what)(count)
    db.execute("DELETE FROM docs")
    with db:
        db.executemany("INSERT INTO docs(body) VALUES (?)", ((text,) for text in items))

    def embed(precision):
        db.execute("DELETE FROM emb")
        db.execute("INSERT INTO emb(id, v) SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs', ?)", (precision,))
    sides = {"python": lambda: bulk.peer_bulk(plain, items)}
    sides |= {precision: (lambda precision=precision: embed(precision)) for precision in PRECISIONS}
    seconds = peer.interleaved(sides, rounds)
    print(f"{what}, {count}: python {count / seconds['python']:.0f} texts/s; " + ", ".join(
        f"{name} {count / seconds[name]:.0f} texts/s ({seconds['python'] / seconds[name]:.2f} times)" for name in PRECISIONS))


def one_text(db, plain, rounds):
    number = itertools.count()
    fresh = lambda: f"the router blinks red number {next(number)} and nobody here knows what to do"
    sides = {"python": lambda: plain.embed([fresh()])}
    for precision in PRECISIONS:
        sides[precision] = lambda precision=precision: list(db.execute("SELECT bge_embed(?, ?)", (fresh(), precision)))
    seconds = peer.interleaved(sides, rounds)
    print(f"one text: python {seconds['python'] * 1e3:.2f} ms; " + ", ".join(
        f"{name} {seconds[name] * 1e3:.2f} ms ({seconds[name] / seconds['python']:.2f})" for name in PRECISIONS))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", choices=("one", *COUNTS))
    arguments.add_argument("--count", type=int)
    chosen = arguments.parse_args()
    print(peer.machine())
    db, plain = connect(), peer.Peer()
    if chosen.only in (None, "one"):
        one_text(db, plain, 20 * chosen.rounds)
    for what, count in COUNTS.items():
        if chosen.only in (None, what):
            whole_tables(db, plain, what, chosen.count or count, chosen.rounds)


if __name__ == "__main__":
    main()
