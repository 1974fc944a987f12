"""A vector table in a process of its own: `PYTHON search_worker.py SIDE PLACES FILES FOLDER`, asked as in worker.py.

FILES is what data.py says of the vectors. Questions: {"do": "fill"} -> rows_per_second (median over portions of a
transaction each), bytes_a_row; {"do": "warm", "query": n} -> seconds; {"do": "recall"} -> recall. A last argument
`first` makes it print the seconds from opening the filled file to the ten rows of a first query, and end.
"""

import json
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import vector_tables as tables

# side: (how it is called in the tables, table in vector_tables.py, its own extension, quantization of sqlite-vector)
SEARCHES = {
    "index": ("sqlite-bge, index", "index", None, None),
    "index-int8": ("sqlite-bge, index with storage int8", "index, int8", None, None),
    "order-by": ("sqlite-bge, ORDER BY bge_cosine over a table", "table", None, None),
    "sqlite-vec": ("sqlite-vec, vec0", "vec0", "sqlite_vec_file", None),
    "sqlite-vector-int8": ("sqlite-vector, INT8 preloaded", "table", "sqlite_vector_file", "INT8 (its default)"),
    "sqlite-vector-turbo4": ("sqlite-vector, TURBO4 preloaded", "table", "sqlite_vector_file", "TURBO4"),
}
PORTION = 10_000


class Search:
    def __init__(self, side, places, files, folder, fresh):
        import apsw
        import numpy as np
        self.np, self.files = np, files
        _, table, extension, self.quantization = SEARCHES[side]
        self.schema, self.insert, self.select = tables.TABLES[table]
        if self.quantization:
            self.select = tables.QUANTIZED
        self.file = pathlib.Path(folder) / f"{side}.db"
        if fresh:
            for ending in ("", "-wal", "-shm"):
                pathlib.Path(f"{self.file}{ending}").unlink(missing_ok=True)
        self.db = apsw.Connection(str(self.file))
        self.db.enable_load_extension(True)
        # A peer is measured without sqlite-bge in its process.
        self.db.load_extension(getattr(tables, extension)() if extension else f"{places['dist']}/libbge")
        self.db.execute("PRAGMA journal_mode = wal; PRAGMA synchronous = normal")
        self.queries = tables.blobs(np.load(files["queries"]))

    def fill(self):
        vectors = self.np.load(self.files["all"], mmap_mode="r")
        self.db.execute(self.schema)
        times = []
        for start in range(0, len(vectors), PORTION):
            rows = list(enumerate(tables.blobs(vectors[start:start + PORTION]), start + 1))
            begun = time.perf_counter()
            with self.db:
                self.db.executemany(self.insert, rows)
            times.append((time.perf_counter() - begun) / len(rows))
        if self.quantization:
            tables.prepare_quantized(self.db, tables.QUANTIZATIONS[self.quantization])
        self.db.execute("PRAGMA wal_checkpoint(truncate)").fetchall()
        return {"rows_per_second": 1 / statistics.median(times), "bytes_a_row": self.file.stat().st_size / len(vectors)}

    def ask(self, query):
        return tables.ids(self.db, self.select, self.queries[query])

    def warm(self, query):
        begun = time.perf_counter()
        self.ask(query % len(self.queries))
        return {"seconds": time.perf_counter() - begun}

    def recall(self):
        exact = self.np.load(self.files["exact"])
        found = [len(self.ask(n) & set(map(int, truth))) for n, truth in enumerate(exact)]
        return {"recall": sum(found) / exact.size}


def first(*arguments):
    begun = time.perf_counter()
    search = Search(*arguments, fresh=False)
    if search.quantization:
        tables.prepare_quantized(search.db)
    search.ask(7)
    return time.perf_counter() - begun


def main():
    side, places, files, folder, *how = sys.argv[1:]
    arguments = side, json.loads(places), json.loads(files), folder
    if how == ["first"]:
        import apsw, numpy  # not what is measured
        return print("first row", first(*arguments), flush=True)
    try:
        search = Search(*arguments, fresh=True)
    except ImportError as error:
        return print(json.dumps({"refused": str(error)}), flush=True)
    print(json.dumps({"versions": versions(search)}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(getattr(search, question.pop("do"))(**question)), flush=True)


def versions(search):
    """{name: version} of SQLite and of the extension that is loaded."""
    said = {"SQLite": search.db.execute("SELECT sqlite_version()").get}
    functions = {name for (name,) in search.db.execute("SELECT DISTINCT name FROM pragma_function_list")}
    for name, function in {"sqlite-bge": "bge_version", "sqlite-vec": "vec_version", "sqlite-vector": "vector_version"}.items():
        if function in functions:
            said[name] = search.db.execute(f"SELECT {function}()").get
    return said


if __name__ == "__main__":
    main()
