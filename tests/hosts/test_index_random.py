"""The index against a model of it: random queries against brute force, random operations against plain Python.

Each test prints its seed; BGE_TEST_SEED=n repeats one. BGE_TEST_QUERIES is the number of random queries.
"""

import json
import os
import random

import apsw
import pytest
from oracle import OTHERS, VALUES, Corpus, clustered, sentence
from questions import Question, Questions
from sessions import SESSIONS, NewestSession, OldestSession
from support import TINY, blob, connect, embed, stopped_after, value


def seeded(number):
    seed = os.environ.get("BGE_TEST_SEED", number)
    print(f"BGE_TEST_SEED={seed}")  # pytest shows it when the test fails
    return random.Random(seed)


# --- random queries ------------------------------------------------------------------------------

# How many there are in all: 20,000 are the full form, a few hundred the one of every day.
QUERIES = int(os.environ.get("BGE_TEST_QUERIES", 400))


class Answered:
    """What is compared, and how much of it was."""

    def __init__(self):
        self.count, self.refused, self.found, self.kinds = 0, 0, 0, set()

    def compare(self, question, got, wanted, version):
        shown = f"SQLite {version}: {question.kind}\n{question.asked}\n{question.wanted}\n{question.bound}"
        assert not isinstance(wanted, Exception), f"{wanted}\n{shown}"
        self.count += 1
        self.kinds.add(question.kind)
        if isinstance(got, Exception):
            assert question.may_refuse and "k " in str(got), f"{got}\n{shown}"
            self.refused += 1
            return
        if not question.ordered:
            got, wanted = sorted(got, key=str), sorted(wanted, key=str)
        assert got == wanted, f"{shown}\n{got[:12]}\n{wanted[:12]}\n{len(got)} {len(wanted)}"
        self.found += bool(wanted)


