"""The index against a model of it: random queries against brute force, random operations against plain Python.

Each test prints its seed; BGE_TEST_SEED=n repeats one.
"""

import json
import os
import random

import apsw
import pytest
from oracle import OTHERS, VALUES, Corpus, clustered, sentence
from support import TINY, blob, embed, stopped_after, value


def seeded(number):
    seed = int(os.environ.get("BGE_TEST_SEED", number))
    print(f"BGE_TEST_SEED={seed}")  # pytest shows it when the test fails
    return random.Random(seed)


# --- random queries ------------------------------------------------------------------------------


def literal(given):
    if given is None:
        return "NULL"
    if isinstance(given, bytes):
        return f"x'{given.hex()}'"
    return "'" + given.replace("'", "''") + "'" if isinstance(given, str) else repr(given)


class Questions:
    """Random statements on a table {t}, which has `distance`, and is an index or an ordinary table."""

    def __init__(self, chance, ids, cuts, joins=True):
        """joins: also those that may search once for each of many rows."""
        self.chance, self.ids, self.cuts, self.joins = chance, ids, cuts, joins

    def some_id(self):
        return self.chance.choice(self.ids)

    def term(self, s="s"):
        chance = self.chance
        column = chance.choice(list(OTHERS))
        given = chance.choice(VALUES[column])
        few = ", ".join(literal(v) for v in chance.sample(VALUES[column], chance.randint(1, 3)))
        numbers = ", ".join(str(self.some_id()) for _ in range(chance.randint(1, 9)))
        cut = chance.choice(self.cuts)
        operator = chance.choice(["=", "<", ">", "<=", ">=", "<>"])
        return chance.choice([
            f"{s}.{column} {operator} {literal(given)}", f"{s}.{column} {operator} {literal(given)}", f"{s}.{column} IN ({few})",
            f"{s}.{column} IS NULL", f"{s}.{column} IS NOT NULL", f"{s}.{column} IS {literal(given)}",
            f"{s}.{column} NOT IN ({few})", f"{s}.{column} COLLATE NOCASE {operator} {literal(given)}",
            f"{s}.{column} BETWEEN {literal(given)} AND {literal(chance.choice(VALUES[column]))}",
            f"{s}.rowid IN ({numbers})", f"{s}.rowid {operator} {self.some_id()}", f"{s}.rowid {operator} {self.some_id()}.5",
            f"{s}.rowid IN (SELECT rowid FROM o WHERE n = {chance.randint(0, 3)})", f"{s}.rowid % 3 = 1",
            f"{s}.distance {chance.choice(['<', '<=', '>', '>='])} {cut!r}", f"{s}.score {chance.choice(['<', '>='])} {1 - cut!r}",
            f"{s}.distance BETWEEN {min(cut, 0.4)!r} AND {cut!r}", f"length({s}.lang) = 2", f"{s}.{column} LIKE '%e%'",
            f"EXISTS (SELECT 1 FROM o AS w WHERE w.rowid = {s}.rowid + 1 AND w.n > 1)",
            f"{s}.{column} = (SELECT {chance.choice(list(OTHERS))} FROM o WHERE rowid = {self.some_id()})",
        ])

    def where(self, s="s"):
        terms = [self.term(s) for _ in range(self.chance.choice([0, 0, 1, 1, 1, 2, 2, 3]))]
        made = " AND ".join(f"({t} OR {self.term(s)})" if self.chance.random() < 0.15 else
                            f"NOT ({t})" if self.chance.random() < 0.1 else t for t in terms)
        return made or "1"

    def limit(self):
        chance = self.chance
        return chance.choice(["", "LIMIT 1", f"LIMIT {chance.randint(1, 20)}", f"LIMIT {chance.randint(1, 20)} OFFSET {chance.randint(0, 9)}",
                              "LIMIT 0", "LIMIT -1", f"LIMIT -3 OFFSET {chance.randint(0, 9)}", f"LIMIT {chance.randint(1, 400)}",
                              f"LIMIT (SELECT n FROM o WHERE n > 0 AND typeof(n) = 'integer' LIMIT 1)", "LIMIT 5 OFFSET -2",
                              f"LIMIT 3 OFFSET {chance.randint(10, 2000)}"])

    def order(self, s="s"):
        """As the index is asked, and in full."""
        ranking = self.chance.choice([f"{s}.distance", f"{s}.score DESC"])
        asked = self.chance.choice([ranking, ranking, ranking, f"{ranking}, {s}.rowid", f"{s}.lang, {s}.distance, {s}.rowid", f"{s}.rowid DESC",
                                    f"{s}.distance DESC, {s}.rowid", f"{s}.score, {s}.rowid", f"{s}.n DESC, {s}.rowid", f"{ranking}, {s}.rowid DESC"])
        return asked, asked if "rowid" in asked else f"{asked}, {s}.rowid"

    def any(self):
        """SQL for the index, SQL for the ordinary table, and whether the order of the rows is told."""
        chance = self.chance
        where, limit, (asked, full) = self.where(), self.limit(), self.order()
        both = lambda sql: (sql, sql)  # noqa: E731
        kind = chance.choice(["plain"] * 8 + ["k"] * 3 + ["in", "distinct", "group", "window", "union", "cte", "correlated", "count", "cross"]
                             + self.joins * ["join", "joined", "left", "twice"])
        plain = f"SELECT s.rowid, s.distance, s.score, s.lang, s.raw FROM {{t}} AS s WHERE {where} ORDER BY "
        if kind == "plain":
            return plain + asked + " " + limit, plain + full + " " + limit, True
        if kind == "k":
            # Terms that the index is not offered come behind k: here are none of them.
            k, few = chance.randint(1, 30), self.term()
            while any(word in few for word in ("%", "NOT IN", "length", "LIKE", "EXISTS", "<>", " IS ", "raw", "SELECT")) or (
                    "7" in few and "lang" in few):
                few = self.term()
            start = f"SELECT s.rowid, s.distance FROM {{t}} AS s WHERE {few} "
            return start.replace("{t}", "{k}") + f"AND k = {k} ORDER BY distance", start + f"ORDER BY s.distance, s.rowid LIMIT {k}", True
        rest = f"WHERE {where} ORDER BY "
        if kind in ("join", "joined"):
            tables = ["{t} AS s", "o AS w"] if kind == "join" else ["o AS w", "{t} AS s"]
            on = chance.choice(["w.rowid = s.rowid", "w.rowid = s.rowid + 1", "s.rowid = w.n", "w.rowid = s.n AND w.lang = s.lang"])
            start = f"SELECT s.rowid, w.rowid, s.distance FROM {tables[0]} JOIN {tables[1]} ON {on} {rest}"
            return both(f"{start}{full}, w.rowid {limit}") + (True,)
        if kind == "left":
            start = f"SELECT w.rowid, s.rowid, s.distance FROM (SELECT * FROM o ORDER BY rowid LIMIT 9) AS w LEFT JOIN {{t}} AS s ON s.rowid = w.rowid + 1 AND {where}"
            return both(f"{start} ORDER BY w.rowid, s.rowid {limit}") + (True,)
        if kind == "cross":
            start = f"SELECT w.x, s.rowid FROM (SELECT 1 AS x UNION ALL SELECT 2) AS w CROSS JOIN {{t}} AS s {rest}"
            return both(f"{start}{full}, w.x {limit}") + (True,)
        if kind == "in":
            start = f"SELECT rowid FROM o WHERE rowid IN (SELECT s.rowid FROM {{t}} AS s {rest}"
            return f"{start}{asked} {limit}) ORDER BY 1", f"{start}{full} {limit}) ORDER BY 1", True
        if kind == "distinct":
            return both(f"SELECT DISTINCT s.lang, s.tag COLLATE BINARY FROM {{t}} AS s WHERE {where} ORDER BY 1, 2 {limit}") + (True,)
        if kind == "group":
            return both(f"SELECT s.n, count(*), min(s.distance), max(s.score) FROM {{t}} AS s WHERE {where} GROUP BY s.n ORDER BY s.n {limit}") + (True,)
        if kind == "window":
            over = chance.choice([f"row_number() OVER (ORDER BY {full})", "rank() OVER (PARTITION BY s.lang ORDER BY s.distance)",
                                  f"count(*) OVER (ORDER BY {full} ROWS 2 PRECEDING)"])
            return both(f"SELECT s.rowid, {over} FROM {{t}} AS s {rest}{full} {limit}") + (True,)
        if kind == "union":
            return both(f"SELECT s.rowid FROM {{t}} AS s WHERE {where} {chance.choice(['UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT'])} "
                        f"SELECT s.rowid FROM {{t}} AS s WHERE {self.where()} ORDER BY 1 {limit}") + (True,)
        if kind == "twice":
            return both(f"SELECT s.rowid, z.rowid FROM {{t}} AS s JOIN {{t}} AS z ON z.rowid = s.rowid + 1 {rest}{full} {limit}") + (True,)
        if kind == "cte":
            start = f"WITH near AS (SELECT s.rowid AS r, s.distance AS d FROM {{t}} AS s {rest}"
            after = ") SELECT near.r, near.d, w.lang FROM near JOIN o AS w ON w.rowid = near.r WHERE w.rowid % 2 ORDER BY near.d, near.r"
            return start + asked + " " + limit + after, start + full + " " + limit + after, True
        if kind == "correlated":
            start = f"SELECT w.rowid, (SELECT s.rowid FROM {{t}} AS s WHERE s.n = w.n AND {where} ORDER BY "
            after = " LIMIT 1) FROM (SELECT * FROM o ORDER BY rowid DESC LIMIT 5) AS w"
            return start + asked + after, start + full + after, False
        return both(f"SELECT count(*), sum(s.rowid), min(s.distance), total(s.n) FROM {{t}} AS s WHERE {where}") + (True,)


