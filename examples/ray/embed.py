#!/usr/bin/env python3
"""Embeds a large table with Ray Data and merges the vectors into one semantic index.

    python embed.py --texts texts.parquet --into search.db --library path/to/libbge.so --workers 2

1. Ray Data reads (id, text) from Parquet files, or from a SQLite file's table `texts`.
2. Each worker (a Ray actor, on any machine of the cluster that has the library and the model) loads the
   extension once and embeds a batch with one statement.
3. The vectors go to Parquet files, by whichever worker made them. Ray runs a batch again whose worker died.
4. One process writes texts and vectors into one SQLite file, where they can be searched at once.
"""

import argparse
import json
import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy
import pyarrow.dataset
import ray

MODEL = "bge-small-en-v1.5"
BATCH_ROWS = 256  # texts of one statement, and what is lost and done again when a worker dies
MERGED_ROWS = 10_000  # rows of one transaction


def connect(path, library, **options):
    db = sqlite3.connect(path, **options)
    db.enable_load_extension(True)
    db.load_extension(library)
    db.enable_load_extension(False)
    return db


class Embedder:
    """One worker: {id, text} columns of a batch in, {id, embedding} columns out (float32, rows x dimensions)."""

    def __init__(self, library):
        # Ray calls __init__ and __call__ from different threads, one at a time.
        self.db = connect(":memory:", library, check_same_thread=False)
        # As many threads as Ray gives the worker cores; without this every worker would take all cores.
        self.db.execute("SELECT bge_load(?1, ?1, ?2)", [MODEL, json.dumps({"threads": 1})])

    def __call__(self, batch):
        rows = self.db.execute("SELECT embedding FROM bge_embed_each(?, ?) ORDER BY idx",
                               [json.dumps(batch["text"].tolist()), MODEL])
        vectors = numpy.frombuffer(b"".join(vector for (vector,) in rows), dtype="<f4")
        return {"id": batch["id"], "embedding": vectors.reshape(len(batch["id"]), -1)}


def read(source):
    """(id, text) rows of Parquet files, or of the table `texts` of a SQLite file, in blocks of one batch."""
    if Path(source).suffix in (".db", ".sqlite"):
        path = str(Path(source).resolve())
        texts = ray.data.read_sql("SELECT id, text FROM texts WHERE text IS NOT NULL", lambda: sqlite3.connect(path))
    else:
        texts = ray.data.read_parquet(source).select_columns(["id", "text"])
    return texts.repartition(target_num_rows_per_block=BATCH_ROWS)


def embed(source, folder, library, workers):
    """Writes {id, text} and {id, embedding} as Parquet files below `folder`; gives the seconds it took."""
    started = time.monotonic()
    texts = read(source)
    texts.write_parquet(f"{folder}/texts")
    vectors = texts.map_batches(Embedder, fn_constructor_args=[library], batch_size=BATCH_ROWS,
                                compute=ray.data.ActorPoolStrategy(size=workers), num_cpus=1)
    vectors.write_parquet(f"{folder}/vectors")
    return time.monotonic() - started


def merge(folder, path, library):
    """Makes the table and its index in a new SQLite file; gives the number of rows."""
    db = connect(path, library, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE texts(id INTEGER PRIMARY KEY, text TEXT)")
    for batch in pyarrow.dataset.dataset(f"{folder}/texts").to_batches(batch_size=MERGED_ROWS):
        with transaction(db):
            db.executemany("INSERT INTO texts VALUES (?, ?)", zip(*(batch[c].to_pylist() for c in ("id", "text"))))
    # Made when the texts are there: its triggers would note each of them as waiting for an embedding.
    db.execute(f"CREATE VIRTUAL TABLE texts_bge USING bge(text, content='texts', model='{MODEL}')")
    for batch in pyarrow.dataset.dataset(f"{folder}/vectors").to_batches(batch_size=MERGED_ROWS):
        vectors = batch["embedding"].to_numpy_ndarray().astype("<f4")
        rows = ((id, vector.tobytes()) for id, vector in zip(batch["id"].to_pylist(), vectors))
        with transaction(db):
            db.executemany("INSERT INTO texts_bge(rowid, embedding) VALUES (?, ?)", rows)
    # What has no vector yet is embedded here: nothing, where every batch came back.
    db.execute("SELECT bge_sync('texts_bge')")
    [status] = db.execute("SELECT bge_status('texts_bge')").fetchone()
    db.close()
    return json.loads(status)["rows"]


class transaction:
    def __init__(self, db):
        self.db = db

    def __enter__(self):
        self.db.execute("BEGIN")

    def __exit__(self, kind, *_):
        self.db.execute("ROLLBACK" if kind else "COMMIT")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", required=True, help="Parquet files with id and text, or a SQLite file with a table texts")
    parser.add_argument("--into", required=True, help="the SQLite file to make")
    parser.add_argument("--library", required=True, help="path of libbge.so, on every machine")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if Path(arguments.into).exists():
        parser.error(f"{arguments.into} is there already; name a new file")

    # Reading and writing need a core of Ray's beside the workers', or they wait for ever: a cluster (RAY_ADDRESS)
    # needs more cores than workers; one machine is said to have one more than it is used for.
    ray.init(num_cpus=None if "RAY_ADDRESS" in os.environ else arguments.workers + 1, log_to_driver=False)
    folder = tempfile.mkdtemp(prefix="vectors-")  # on a cluster: a place that every machine reaches
    try:
        seconds = embed(arguments.texts, folder, arguments.library, arguments.workers)
        started = time.monotonic()
        rows = merge(folder, arguments.into, arguments.library)
        print(f"{rows} rows: embedded in {seconds:.1f} s, merged in {time.monotonic() - started:.1f} s")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