def cuts_of(db, chance):
    distances = [row[0] for row in db.execute("SELECT distance FROM o WHERE distance IS NOT NULL ORDER BY distance")]
    return [chance.choice(distances) for _ in range(5)] + [distances[3], distances[len(distances) // 50], 0.0, 3]


def compare(corpus, chance, vector, ids, count, joins=True, at_least=0.25):
    """On the connection of the corpus."""
    db, answered = corpus.db, Answered()
    corpus.ask(vector)
    questions = Questions(chance, ids, cuts_of(db, chance), joins)
    for _ in range(count):
        question = questions.any()
        with stopped_after(db, 20):
            got = NewestSession.answer(corpus, question.asked, {**question.bound, "q": vector})
        answered.compare(question, got, NewestSession.answer(corpus, question.wanted, question.bound), "newest")
    assert answered.found >= count * at_least and answered.refused <= count * 0.4 + 1


def others(chance):
    return [chance.choice(VALUES[name]) for name in OTHERS]


def small_file(chance, file, encoding, over):
    """An index of 150 short texts, and the questions' vector; gives what questions need to know."""
    db = connect(database=file)
    db.execute(f"PRAGMA encoding = '{encoding}'")
    ids = chance.sample(range(-50, 300), 150)
    corpus = Corpus(db, [(n, sentence(chance, 1, 4), *others(chance)) for n in ids], over=over)
    vector = value(db, "SELECT bge_embed_query(?, ?)", sentence(chance), TINY)
    corpus.ask(vector)
    db.execute(f"CREATE VIEW near AS SELECT rowid AS r, distance AS d, lang, n FROM t WHERE t MATCH x'{vector.hex()}' AND k = 7")
    cuts, texts = cuts_of(db, chance), [text for text, in db.execute("SELECT body FROM o WHERE body IS NOT NULL LIMIT 9")]
    assert value(db, "PRAGMA encoding") == encoding
    db.close(True)
    return vector, ids, cuts, texts


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("session", SESSIONS)
def test_random_queries_in_every_version(tmp_path, session, encoding):
    """On 3.38, 3.40 and the newest: every filter, both orders of a join, LEFT JOIN, EXISTS, subqueries and views, with k and without."""
    chance, answered = seeded(f"1 {session.__name__} {encoding}"), Answered()
    left = QUERIES // (3 * len(SESSIONS)) + 1
    for number in range(-(-left // 200)):
        file = tmp_path / f"{number}.db"
        vector, ids, cuts, texts = small_file(chance, file, encoding, over=number % 2 == 1)
        asked = session(file)
        questions = Questions(chance, ids, cuts, modern=session is not OldestSession, texts=texts, view=True)
        batch = [questions.any() for _ in range(min(left, 200))]
        left -= len(batch)
        got = asked.ask([(q.asked, {**q.bound, "q": vector}) for q in batch])
        wanted = asked.ask([(q.wanted, q.bound) for q in batch])
        for question, mine, brute in zip(batch, got, wanted, strict=True):
            answered.compare(question, mine, brute, asked.version)
        asked.close()
        file.unlink()
    assert answered.found > answered.count / 4 and answered.refused < answered.count / 4
    if answered.count > 1000:
        assert len(answered.kinds) >= 25, answered.kinds


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


class Written:
    """An index with codes in a file, and the writes between questions: to the index and to the ordinary table alike."""

    def __init__(self, connect, file, chance, options):
        self.connect, self.file, self.chance, self.dims = connect, file, chance, 12
        self.vectors = clustered(chance, 8_700, self.dims, clusters=30)
        self.next = len(self.vectors)
        self.corpus = Corpus(connect(database=file), [(n, v, *others(chance)) for n, v in enumerate(self.vectors)], given=True, options=options)
        self.db = self.corpus.db

    def both(self, sql, rows):
        self.db.executemany(sql.replace("{t}", "t"), rows)
        self.db.executemany(sql.replace("{t}", "o"), rows)

    def some_rows(self, most):
        ids = [n for n, in self.db.execute("SELECT rowid FROM o ORDER BY random() LIMIT ?", (self.chance.randint(1, most),))]
        return [(n,) for n in ids]

    def insert(self):
        """Some where the first ones are, some where none was when the codes were fitted."""
        count = self.chance.choice([1, 40, 700])
        shift = self.chance.choice([0, 0, 3, -6])
        new = [blob(*(x + shift for x in memoryview(v).cast("f"))) for v in clustered(self.chance, count, self.dims, clusters=3, spread=0.2)]
        names = ", ".join(OTHERS)
        self.both(f"INSERT INTO {{t}}(rowid, embedding, {names}) VALUES (?, ?{', ?' * len(OTHERS)})",
                  [(self.next + n, v, *others(self.chance)) for n, v in enumerate(new)])
        self.vectors += new
        self.next += count

    def update(self):
        rows = self.some_rows(60)
        self.both("UPDATE {t} SET embedding = ? WHERE rowid = ?", [(self.chance.choice(self.vectors), n) for n, in rows])
        self.both("UPDATE {t} SET lang = ?, n = ? WHERE rowid = ?",
                  [(self.chance.choice(VALUES["lang"]), self.chance.choice(VALUES["n"]), n) for n, in rows[:5]])

    def delete(self):
        self.both("DELETE FROM {t} WHERE rowid = ?", self.some_rows(self.chance.choice([5, 400])))

    def write(self):
        for operation in self.chance.choices([self.insert, self.update, self.delete], k=self.chance.randint(1, 3)):
            operation()

    def change(self):
        """One unit of writing; what is rolled back leaves nothing."""
        chance, what = self.chance, self.chance.random()
        if what < 0.5:
            with self.db:
                self.write()
        elif what < 0.75:
            self.db.execute("BEGIN")
            self.write()
            self.db.execute("SAVEPOINT s")
            self.write()
            if chance.random() < 0.5:
                self.ask(2)  # what is not committed is found
            self.db.execute("ROLLBACK TO s")
            self.ask(2)
            self.db.execute(chance.choice(["ROLLBACK", "COMMIT"]))
        elif what < 0.85:
            self.db.execute("INSERT INTO t(t) VALUES ('optimize')")
        else:
            self.db.close(True)
            self.db = self.corpus.db = self.connect(database=self.file)

    def ask(self, count):
        chance = self.chance
        ids = [n for n, in self.db.execute("SELECT rowid FROM o ORDER BY random() LIMIT 500")]
        near = [x + chance.gauss(0, chance.choice([0.05, 0.5])) for x in memoryview(chance.choice(self.vectors)).cast("f")]
        compare(self.corpus, chance, blob(*near), ids, count, joins=False, at_least=0)
        # The nearest of all, as many as make bounds matter.
        for k in (1, 10, 200):
            question = Question(f"SELECT rowid, distance FROM t(:q, {k}) ORDER BY distance", f"SELECT rowid, distance FROM v ORDER BY distance, rowid LIMIT {k}", "nearest")
            Answered().compare(question, NewestSession.answer(self.corpus, question.asked, {"q": blob(*near)}),
                               NewestSession.answer(self.corpus, question.wanted, {}), "newest")


@pytest.mark.parametrize("options", ["", ", content=''"])
def test_random_queries_between_writes_of_an_index_with_codes(connect, tmp_path, options):
    chance = seeded(f"20 {options}")
    written = Written(connect, tmp_path / "w.db", chance, options)
    assert json.loads(value(written.db, "SELECT bge_status('t')"))["codes"]["chunks"] == 8
    # The bounds hold as the theory says: vectors of this kind need no wider ones.
    assert value(written.db, "SELECT v FROM t_config WHERE k = 'z'") == 5.0
    for _ in range(max(8, QUERIES // 60)):
        written.change()
        written.ask(5)
    written.db.execute("INSERT INTO t(t) VALUES ('optimize'); INSERT INTO t(t) VALUES ('integrity-check')")
    written.ask(5)
    assert value(written.db, "SELECT count(*) FROM t") == value(written.db, "SELECT count(*) FROM o")


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