def compare(corpus, chance, vector, ids, count, joins=True):
    db = corpus.db
    corpus.ask(vector)
    distances = [row[0] for row in db.execute("SELECT distance FROM o WHERE distance IS NOT NULL ORDER BY distance")]
    cuts = [chance.choice(distances) for _ in range(5)] + [distances[3], distances[len(distances) // 50], 0.0, 3]
    questions = Questions(chance, ids, cuts, joins)
    for _ in range(count):
        mine, brute, ordered = questions.any()
        bound = {"q": vector}
        asked = mine.replace("{t}", "t(:q)").replace("{k}", "t(:q)")
        wanted = brute.replace("{t}", "v")
        try:
            with stopped_after(db, 20):
                found = list(db.execute(asked, bound))
        except apsw.Error as error:
            raise AssertionError(f"{error}\n{asked}") from None
        right = list(db.execute(wanted))
        if not ordered:
            found, right = sorted(found, key=str), sorted(right, key=str)
        assert found == right, f"{asked}\n{wanted}\n{found[:12]}\n{right[:12]}\n{len(found)} {len(right)}"


def others(chance):
    return [chance.choice(VALUES[name]) for name in OTHERS]


def test_random_queries_on_a_small_index(db):
    chance = seeded(1)
    for _ in range(3):
        db.execute("DROP TABLE IF EXISTS t; DROP VIEW IF EXISTS v; DROP TABLE IF EXISTS o")
        ids = chance.sample(range(-50, 300), 150)
        rows = [(n, sentence(chance, 1, 4), *others(chance)) for n in ids]
        corpus = Corpus(db, rows)
        for _ in range(4):
            compare(corpus, chance, value(db, "SELECT bge_embed_query(?, ?)", sentence(chance), TINY), ids, 100)


@pytest.mark.parametrize("optimized", [False, True])
def test_random_queries_on_an_index_with_codes(db, optimized):
    chance = seeded(2 + optimized)
    count, dims = 9_500, 24
    vectors = clustered(chance, count, dims)
    ids = chance.sample(range(-1000, 30_000), count)
    corpus = Corpus(db, [(n, vector, *others(chance)) for n, vector in zip(ids, vectors)], given=True)
    assert json.loads(value(db, "SELECT bge_status('t')"))["codes"]["chunks"] >= 8
    if optimized:
        db.execute("INSERT INTO t(t) VALUES ('optimize')")
    for _ in range(4):
        near = [x + chance.gauss(0, 0.1) for x in memoryview(chance.choice(vectors)).cast("f")]
        compare(corpus, chance, blob(*near), ids, 35, joins=False)
    db.execute("INSERT INTO t(t) VALUES ('integrity-check')")


# --- random operations ---------------------------------------------------------------------------

KINDS = {
    "own": ["CREATE VIRTUAL TABLE {t} USING bge(body, lang TEXT UNINDEXED, n UNINDEXED{more})"],
    "table": ["CREATE TABLE docs(id INTEGER PRIMARY KEY, body, lang TEXT, n)",
              "CREATE VIRTUAL TABLE {t} USING bge(body, lang TEXT UNINDEXED, n UNINDEXED, content='docs'{more})"],
    "nothing": ["CREATE VIRTUAL TABLE {t} USING bge(body, lang TEXT UNINDEXED, n UNINDEXED, content=''{more})"],
}


class Model:
    """The index, and what it must say: a dict of rows, copied at BEGIN and SAVEPOINT."""

    def __init__(self, connect, file, kind, chance):
        self.connect, self.file, self.kind, self.chance = connect, file, kind, chance
        self.name, self.rows, self.saved, self.log = "t", {}, [], []
        self.db = connect(database=file)
        for sql in KINDS[kind]:
            self.run(sql.replace("{t}", "t").replace("{more}", f", model='{TINY}', catchup=100000"))

    def run(self, sql, *arguments):
        self.log.append((sql, arguments))
        return list(self.db.execute(sql, arguments))

    @property
    def target(self):
        """Where rows are written, and what their key is called there."""
        return ("docs", "id") if self.kind == "table" else (self.name, "rowid")

    def text(self):
        chance = self.chance
        return None if chance.random() < 0.06 else chance.choice(["", "a", "b c"]) if chance.random() < 0.1 else sentence(chance, 1, 5)

    def row(self):
        return (self.text(), self.chance.choice(["en", "de", "", None]), self.chance.choice([1, 2, 3, "x", None]))

    def id(self):
        return self.chance.choice(list(self.rows)) if self.rows and self.chance.random() < 0.7 else self.chance.randint(-5, 60)

    # Operations. Each writes to the index and to `rows`.

    def insert(self):
        (table, key), rowid, row = self.target, self.id(), self.row()
        clause = self.chance.choice(["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE", "INSERT OR ABORT"])
        sql = f"{clause} INTO {table}({key}, body, lang, n) VALUES (?, ?, ?, ?)"
        taken = rowid in self.rows
        if taken and clause in ("INSERT", "INSERT OR ABORT"):
            with pytest.raises(apsw.ConstraintError):
                self.run(sql, rowid, *row)
            return
        self.run(sql, rowid, *row)
        if not taken or "REPLACE" in clause:
            self.rows[rowid] = row

    def insert_without_rowid(self):
        (table, key), rows = self.target, [self.row() for _ in range(self.chance.randint(1, 4))]
        marks = ", ".join(["(?, ?, ?)"] * len(rows))
        before = set(self.rows)
        self.run(f"INSERT INTO {table}(body, lang, n) VALUES {marks}", *(v for row in rows for v in row))
        new = sorted(set(r for r, in self.run(f"SELECT {key} FROM {table}")) - before)
        assert len(new) == len(rows) and self.db.last_insert_rowid() == new[-1]
        self.rows.update(zip(new, rows))

    def insert_several(self):
        """One row of several fails: none is there."""
        if not self.rows:
            return
        (table, key), free = self.target, max(self.rows) + 1
        with pytest.raises(apsw.ConstraintError):
            self.run(f"INSERT INTO {table}({key}, body) VALUES (?, 'new'), (?, 'taken')", free, self.chance.choice(list(self.rows)))

    def update(self):
        (table, key), rowid = self.target, self.id()
        text, lang, n = self.row()
        which = self.chance.choice(["body", "others", "all", "same"])
        if which == "body":
            self.run(f"UPDATE {table} SET body = ? WHERE {key} = ?", text, rowid)
            change = lambda row: (text, *row[1:])  # noqa: E731
        elif which == "others":
            self.run(f"UPDATE {table} SET lang = ?, n = ? WHERE {key} = ?", lang, n, rowid)
            change = lambda row: (row[0], lang, n)  # noqa: E731
        elif which == "all":
            self.run(f"UPDATE {table} SET body = ?, lang = ?, n = ? WHERE {key} >= ?", text, lang, n, rowid)
            self.rows.update((r, (text, lang, n)) for r in self.rows if r >= rowid)
            return
        else:
            self.run(f"UPDATE {table} SET n = n WHERE {key} = ?", rowid)
            return
        if rowid in self.rows:
            self.rows[rowid] = change(self.rows[rowid])

    def renumber(self):
        (table, key), old, new = self.target, self.id(), self.id()
        clause = self.chance.choice(["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"])
        sql = f"{clause} {table} SET {key} = ? WHERE {key} = ?"
        if old in self.rows and new in self.rows and old != new and clause == "UPDATE":
            with pytest.raises(apsw.ConstraintError):
                self.run(sql, new, old)
            return
        self.run(sql, new, old)
        if old in self.rows and not (new in self.rows and clause.endswith("IGNORE")):
            self.rows[new] = self.rows.pop(old)

    def delete(self):
        (table, key), rowid = self.target, self.id()
        if self.chance.random() < 0.8:
            self.run(f"DELETE FROM {table} WHERE {key} = ?", rowid)
            self.rows.pop(rowid, None)
        else:
            self.run(f"DELETE FROM {table} WHERE {key} BETWEEN ? AND ?", rowid, rowid + 3)
            self.rows = {r: row for r, row in self.rows.items() if not rowid <= r <= rowid + 3}

    def give_vector(self):
        """A vector made elsewhere: that of the row's own text, so that the model needs none."""
        known = [r for r, row in self.rows.items() if row[0] is not None]
        if known and self.kind != "nothing":
            rowid = self.chance.choice(known)
            self.run(f"UPDATE {self.name} SET embedding = ? WHERE rowid = ?", embed(self.db, self.rows[rowid][0]), rowid)

    def transaction(self):
        chance, depth = self.chance, len(self.saved)
        what = chance.choice(["begin", "save", "save", "back", "back", "release", "end"])
        if what == "begin" and not depth:
            self.run(chance.choice(["BEGIN", "BEGIN IMMEDIATE"]))
            self.saved.append(("BEGIN", dict(self.rows)))
        elif what == "save" and depth < 5:
            self.saved.append((f"s{depth}", dict(self.rows)))
            self.run(f"SAVEPOINT s{depth}")
        elif what == "back" and depth:
            at = chance.randrange(depth)
            name, rows = self.saved[at]
            self.rows = dict(rows)
            if name == "BEGIN":
                self.run("ROLLBACK")
                self.saved = []
            else:
                self.run(f"ROLLBACK TO {name}")
                del self.saved[at + 1:]
        elif what == "release" and depth and self.saved[-1][0] != "BEGIN":
            at = chance.randrange(depth)
            if self.saved[at][0] != "BEGIN":
                self.run(f"RELEASE {self.saved[at][0]}")
                del self.saved[at:]
        elif what == "end" and depth:
            self.run(chance.choice(["COMMIT", "END"]))
            self.saved = []

    def sync(self):
        if self.chance.random() < 0.3:
            self.run(f"INSERT INTO {self.name}({self.name}) VALUES ('sync')")
        elif self.chance.random() < 0.3:
            self.run("SELECT bge_sync(?, 0)", self.name)
        else:
            self.run("SELECT bge_sync(?)", self.name)
            assert json.loads(self.run("SELECT bge_status(?)", self.name)[0][0])["pending"] == 0

    def command(self):
        what = self.chance.choice(["optimize", "rebuild", "integrity-check", "integrity-check"])
        if what == "rebuild" and self.kind == "nothing":
            return
        self.run(f"INSERT INTO {self.name}({self.name}) VALUES (?)", what)

    def rename(self):
        if not self.saved:
            new = "u" if self.name == "t" else "t"
            self.run(f"ALTER TABLE {self.name} RENAME TO {new}")
            self.name = new

    def reopen(self):
        if self.saved:
            if self.chance.random() < 0.5:
                return
            self.rows = self.saved[0][1]  # closing rolls back
            self.saved = []
        self.db.close(True)
        self.log.append(("reopen", ()))
        self.db = self.connect(database=self.file)

    def query(self):
        chance = self.chance
        question = sentence(chance)
        vector = value(self.db, "SELECT bge_embed_query(?, ?)", question, TINY)
        conditions = {"1": lambda r, row: True, "lang = 'en'": lambda r, row: row[1] == "en", "n > 1": lambda r, row: row[2] in (2, 3, "x"),
                      "lang IS NULL": lambda r, row: row[1] is None, "rowid < 20": lambda r, row: r < 20,
                      "rowid IN (1, 2, 3, 5, 8, 13, 21)": lambda r, row: r in (1, 2, 3, 5, 8, 13, 21),
                      "n IN (1, 'x')": lambda r, row: row[2] in (1, "x"), "lang <> 'en'": lambda r, row: row[1] in ("de", "")}
        where = chance.choice(list(conditions))
        k = chance.choice([None, 1, 3, 1000])
        scored = [(value(self.db, "SELECT 1 - bge_cosine(?, ?)", embed(self.db, row[0]), vector), r, row)
                  for r, row in self.rows.items() if row[0] is not None and conditions[where](r, row)]
        scored.sort(key=lambda s: (round(s[0], 5), s[1]))
        limit = "" if k is None else f"AND k = {k}"
        found = self.run(f"SELECT rowid, distance, body, lang, n FROM {self.name} WHERE {self.name} MATCH ? AND {where} {limit} ORDER BY distance",
                         chance.choice([question, vector]))
        # The same vectors, but for the last bits: they depend on what else was in the batch.
        assert [round(f[1], 4) for f in found] == pytest.approx([s[0] for s in scored[:k]], abs=2e-4)
        assert [f[1] for f in found] == sorted(f[1] for f in found)
        wanted = {r: (distance, row) for distance, r, row in scored}
        assert len({f[0] for f in found}) == len(found)
        for rowid, distance, body, lang, n in found:
            assert abs(distance - wanted[rowid][0]) < 1e-5
            assert self.same_row((body, lang, n), wanted[rowid][1])

    def scan(self):
        found = self.run(f"SELECT rowid, body, lang, n FROM {self.name} ORDER BY rowid")
        assert [f[0] for f in found] == sorted(self.rows)
        assert all(self.same_row(f[1:], self.rows[f[0]]) for f in found)

    def same_row(self, found, wanted):
        """Without content a text is kept until it is embedded."""
        return found[1:] == wanted[1:] and (found[0] == wanted[0] or self.kind == "nothing" and found[0] is None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(3))
def test_random_operations(connect, tmp_path, kind, number):
    chance = seeded(100 + number)
    model = Model(connect, tmp_path / "random.db", kind, chance)
    operations = [(Model.insert, 6), (Model.insert_without_rowid, 3), (Model.insert_several, 1), (Model.update, 6), (Model.renumber, 2),
                  (Model.delete, 3), (Model.give_vector, 1), (Model.transaction, 5), (Model.sync, 3), (Model.command, 1),
                  (Model.rename, 1), (Model.reopen, 1), (Model.query, 6), (Model.scan, 2)]
    choices, weights = zip(*operations)
    try:
        for operation in chance.choices(choices, weights, k=500):
            model.log.append((f"-- {operation.__name__}", ()))
            operation(model)
    except BaseException:
        print(*model.log[-40:], sep="\n")
        raise
    if model.saved:
        model.run("COMMIT")
    model.run(f"SELECT bge_sync('{model.name}')")
    model.scan()
    for _ in range(5):
        model.query()
    model.run(f"INSERT INTO {model.name}({model.name}) VALUES ('integrity-check')")
    assert model.run("PRAGMA integrity_check") == [("ok",)]


def test_slots_are_used_again_around_the_first_codes(connect, tmp_path):
    """Vectors come and go around 8,192 slots, where codes begin; some of it is rolled back."""
    chance, dims, file = seeded(7), 16, tmp_path / "slots.db"
    db = connect(database=file)
    db.execute("CREATE VIRTUAL TABLE t USING bge(body, content='')")
    pool = clustered(chance, 12_000, dims)
    rows, free = {}, 0
    centres = [pool[n] for n in range(0, 12_000, 997)]
    for step in range(24):
        before, back = dict(rows), chance.random() < 0.25
        db.execute("SAVEPOINT s")
        grow = len(rows) < chance.choice([8_100, 8_300, 9_300])
        if step == 0 or grow:
            new = [(free + n, chance.choice(pool)) for n in range(8_150 if step == 0 else chance.choice([1, 30, 90, 600, 1100]))]
            free += len(new)
            db.executemany("INSERT INTO t(rowid, embedding) VALUES (?, ?)", new)
            rows.update(new)
        if step and chance.random() < 0.7:
            gone = chance.sample(list(rows), chance.choice([1, 20, 200, 1500]))
            db.executemany("DELETE FROM t WHERE rowid = ?", [(r,) for r in gone])
            for r in gone:
                del rows[r]
        if step and chance.random() < 0.5:
            changed = [(chance.choice(pool), r) for r in chance.sample(list(rows), 25)]
            db.executemany("UPDATE t SET embedding = ? WHERE rowid = ?", changed)
            rows.update((r, vector) for vector, r in changed)
        if step and chance.random() < 0.2:
            db.execute("INSERT INTO t(t) VALUES ('optimize')")
        if back and step:
            db.execute("ROLLBACK TO s")
            rows = before
        db.execute("RELEASE s")
        if chance.random() < 0.2:
            db.close(True)
            db = connect(database=file)
        db.execute("CREATE TEMP TABLE IF NOT EXISTS o(rowid INTEGER PRIMARY KEY, e)")
        db.execute("DELETE FROM o")
        db.executemany("INSERT INTO o VALUES (?, ?)", rows.items())
        for centre in chance.sample(centres, 4):
            near = blob(*(x + chance.gauss(0, 0.2) for x in memoryview(centre).cast("f")))
            wanted = list(db.execute("SELECT rowid, 1 - bge_cosine(e, ?) AS d FROM o ORDER BY d, rowid LIMIT 40", (near,)))
            assert list(db.execute("SELECT rowid, distance FROM t(?, 40)", (near,))) == wanted, step
            assert list(db.execute("SELECT rowid, distance FROM t(?) ORDER BY distance LIMIT 40", (near,))) == wanted, step
        assert value(db, "SELECT count(*) FROM t") == len(rows)
        db.execute("INSERT INTO t(t) VALUES ('integrity-check')")
