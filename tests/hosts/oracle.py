"""Brute force for the index: an ordinary table that says what an index must say.

`Corpus` makes an index `t` and an ordinary table `o` with the same rows, whose columns `distance`
and `score` are filled in by `bge_cosine` for one query at a time. The same SQL then runs on both.
"""

from support import TINY, blob, value

WORDS = ("reset your password machine learning how do i love nlp device button bill page team holiday "
         "garage badge printer router invoice payment settings factory hold month download").split()


def sentence(chance, shortest=1, longest=9):
    return " ".join(chance.choices(WORDS, k=chance.randint(shortest, longest)))


def clustered(chance, count, dims, clusters=40, spread=0.35):
    """Vectors around some centres, so that the nearest ones are near each other; a few are equal."""
    centres = [[chance.gauss(0, 1) for _ in range(dims)] for _ in range(clusters)]
    made = []
    for _ in range(count):
        if made and chance.random() < 0.02:
            made.append(chance.choice(made[-50:]))
        else:
            made.append(blob(*(x + chance.gauss(0, spread) for x in chance.choice(centres))))
    return made


# Columns of the corpus that are compared in queries: every affinity and collation.
OTHERS = {
    "lang": "TEXT", "n": "INTEGER", "x": "REAL", "num": "NUMERIC", "raw": "", "tag": "TEXT COLLATE NOCASE",
    "pad": "TEXT COLLATE RTRIM",
}
VALUES = {
    "lang": ["en", "de", "EN", "", "7", "07", "ä", "Ä", "z", "日本", "😀", "\uffee", None],
    "n": [0, 1, 2, 3, 7, -5, "7", "x", None],
    "x": [0.5, 1, 2.25, "7", None],
    "num": [1, 2.5, "7", "abc", None],
    "raw": [7, "7", 7.0, 7.5, b"7", "x", None],
    "tag": ["Red", "red", "RED", "blue", "Blue ", "Ärger", "ärger", "z", None],
    "pad": ["a", "a ", "a   ", "A", "b", "é", "é  ", "e\u0301 ", None],
}


class Corpus:
    def __init__(self, db, rows, given=False, options="", over=False):
        """rows: of (rowid, text or vector, *others). over: the index is one over a table `docs`."""
        self.db = db
        others = [f"{name} {kind}".strip() for name, kind in OTHERS.items()]
        declared = "".join(f", {column} UNINDEXED" for column in others)
        target = "t(rowid"
        if over:
            db.execute(f"CREATE TABLE docs(id INTEGER PRIMARY KEY, body, {', '.join(others)})")
            target, options = "docs(id", f"{options}, content='docs'"
        db.execute(f"CREATE VIRTUAL TABLE t USING bge(body{declared}, model='{TINY}'{options})")
        db.execute(f"CREATE TABLE o(rowid INTEGER PRIMARY KEY, body, {', '.join(others)}, embedding, distance, score)")
        # What can be found: rows without text have no vector.
        db.execute("CREATE VIEW v AS SELECT * FROM o WHERE distance IS NOT NULL")
        names = ", ".join(OTHERS)
        marks = ", ".join("?" * (2 + len(OTHERS)))
        what = "embedding" if given else "body"
        with db:
            db.executemany(f"INSERT INTO {target}, {what}, {names}) VALUES ({marks})", rows)
            db.executemany(f"INSERT INTO o(rowid, {what}, {names}) VALUES ({marks})", rows)
        if not given:
            value(db, "SELECT bge_sync('t')")
            db.execute("UPDATE o SET embedding = (SELECT embedding FROM t WHERE t.rowid = o.rowid)")
            assert value(db, "SELECT count(*) FROM o WHERE embedding IS NULL AND body IS NOT NULL") == 0

    def ask(self, vector):
        """From now on `o` has the distances to this vector."""
        self.db.execute("UPDATE o SET score = bge_cosine(embedding, ?1), distance = 1 - bge_cosine(embedding, ?1)",
                        (vector,))
