"""The vector tables for SQLite that the benches measure: how each is made, written and asked.

sqlite-vec and sqlite-vector are imported only where they are used: a bench of sqlite-bge alone does without.
"""

import pathlib

OURS = "CREATE VIRTUAL TABLE idx USING bge(body, content='', storage={})"
INTO_IDX = "INSERT INTO idx(rowid, embedding) VALUES (?, ?)"
ASK_IDX = "SELECT rowid FROM idx WHERE idx MATCH ? AND k = 10"

# name: (schema, insert, select of the ten nearest)
TABLES = {
    "index": (OURS.format("f32"), INTO_IDX, ASK_IDX),
    "index, f16": (OURS.format("f16"), INTO_IDX, ASK_IDX),
    "index, int8": (OURS.format("int8"), INTO_IDX, ASK_IDX),
    "vec0": (
        "CREATE VIRTUAL TABLE idx USING vec0(e float[384] distance_metric=cosine)",
        "INSERT INTO idx(rowid, e) VALUES (?, ?)",
        "SELECT rowid FROM idx WHERE e MATCH ? AND k = 10",
    ),
    "table": (
        "CREATE TABLE t(id INTEGER PRIMARY KEY, e BLOB)",
        "INSERT INTO t(id, e) VALUES (?, ?)",
        "SELECT id FROM t ORDER BY bge_cosine(e, ?) DESC LIMIT 10",
    ),
}
# sqlite-vector, over the same ordinary table. The last kind stays in the file.
QUANTIZATIONS = {"TURBO4": "qtype=TURBO,qbits=4", "INT8 (its default)": "qtype=INT8"}
QUANTIZED = "SELECT rowid FROM vector_quantize_scan('t', 'e', ?, 10)"


def sqlite_vec_file():
    import sqlite_vec
    return sqlite_vec.loadable_path()


def sqlite_vector_file():
    import sqlite_vector
    return str(pathlib.Path(sqlite_vector.__file__).parent / "binaries/vector")


def prepare_quantized(db, options=None):
    """sqlite-vector: quantizes what is in the table (once), and loads it into memory."""
    db.execute("SELECT vector_init('t', 'e', 'dimension=384,type=FLOAT32,distance=COSINE')")
    if options is not None:
        db.execute("SELECT vector_quantize('t', 'e', ?)", (options,))
    db.execute("SELECT vector_quantize_preload('t', 'e')")


def blobs(vectors):
    import numpy as np
    return [v.tobytes() for v in np.ascontiguousarray(vectors, "<f4")]


def ids(db, sql, query):
    return {row[0] for row in db.execute(sql, (query,))}
