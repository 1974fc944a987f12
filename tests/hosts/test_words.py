"""`words`: an FTS5 table beside the vectors, in step with the texts whoever writes, compared with one that is made anew.

Whatever is done to an index with `words=on`, its `_words` has the rows of the content and gives the same bm25 as a fresh table over
the same texts. Damage is found and mended; a declaration that cannot be kept is refused.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import apsw
import pytest
from oracle import WORDS, sentence
from support import EXTENSION, TINY, Oldest, failure, run, value
from support import connect as connect_to

OVER = f"CREATE VIRTUAL TABLE t USING bge(title, lang UNINDEXED, body, content='docs', words=on, model='{TINY}')"
OWN = f"CREATE VIRTUAL TABLE t USING bge(title, lang UNINDEXED, body, words=on, model='{TINY}')"
DOCS = "CREATE TABLE docs(id INTEGER PRIMARY KEY, title, lang, body, code UNIQUE)"


def seeded(number):
    seed = os.environ.get("BGE_TEST_SEED", number)
    print(f"BGE_TEST_SEED={seed}")
    return random.Random(seed)


def bm25(db, table, words):
    return {word: sorted(db.execute(f'SELECT rowid, bm25("{table}") FROM "{table}" WHERE "{table}" MATCH ?', (f'"{word}"',))) for word in words}


def in_step(db, texts="SELECT id, title, body FROM docs WHERE typeof(id) = 'integer'", words="t_words", tokenize=", tokenize='porter unicode61'"):
    """The rows of the texts and no others, as they are, and bm25 to the bit."""
    db.execute(f"CREATE VIRTUAL TABLE temp.anew USING fts5(c0, c2{tokenize}); INSERT INTO temp.anew(rowid, c0, c2) {texts}")
    got, wanted = ([(*row, [type(v) for v in row]) for row in db.execute(f'SELECT rowid, * FROM {table} ORDER BY rowid')] for table in (f'"{words}"', "temp.anew"))
    assert got == wanted
    asked = WORDS[:12] + ["1", "x"]
    assert bm25(db, words, asked) == bm25(db, "anew", asked)
    db.execute("DROP TABLE temp.anew")
    return len(got)


def check(db, index="t"):
    db.execute(f'INSERT INTO "{index}"("{index}") VALUES (\'integrity-check\')')


def some(chance):
    return chance.choice([sentence(chance, 1, 6), sentence(chance, 1, 6), None, "", 1, 2.5, "x\0y", "ß " + sentence(chance)])


class Writes:
    """Random statements on a content table."""

    def __init__(self, chance):
        self.chance, self.code = chance, 0

    def row(self):
        self.code += 1
        code = self.chance.choice([None, f"c{self.code}", f"c{self.chance.randint(1, 20)}"])
        return (self.chance.randint(1, 40), some(self.chance), self.chance.choice(["en", "de"]), some(self.chance), code)

    def any(self):
        kind, row = self.chance.randrange(12), self.row()
        clause = self.chance.choice(["OR REPLACE", "OR IGNORE", "OR FAIL", "OR ABORT", ""])
        if kind < 4:
            return f"INSERT {clause} INTO docs VALUES (?, ?, ?, ?, ?)", row
        if kind == 4:
            return "INSERT INTO docs VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body, lang = 'up'", (*row[:4], None)
        if kind == 5:
            return f"UPDATE {clause} docs SET id = ? WHERE id = ?", (row[0], self.chance.randint(1, 40))
        if kind == 6:
            return "DELETE FROM docs WHERE id % 13 = ?", (row[0] % 13,)
        if kind == 7:
            return "UPDATE docs SET lang = ? WHERE id < ?", (row[2], row[0])
        if kind == 8:
            return "UPDATE docs SET title = upper(title) WHERE id = ?", (row[0],)
        if kind == 9:
            return f"INSERT {clause} INTO docs SELECT id + 7, body, lang, title, NULL FROM docs WHERE id % 9 = ?", (row[0] % 9,)
        if kind == 10:
            return f"UPDATE {clause} docs SET code = ? WHERE id % 5 = ?", (row[4], row[0] % 5)
        return "UPDATE docs SET title = ?, body = ? WHERE id BETWEEN ? AND ? + 3", (row[1], row[3], row[0], row[0])


@pytest.mark.parametrize("key", ["id INTEGER PRIMARY KEY", "id INTEGER NOT NULL PRIMARY KEY, title, lang, body, code UNIQUE) WITHOUT ROWID;", "id UNIQUE"])
def test_random_writes_with_savepoints_and_rollbacks(connect, tmp_path, key):
    """Writers with the extension and without, in transactions that are rolled back or not, with syncs between."""
    chance = seeded(f"words {key}")
    db, plain = connect(database=tmp_path / "x.db"), apsw.Connection(str(tmp_path / "x.db"))
    created = f"CREATE TABLE docs({key}" if ";" in key else f"CREATE TABLE docs({key}, title, lang, body, code UNIQUE)"
    db.execute(f"{created}; INSERT INTO docs VALUES (3, 'reset', 'en', 'your password', 'c1'), (4, NULL, 'de', NULL, 'c2')")
    named = "" if "INTEGER PRIMARY KEY" in key and "WITHOUT" not in key else ", content_rowid=id"
    db.execute(OVER.replace("'docs'", f"'docs'{named}"))
    writes = Writes(chance)
    for turn in range(60):
        writer = chance.choice([db, plain])
        whole = chance.random() < 0.7
        if whole:
            writer.execute("BEGIN")
        for _ in range(chance.randint(1, 8)):
            savepoint = whole and chance.random() < 0.5
            if savepoint:
                writer.execute("SAVEPOINT s")
            sql, bound = writes.any()
            try:
                writer.execute(sql, bound)
            except apsw.ConstraintError:
                pass
            if savepoint:
                writer.execute(chance.choice(["ROLLBACK TO s; RELEASE s", "RELEASE s"]))
        if whole:
            writer.execute(chance.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
        if turn % 6 == 5:
            value(db, "SELECT bge_sync('t')")
            in_step(db)
            check(db)
    assert value(db, "SELECT count(*) FROM docs") > 5
    if key == "id UNIQUE":
        db.execute("INSERT INTO docs(id, body) VALUES ('7x', 'no integer'), (NULL, 'none'), (8.5, 'real'), (x'07', 'blob')")
        db.execute("UPDATE docs SET id = '9x' WHERE id = (SELECT max(id) FROM docs WHERE typeof(id) = 'integer')")
        db.execute("DELETE FROM docs WHERE id = '7x'")
        in_step(db)
    plain.close()


def test_random_writes_without_displacing_need_no_sync(connect):
    """Where no other UNIQUE column lets OR REPLACE displace rows unseen, words are in step after every statement."""
    chance, db = seeded("words at once"), connect()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, title, lang, body, code)")
    db.execute(OVER)
    writes = Writes(chance)
    for _ in range(150):
        sql, bound = writes.any()
        try:
            db.execute(sql, bound)
        except apsw.ConstraintError:
            pass
        in_step(db)
    check(db)


def test_random_writes_to_an_index_that_keeps_its_texts(connect):
    chance, db = seeded("words own"), connect()
    db.execute(OWN)
    texts = "SELECT id, c0, c2 FROM t_text"
    for turn in range(150):
        row = (chance.randint(1, 30), some(chance), some(chance))
        clause = chance.choice(["OR REPLACE", "OR IGNORE", "OR FAIL", "OR ABORT", ""])
        sql, bound = chance.choice([
            (f"INSERT {clause} INTO t(rowid, title, body) VALUES (?, ?, ?)", row),
            ("INSERT INTO t(title, body) VALUES (?, ?)", row[1:]),
            (f"UPDATE {clause} t SET rowid = ? WHERE rowid = ?", (row[0], chance.randint(1, 30))),
            ("UPDATE t SET body = ? WHERE rowid = ?", (row[2], row[0])),
            ("UPDATE t SET lang = ? WHERE rowid = ?", (row[2], row[0])),
            ("DELETE FROM t WHERE rowid = ?", row[:1]),
            (f"INSERT {clause} INTO t(rowid, title, embedding) VALUES (?, ?, bge_embed('x', '{TINY}'))", row[:2]),
        ])
        undone = chance.random() < 0.3
        if undone:
            db.execute("SAVEPOINT s")
        last = db.last_insert_rowid()
        try:
            db.execute(sql, bound)
            if not sql.startswith("INSERT"):
                assert db.last_insert_rowid() == last
        except (apsw.ConstraintError, apsw.SQLError):
            pass
        if undone:
            db.execute("ROLLBACK TO s; RELEASE s")
        if turn % 3 == 0:
            in_step(db, texts)
        if turn % 50 == 49:
            value(db, "SELECT bge_sync('t')")
            check(db)
    db.execute("INSERT INTO t(rowid, body) VALUES (1000, 'x')")
    assert db.last_insert_rowid() == 1000


def test_a_table_that_is_full_is_taken_over(connect):
    chance, db = seeded("words full"), connect()
    db.execute(DOCS)
    db.executemany("INSERT INTO docs VALUES (?, ?, 'en', ?, NULL)", [(n * 3, some(chance), some(chance)) for n in range(500)])
    db.execute(OVER)
    assert in_step(db) == 500
    check(db)


@pytest.mark.parametrize("index", ["t", 'a "b" {rows} \'c\'', "größe 東京"])
@pytest.mark.parametrize("schema", ["main", "aux 2"])
def test_odd_names_schemas_and_renaming(connect, tmp_path, index, schema):
    db = connect()
    quoted = '"' + index.replace('"', '""') + '"'
    db.execute(f"ATTACH '{tmp_path}/aux.db' AS \"aux 2\"")
    db.execute(f"""CREATE TABLE "{schema}"."do {{text}} cs"("the key" INTEGER PRIMARY KEY, "a ""b", "lang", "c'd" AS ("a ""b" || ' password'));
                   INSERT INTO "{schema}"."do {{text}} cs" VALUES (1, 'reset', 'en')""")
    db.execute(f"""CREATE VIRTUAL TABLE "{schema}".{quoted} USING bge("a ""b", lang UNINDEXED, "c'd", content="do {{text}} cs", words=on, model='{TINY}')""")
    db.execute(f"""INSERT INTO "{schema}"."do {{text}} cs" VALUES (2, 'learning', 'en')""")
    in_step(db, f"""SELECT "the key", "a ""b", "c'd" FROM "{schema}"."do {{text}} cs" """, (index + "_words").replace('"', '""'))
    value(db, "SELECT bge_sync(?)", f'"{schema}".{quoted}')
    db.execute(f'ALTER TABLE "{schema}"."do {{text}} cs" RENAME TO papers')
    db.execute(f'ALTER TABLE "{schema}".papers RENAME COLUMN "a ""b" TO title')
    db.execute(f'UPDATE "{schema}".papers SET title = \'machine\' WHERE "the key" = 2')
    value(db, "SELECT bge_sync(?)", f'"{schema}".{quoted}')
    db.execute(f'ALTER TABLE "{schema}".{quoted} RENAME TO "new {{words}}"')
    db.execute(f"INSERT INTO \"{schema}\".papers VALUES (7, 'button', 'de')")
    check(db, "new {words}")
    in_step(db, f"SELECT \"the key\", title, \"c'd\" FROM \"{schema}\".papers", "new {words}_words")
    db.execute('DROP TABLE "new {words}"')
    left = [name for name, in db.execute(f'SELECT name FROM "{schema}".sqlite_schema')]
    assert set(left) == {"papers", "sqlite_sequence"}


def test_every_way_to_copy_a_file(connect, tmp_path):
    db = connect(database=tmp_path / "x.db")
    db.execute(f"{DOCS}; INSERT INTO docs VALUES (1, 'reset', 'en', 'your password', NULL), (9, 'nlp', 'de', 'x', NULL); {OVER}")
    value(db, "SELECT bge_sync('t')")
    db.execute("DELETE FROM docs WHERE id = 1; VACUUM; VACUUM INTO ?", (str(tmp_path / "vacuum.db"),))
    shell = ["sqlite3", "-batch", "-init", "/dev/null", "-cmd", f'.load "{EXTENSION}"']
    dump = run([*shell, tmp_path / "x.db", ".dump"]).stdout
    sqlite3.connect(tmp_path / "plain.db").executescript(dump).connection.close()
    restored = run([*shell, tmp_path / "shell.db"], stdin=None, input=dump)
    assert (restored.returncode, restored.stderr) == (0, "")
    copied = apsw.Connection(str(tmp_path / "backup.db"))
    with copied.backup("main", db, "main") as backup:
        backup.step(-1)
    copied.close()
    for name in ("x", "vacuum", "plain", "shell", "backup"):
        copy = connect(database=tmp_path / f"{name}.db")
        copy.execute("INSERT INTO docs(id, title) VALUES (4, 'machine')")
        assert in_step(copy) == 2
        check(copy)


def test_a_table_and_triggers_that_came_before_the_index_are_taken(connect):
    """As a dump may bring them; anything else under their names is refused and left."""
    db = connect()
    db.execute(f"{DOCS}; {OVER}")
    created = [sql for sql, in db.execute("SELECT sql FROM sqlite_schema WHERE name = 't_words' OR name GLOB 't_words_a?'")]
    assert len(created) == 4
    db.execute("DROP TABLE t")
    for sql in created:
        db.execute(sql)
    db.execute(OVER)
    db.execute("INSERT INTO docs(id, body) VALUES (5, 'password')")
    assert in_step(db) == 1
    for sql in [
        "CREATE TABLE t_words(c0, c2)", "CREATE VIEW t_words AS SELECT 1", "CREATE VIRTUAL TABLE t_words USING fts5(c0, c1)",
        "CREATE VIRTUAL TABLE t_words USING fts5(c0, c2, tokenize='porter unicode61'); INSERT INTO t_words VALUES ('a', 'b')",
        "CREATE TRIGGER t_words_ai AFTER INSERT ON docs BEGIN SELECT 1; END",
        created[1].replace("typeof", "type_of"), created[3].replace("docs", "other"),
    ]:
        db.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE IF NOT EXISTS other(id, title, body); {sql}")
        before = list(db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2"))
        assert "t_words" in str(failure(db, OVER)), sql
        assert list(db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2")) == before
        kind, name = before[[row[1].startswith("t_words") for row in before].index(True)][:2]
        for kind, name, _ in before:
            if name in ("t_words", "t_words_ai", "t_words_ad", "t_words_au"):
                db.execute(f"DROP {kind} {name}")


def test_the_oldest_host():
    """SQLite 3.38 makes, writes, checks, renames and drops."""
    made = [DOCS, OVER, "INSERT INTO docs VALUES (1, 'reset', 'en', 'your password', 'c')", "INSERT OR REPLACE INTO docs VALUES (1, 'new', 'en', 'x', 'c')",
            "INSERT INTO t(t) VALUES ('integrity-check')", "ALTER TABLE t RENAME TO u", "UPDATE docs SET title = 'newer'",
            "INSERT INTO u(u) VALUES ('rebuild')", "INSERT INTO u(u) VALUES ('integrity-check')"]
    assert Oldest().rows(*made, "SELECT rowid, c0, c2 FROM u_words WHERE u_words MATCH 'newer'") == [[1, "newer", "x"]]
    assert Oldest().rows(*made, "DROP TABLE u", "SELECT name FROM sqlite_schema WHERE name GLOB 'u*'") == []


@pytest.mark.parametrize("own", [False, True])
def test_defensive_and_untrusting_hosts(connect, own):
    db = connect()
    db.execute("PRAGMA trusted_schema = OFF")
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    db.execute(f"{DOCS}; {OWN if own else OVER}")
    table, key = ("t", "rowid") if own else ("docs", "id")
    db.execute(f"INSERT INTO {table}({key}, title) VALUES (1, 'reset'), (2, 'nlp'); UPDATE {table} SET title = 'x' WHERE {key} = 1")
    value(db, "SELECT bge_sync('t')")
    check(db)
    db.execute("INSERT INTO t(t) VALUES ('rebuild'); ALTER TABLE t RENAME TO u")
    check(db, "u")
    assert value(db, "SELECT rowid FROM u_words WHERE u_words MATCH 'nlp'") == 2
    db.execute("DROP TABLE u")


# --- damage --------------------------------------------------------------------------------------

DAMAGE = [
    ("DROP TABLE t_words", "is missing"), ("DELETE FROM t_words", "the words of row 1 are not"), ("DELETE FROM t_words WHERE rowid = 2", "the words of row 2"),
    ("UPDATE t_words SET c0 = 'other' WHERE rowid = 1", "the words of row 1"), ("INSERT INTO t_words(rowid, c0) VALUES (77, 'x')", "row 77"),
    ("DELETE FROM t_words_data", "cannot be used"), ("UPDATE t_words_data SET block = x'00'", "cannot be used"), ("DROP TABLE t_words_idx", "cannot be used"),
    ("DROP TABLE t_words_docsize", "cannot be used"), ("DROP TABLE t_words_content", "cannot be used"), ("DELETE FROM t_words_content", "the words of row 1"),
    ("DELETE FROM t_words_docsize WHERE id = 1", "cannot be used"), ("UPDATE t_words_content SET c0 = 'y'", "the words of row 1"),
]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("damage, found", DAMAGE)
def test_damage_is_found_and_mended(connect, tmp_path, own, damage, found):
    file = tmp_path / "x.db"
    db = connect(database=file)
    table, key = ("t", "rowid") if own else ("docs", "id")
    db.execute(f"CREATE TABLE docs(id INTEGER PRIMARY KEY, title, lang, body); {OWN if own else OVER}")
    db.execute(f"INSERT INTO {table}({key}, title, body) VALUES (1, 'reset', 'your password'), (2, 'nlp', NULL)")
    value(db, "SELECT bge_sync('t')")
    check(db)
    db.execute(damage)
    db.close()
    db = connect(database=file)
    message = str(failure(db, "INSERT INTO t(t) VALUES ('integrity-check')"))
    assert found in message and "'rebuild'" in message, message
    db.execute("INSERT INTO t(t) VALUES ('rebuild')")
    check(db)
    in_step(db, "SELECT id, c0, c2 FROM t_text" if own else "SELECT id, title, body FROM docs")
    db.execute(f"INSERT INTO {table}({key}, title) VALUES (3, 'machine')")
    in_step(db, "SELECT id, c0, c2 FROM t_text" if own else "SELECT id, title, body FROM docs")
    db.execute("DROP TABLE t")
    assert {name for name, in db.execute("SELECT name FROM sqlite_schema")} <= {"docs", "sqlite_sequence"}


@pytest.mark.parametrize("lost", ["DROP TRIGGER t_words_ad", "DROP TRIGGER t_words_ai; DROP TRIGGER t_words_au", "DROP TABLE t_words",
                                  "CREATE TABLE n AS SELECT * FROM docs; DROP TABLE docs; ALTER TABLE n RENAME TO docs"])
def test_what_was_lost_is_made_again_by_the_next_sync(connect, lost):
    db = connect()
    db.execute("CREATE TABLE docs(id INTEGER UNIQUE, title, lang, body)")
    db.execute(OVER.replace("'docs'", "'docs', content_rowid=id"))
    db.execute("INSERT INTO docs(id, title) VALUES (1, 'reset'), (2, 'nlp')")
    value(db, "SELECT bge_sync('t')")
    db.execute(lost)
    if "t_words;" not in lost + ";":
        db.execute("DELETE FROM docs WHERE id = 1; INSERT INTO docs(id, title) VALUES (3, 'machine'); UPDATE docs SET title = 'x' WHERE id = 2")
        assert "triggers" in str(failure(db, "INSERT INTO t(t) VALUES ('integrity-check')"))
        assert any("words" in wrong for wrong in json.loads(value(db, "SELECT bge_status('t')"))["wrong"])
    value(db, "SELECT bge_sync('t')")
    in_step(db)
    check(db)
    assert json.loads(value(db, "SELECT bge_status('t')"))["wrong"] == []


def wrong(db, index="t"):
    """What bge_status says of the words."""
    return [said for said in json.loads(value(db, "SELECT bge_status(?)", index))["wrong"] if said.startswith("words: ")]


@pytest.mark.parametrize("lost", ["DROP TRIGGER t_words_au", "DROP TRIGGER t_words_ai; DROP TRIGGER t_words_ad; DROP TRIGGER t_words_au", "DROP TABLE t_words"])
def test_renaming_the_index_hides_no_loss(db, lost):
    """Whether words are lost is known before and after; what was written meanwhile is not taken for in step."""
    db.execute(f"{DOCS}; {OVER}; INSERT INTO docs(id, title) VALUES (1, 'reset'), (2, 'nlp')")
    value(db, "SELECT bge_sync('t')")
    assert pending(db) == 0
    db.execute(lost)
    assert pending(db) == 2
    if "TABLE" not in lost:
        db.execute("UPDATE docs SET title = 'machine' WHERE id = 2")
    else:
        # Else SQLite renames nothing while a trigger names a table that is not there.
        db.execute("PRAGMA legacy_alter_table = ON")
    before = wrong(db)
    assert len(before) == 1
    db.execute("ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME TO v")
    assert wrong(db, "v") == before
    assert "v_words" in str(failure(db, "INSERT INTO v(v) VALUES ('integrity-check')"))
    value(db, "SELECT bge_sync('v')")
    assert wrong(db, "v") == []
    in_step(db, words="v_words")
    check(db, "v")


def many(db, rows, chance):
    """A content of many rows, whose words the index has."""
    db.execute(DOCS)
    db.execute("BEGIN")
    db.executemany("INSERT INTO docs VALUES (?, ?, 'en', ?, ?)", ((n * 2, sentence(chance, 1, 4), sentence(chance, 20, 40), f"c{n}") for n in range(rows)))
    db.execute("COMMIT")
    db.execute(OVER)


def pending(db, index="t"):
    return json.loads(value(db, "SELECT bge_status(?)", index))["pending"]


def counted(db, table="t_words_docsize"):
    return value(db, f"SELECT count(*) FROM {table}")


def test_lost_words_are_made_again_in_steps(connect, tmp_path):
    """A call that has no time does some, keeps them and ends; until all are there no ranking is given that lacks some."""
    chance, rows = seeded("words in steps"), 12_000
    db, plain = connect(database=tmp_path / "x.db"), apsw.Connection(str(tmp_path / "x.db"))
    many(db, rows, chance)
    db.execute("DROP TRIGGER t_words_ad")
    took = -time.perf_counter()
    assert value(db, "SELECT bge_sync('t', 0)") == 0
    assert took + time.perf_counter() < 1
    calls, done = 1, counted(db)
    assert 0 < done < rows / 2
    hybrid = "SELECT rowid FROM t WHERE t MATCH 'reset' AND rank MATCH 'hybrid' LIMIT 3"
    for writer in (plain, db):
        assert "being made again" in str(wrong(db)) and "being made again" in str(failure(db, "INSERT INTO t(t) VALUES ('integrity-check')"))
        for sql in (hybrid, hybrid.replace("hybrid", "words")):
            assert "bge_sync" in str(failure(db, sql))
        # Before and behind the row that comes next, and displacing others.
        for n in (1, 2 * rows - 3):
            writer.execute("INSERT OR REPLACE INTO docs VALUES (?, 'machine', 'de', 'button', ?)", (n, f"c{rows - n // 2 - 1}"))
            writer.execute("UPDATE docs SET title = 'learning' WHERE id BETWEEN ? AND ? + 9", (n, n))
            writer.execute("DELETE FROM docs WHERE id BETWEEN ? AND ?", (n + 15, n + 20))
            writer.execute("UPDATE docs SET id = -id - 1 WHERE id BETWEEN ? AND ?", (n + 21, n + 24))
        value(db, "SELECT bge_sync('t', 0)")
        calls, last, done = calls + 1, done, counted(db)
        assert done > last
    db.close()
    db = connect(database=tmp_path / "x.db")
    while wrong(db):
        value(db, "SELECT bge_sync('t', 0)")
        calls += 1
        assert calls < rows
    assert calls > 5
    value(db, "SELECT bge_sync('t')")
    in_step(db)
    check(db)
    assert len(list(db.execute(hybrid))) == 3
    plain.close()


def test_making_lost_words_again_can_be_renamed_and_stopped(connect, tmp_path):
    """What is done is kept, and the next sync goes on; also as a command, in a transaction, and by rebuild."""
    db = connect(database=tmp_path / "x.db")
    many(db, 6_000, seeded("words stopped"))
    value(db, "SELECT bge_sync('t')")
    db.execute("DROP TABLE t_words")
    value(db, "SELECT bge_sync('t', 0)")
    done = counted(db)
    assert pending(db) == 6_000 - done
    db.execute("ALTER TABLE t RENAME TO u")
    assert "being made again" in str(wrong(db, "u")) and counted(db, "u_words_docsize") == done
    db.set_progress_handler(lambda: True, 100_000)
    assert isinstance(failure(db, "SELECT bge_sync('u')"), apsw.InterruptError)
    db.set_progress_handler(None)
    assert "being made again" in str(wrong(db, "u")) and counted(db, "u_words_docsize") >= done
    db.execute("BEGIN; INSERT INTO u(u) VALUES ('rebuild')")
    assert wrong(db, "u") == [] and in_step(db, words="u_words") == 6_000
    db.execute("ROLLBACK")
    assert "being made again" in str(wrong(db, "u"))
    db.execute("BEGIN; DELETE FROM docs WHERE id > 100; INSERT INTO u(u) VALUES ('sync'); COMMIT")
    assert wrong(db, "u") == []
    in_step(db, words="u_words")
    check(db, "u")


REPAIRED = """
db = connect(database=sys.argv[1])
while True:
    db.execute("SELECT bge_sync('t', 0)").get
    print("ready", flush=True)
"""


def test_kills_while_lost_words_are_made_again(connect, tmp_path):
    """What a process has filled another one goes on from."""
    chance, file = seeded("words repaired and killed"), tmp_path / "x.db"
    many(connect(database=file), 20_000, chance)
    connect(database=file).execute("DROP TRIGGER t_words_ai; INSERT INTO docs(id, title) VALUES (-5, 'machine')")
    here = os.path.dirname(os.path.abspath(__file__))
    code = f"import sys; sys.path.insert(0, {here!r}); from support import connect\n{REPAIRED}"
    done = 0
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.random() / 50)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        db = connect_to(database=file)
        assert counted(db) > done and wrong(db)
        done = counted(db)
        db.close()
    db = connect_to(database=file)
    value(db, "SELECT bge_sync('t')")
    assert in_step(db) == 20_001
    check(db)


def test_lost_words_of_texts_that_the_index_keeps_are_made_again_in_steps(db):
    """Its own writes meanwhile are neither lost nor there twice."""
    chance, rows = seeded("words of its own in steps"), 6_000
    vector = value(db, "SELECT bge_embed('x', ?)", TINY)
    db.execute(f"{OWN}; BEGIN")
    db.executemany("INSERT INTO t(rowid, title, body, embedding) VALUES (?, ?, ?, ?)", ((n * 2, sentence(chance, 1, 4), sentence(chance, 20, 40), vector) for n in range(rows)))
    db.execute("COMMIT; DROP TABLE t_words")
    value(db, "SELECT bge_sync('t', 0)")
    assert 0 < counted(db) < rows
    for n in (10, 2 * rows - 100):
        db.execute("INSERT INTO t(rowid, title) VALUES (?, 'machine')", (n + 1,))
        db.execute("UPDATE t SET title = 'learning' WHERE rowid BETWEEN ? AND ? + 4", (n, n))
        db.execute("UPDATE t SET rowid = rowid + 1 WHERE rowid = ?", (n + 6,))
        db.execute("DELETE FROM t WHERE rowid BETWEEN ? AND ? + 6", (n + 10, n + 10))
    while wrong(db):
        value(db, "SELECT bge_sync('t', 0)")
    assert in_step(db, "SELECT id, c0, c2 FROM t_text") == rows - 6
    check(db)


@pytest.mark.parametrize("own", [False, True])
def test_a_setting_that_no_repair_has_written_is_damage(connect, tmp_path, own):
    db = connect()
    db.execute(f"{DOCS}; {OWN if own else OVER}")
    db.execute("REPLACE INTO t_config VALUES ('words_from', 'half')")
    for sql in ("SELECT rowid FROM t WHERE t MATCH 'reset' AND rank MATCH 'words'", "INSERT INTO t(t) VALUES ('integrity-check')", "SELECT bge_sync('t')"):
        assert "words_from" in str(failure(db, sql))
    db.execute("INSERT INTO t(t) VALUES ('rebuild')")
    check(db)


def test_create_that_is_stopped_leaves_nothing(db):
    """Its words are filled in its own transaction, which can be interrupted."""
    chance = seeded("words of create")
    db.execute(DOCS)
    db.executemany("INSERT INTO docs(id, title, body) VALUES (?, ?, ?)", ((n, "x", sentence(chance, 30, 40)) for n in range(20_000)))
    before, changes = list(db.execute("SELECT * FROM sqlite_schema")), []
    db.set_progress_handler(lambda: changes.append(0) or len(changes) > 3, 100_000)
    assert isinstance(failure(db, OVER), apsw.InterruptError)
    db.set_progress_handler(None)
    assert len(changes) > 3 and list(db.execute("SELECT * FROM sqlite_schema")) == before
    timer = threading.Timer(0.15, db.interrupt)
    timer.start()
    assert isinstance(failure(db, OVER), apsw.InterruptError)
    timer.join()
    assert list(db.execute("SELECT * FROM sqlite_schema")) == before
    db.execute(OVER)
    assert in_step(db) == 20_000


def test_words_of_very_many_displaced_rows_go_in_steps(db):
    chance, rows = seeded("words displaced"), 3_500
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, title, lang, body, code UNIQUE)")
    db.executemany("INSERT INTO docs VALUES (?, 'reset', 'en', ?, ?)", ((n, sentence(chance), n) for n in range(rows)))
    db.execute(OVER)
    db.execute("INSERT OR REPLACE INTO docs SELECT id + 10000, title, lang, body, code FROM docs")
    assert counted(db) == 2 * rows
    value(db, "SELECT bge_sync('t', 0)")
    assert rows < counted(db) < 2 * rows
    for _ in range(5):
        value(db, "SELECT bge_sync('t', 0)")
    assert counted(db) == rows
    in_step(db)


@pytest.mark.parametrize("own", [False, True])
def test_without_its_table_nothing_of_a_write_stays(connect, own):
    db = connect()
    db.execute(f"{DOCS}; {OWN if own else OVER}")
    table, key = ("t", "rowid") if own else ("docs", "id")
    db.execute(f"INSERT INTO {table}({key}, title) VALUES (1, 'reset')")
    db.execute("DROP TABLE t_words; BEGIN")
    for sql in (f"INSERT INTO {table}({key}, title) VALUES (2, 'x')", f"UPDATE {table} SET title = 'y'", f"DELETE FROM {table}"):
        assert "t_words" in str(failure(db, sql))
    db.execute("COMMIT")
    db.execute("INSERT INTO t(t) VALUES ('rebuild')")
    assert list(db.execute(f"SELECT {key}, title FROM {table}")) == [(1, "reset")]
    check(db)


@pytest.mark.parametrize("strange", ["CREATE VIEW t_words AS SELECT 1 AS c0", "CREATE TABLE t_words(c0, c2)", "CREATE VIRTUAL TABLE t_words USING fts5(c0, c2, content='docs')"])
def test_a_stranger_in_the_place_of_the_table(connect, strange):
    db = connect()
    db.execute(f"{DOCS}; {OVER}; DROP TABLE t_words; {strange}")
    for sql in ("SELECT rowid FROM t", "INSERT INTO t(t) VALUES ('integrity-check')", "INSERT INTO t(t) VALUES ('rebuild')", "SELECT bge_sync('t')"):
        message = str(failure(db, sql))
        assert "is not the FTS5 table that it made: DROP" in message, message
    db.execute(f"DROP {'VIEW' if 'VIEW' in strange else 'TABLE'} t_words; INSERT INTO t(t) VALUES ('rebuild')")
    check(db)


KILLED = """
docs = connect(database=sys.argv[1])
docs.execute("PRAGMA journal_mode = " + sys.argv[2])
chance = random.Random(int(sys.argv[3]))
while True:
    docs.execute("BEGIN")
    for _ in range(chance.randint(1, 30)):
        docs.execute("INSERT OR REPLACE INTO docs VALUES (?, ?, 'en', ?, NULL)", (chance.randint(1, 200), f"reset {chance.random()}", "your password " * 40))
        docs.execute("DELETE FROM docs WHERE id = ?", (chance.randint(1, 200),))
    print("ready", flush=True)
    docs.execute("COMMIT")
"""


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_kills(connect, tmp_path, journal):
    """A writer is killed in the middle of transactions; the file's words are those of its texts."""
    chance, file = seeded(f"words kills {journal}"), tmp_path / "x.db"
    connect(database=file).execute(f"{DOCS}; {OVER}")
    here = os.path.dirname(os.path.abspath(__file__))
    code = f"import random, sys; sys.path.insert(0, {here!r}); from support import connect\n{KILLED}"
    for number in range(12):
        child = subprocess.Popen([sys.executable, "-c", code, str(file), journal, str(number)], stdout=subprocess.PIPE, text=True)
        for _ in range(chance.randint(1, 20)):
            assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        db = connect_to(database=file)
        in_step(db)
        check(db)
        db.close()


# --- declarations --------------------------------------------------------------------------------


@pytest.mark.parametrize("options, named", [
    ("words='nix'", "must be an FTS5 table in schema 'main', and there is none"), ("words=docs", "the table of this name is none"),
    ("words=v", "the view of this name is none"), ("content='v', content_rowid=id, words=on", "is no ordinary table"),
    ("content='', words=on", "leave one of the two out"), ("content=docs, triggers=off, words=on", "leave one of the two out"),
    ("words_tokenize=porter", "add words=on"), ("words=off, words_tokenize=porter", "add words=on"), ("words=f, words_tokenize=porter", "add words=on"),
    ("words=on, words_tokenize=nope", "no such tokenizer: nope"), ("words=on, words_tokenize='unicode61 nope 1'", "tokenizer"),
    ("words=''", "known: "), ("words=on, words=off", "twice"), ("words=on, words_tokenize=''", "known: "),
])
def test_what_cannot_be_kept_is_refused(db, options, named):
    db.execute(f"{DOCS}; CREATE VIEW v AS SELECT * FROM docs; CREATE VIRTUAL TABLE f USING fts5(a)")
    before = list(db.execute("SELECT name FROM sqlite_schema ORDER BY 1"))
    message = str(failure(db, f"CREATE VIRTUAL TABLE t USING bge(title, {options})"))
    assert named in message, message
    assert list(db.execute("SELECT name FROM sqlite_schema ORDER BY 1")) == before


def test_a_tokenizer_is_passed_on(db):
    """With quotes of its own."""
    db.execute(f"""{DOCS}; INSERT INTO docs VALUES (1, 'resetting', 'en', 'a-b_c', NULL)""")
    db.execute(OVER.replace("words=on", "words='on', words_tokenize='porter unicode61 tokenchars ''-_'''"))
    assert value(db, "SELECT rowid FROM t_words WHERE t_words MATCH '\"a-b_c\"'") == 1
    assert value(db, "SELECT rowid FROM t_words WHERE t_words MATCH 'resets'") == 1
    assert not list(db.execute("SELECT rowid FROM t_words WHERE t_words MATCH 'b'"))
    db.execute("INSERT INTO t(t) VALUES ('rebuild')")
    check(db)


def test_a_table_of_the_user_s_is_left_alone(db):
    """Over a view and without texts too."""
    db.execute(f"""{DOCS}; INSERT INTO docs(id, title) VALUES (1, 'x'); CREATE VIEW v AS SELECT * FROM docs;
                   CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f(rowid, a) VALUES (1, 'x')""")
    for options in ("content=docs", "content=v, content_rowid=id", "content=''", "words=Off"):
        words = "" if "words" in options else ", words='F'"
        db.execute(f"CREATE VIRTUAL TABLE t USING bge(title, {options}{words}, model='{TINY}')")
        if options != "content=''":
            db.execute("INSERT INTO t(t) VALUES ('rebuild')")
        else:
            db.execute("INSERT INTO t(rowid, title) VALUES (1, 'x')")
        check(db)
        value(db, "SELECT bge_sync('t')")
        check(db)
        db.execute("ALTER TABLE t RENAME TO u; DROP TABLE u")
        assert list(db.execute("SELECT rowid, a FROM f")) == [(1, "x")]


def told(db):
    """What a table of the user's is said to be by the command, by PRAGMA integrity_check and by bge_status."""
    error = failure(db, "INSERT INTO t(t) VALUES ('integrity-check')")
    assert isinstance(error, apsw.CorruptError) or "which must be" in str(error)
    return str(error), " ".join(said for said, in db.execute("PRAGMA integrity_check")), " ".join(wrong(db))


@pytest.mark.parametrize("instead", ["", "CREATE TABLE f(title, body)", "CREATE VIEW f AS SELECT 1 AS title"])
def test_a_missing_table_of_the_user_s_is_told_everywhere(db, instead):
    db.execute(f"{DOCS}; CREATE VIRTUAL TABLE f USING fts5(title, body); {OVER.replace('words=on', 'words=f')}")
    assert wrong(db) == []
    db.execute(f"DROP TABLE f; {instead}")
    for said in told(db):
        assert "option words names 'f', which must be an FTS5 table in schema 'main', and" in said and "CREATE VIRTUAL TABLE" in said, said


NAMED = {
    "external": "CREATE VIRTUAL TABLE f USING fts5(title, body, content=docs, content_rowid=id)",
    "its own": "CREATE VIRTUAL TABLE f USING fts5(title, body)", "others": "CREATE VIRTUAL TABLE f USING fts5(all_of_it, tokenize=trigram)",
    "contentless": "CREATE VIRTUAL TABLE f USING fts5(title, body, content='', contentless_delete=1)",
    "without sizes": "CREATE VIRTUAL TABLE f USING fts5(title, body, columnsize=0)",
}


@pytest.mark.parametrize("over", ["table", "view", "own", "contentless"])
@pytest.mark.parametrize("kind", NAMED)
def test_a_table_of_the_user_s_has_the_rows_of_the_content(db, kind, over):
    """None missing but those without a text, none too many; the way out that is named works."""
    db.execute(f"{DOCS}; CREATE VIEW v AS SELECT * FROM docs; {NAMED[kind]}")
    content = {"table": ", content=docs", "view": ", content=v, content_rowid=id", "own": "", "contentless": ", content=''"}[over]
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(title, body{content}, words=f, model='{TINY}')")
    filled = "f(rowid, all_of_it)" if kind == "others" else "f(rowid, title)"
    for n, title in enumerate(["reset", "nlp", "machine", None]):
        db.execute("INSERT INTO docs(id, title) VALUES (?, ?)", (n, title))
        if over in ("own", "contentless"):
            db.execute("INSERT INTO t(rowid, title) VALUES (?, ?)", (n, title))
        if title or kind == "external":
            db.execute(f"INSERT INTO {filled} VALUES (?, ?)", (n, title))
    check(db)
    value(db, "SELECT bge_sync('t')")
    check(db)
    assert value(db, "PRAGMA integrity_check") == "ok"
    if kind == "external":
        # What FTS5 is told that a row said.
        db.execute("INSERT INTO f(f, rowid, title) VALUES ('delete', 1, 'nlp')")
        db.execute("INSERT INTO f(rowid, title) VALUES (77, 'strange'), (78, 'strange')")
    else:
        db.execute("DELETE FROM f WHERE rowid = 1")
        db.execute(f"INSERT INTO {filled} VALUES (77, 'strange'), (78, 'strange')")
    command, pragma, _ = told(db)
    for said in (command, pragma):
        assert "FTS5 table 'f', which option words names: row 1 of the content is not in it; row 77 of it is not in the content; row 78 of it" in said, said
        assert "VALUES ('rebuild')" in said
    if kind == "external":
        db.execute("INSERT INTO f(f) VALUES ('rebuild')")
    else:
        db.execute(f"DELETE FROM f WHERE rowid > 70; INSERT INTO {filled} VALUES (1, 'nlp')")
    check(db)
    assert value(db, "PRAGMA integrity_check") == "ok"


def test_damage_of_a_table_of_the_user_s_is_told(db):
    """What its rowids do not tell FTS5 finds: texts that are not those of an external content, broken tables."""
    db.execute(f"{DOCS}; CREATE VIRTUAL TABLE f USING fts5(title, body, content=docs, content_rowid=id)")
    db.execute(OVER.replace("words=on", "words=f"))
    db.execute("INSERT INTO docs(id, title) VALUES (1, 'reset'); INSERT INTO f(f) VALUES ('rebuild')")
    check(db)
    for damage in ("UPDATE docs SET title = 'other'", "DELETE FROM f_data WHERE id > 10"):
        db.execute(damage)
        message = str(failure(db, "INSERT INTO t(t) VALUES ('integrity-check')"))
        assert "FTS5 table 'f', which option words names" in message and "('rebuild') makes" in message, message
        db.execute("INSERT INTO f(f) VALUES ('rebuild')")
        check(db)


# --- questions that find very many rows ----------------------------------------------------------


def plain_bm25(db, table, runs):
    """What plain FTS5 gives for these."""
    found = db.execute(f"SELECT rowid, bm25({table}) FROM {table} WHERE {table} MATCH ?", (" OR ".join(f'"{run}"' for run in runs),))
    return sorted(found, key=lambda row: (row[1], row[0]))


def test_of_a_question_that_finds_too_many_rows_the_rarest_runs_are_asked_for(db):
    """Up to 20,000 rows the whole question is asked; beyond, what is not common, and one run at least."""
    rows = 25_000
    words = {"all": range(25), "most": range(21), "edge": range(20), "half": range(12), "third": range(16, 25)}
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
    text = lambda n: " ".join([*(word for word, places in words.items() if n % 25 in places), *["seldom"] * (n < 30), "filler " * (n % 7)])
    db.executemany("INSERT INTO docs VALUES (?, ?)", ((n, text(n)) for n in range(rows)))
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, content=docs, words=on, catchup=0, model='{TINY}')")
    db.execute("CREATE VIRTUAL TABLE plain USING fts5(body, tokenize='porter unicode61'); INSERT INTO plain(rowid, body) SELECT * FROM docs")
    for question, asked in {
        "seldom": ["seldom"], "all": ["all"], "edge": ["edge"], "half seldom": ["half", "seldom"], "edge seldom": ["seldom"],
        "all seldom": ["seldom"], "all most": ["most"], "all half seldom": ["seldom", "half"], "half third": ["third"],
        "all third half seldom nowhere": ["seldom", "third"], "all nowhere": ["all"], "the all most nowhere seldom": ["seldom"],
    }.items():
        wanted = plain_bm25(db, "plain", asked)
        got = list(db.execute("SELECT rowid, bm25 FROM t WHERE t MATCH ? AND rank MATCH 'words' ORDER BY rank LIMIT 200", (question,)))
        assert got and got == wanted[:200], question
    assert value(db, "SELECT count(*) FROM t WHERE t MATCH 'all seldom' AND rank MATCH 'words'") == 30
    assert value(db, "SELECT count(*) FROM t WHERE t MATCH 'half seldom' AND rank MATCH 'words(25000)'") == len(plain_bm25(db, "plain", ["half", "seldom"]))


@pytest.mark.parametrize("rows, whole, too_many", [(2_000, 1_000, 1_001), (6_000, 1_200, 1_201)])
def test_a_fusion_leaves_out_words_of_more_than_a_fifth_of_the_rows(db, rows, whole, too_many):
    """Of the rows, at least 1,000, and not of the passages, of which one row here has very many."""
    long, vector = "reset your password " * 8_000, value(db, "SELECT bge_embed('x', ?)", TINY)
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, words=on, chunk_tokens=8, overlap=0, model='{TINY}')")
    text = lambda n: " ".join([*["whole"] * (n < whole), *["many"] * (n < too_many), *["seldom"] * (n % 400 == 0), "filler " * (n % 5)])
    db.execute("BEGIN")
    db.executemany("INSERT INTO t(rowid, body, embedding) VALUES (?, ?, ?)", ((n, text(n), vector) for n in range(1, rows)))
    db.execute("INSERT INTO t(rowid, body) VALUES (0, ?); COMMIT", (long + text(0),))
    value(db, "SELECT bge_sync('t')")
    assert json.loads(value(db, "SELECT bge_status('t')"))["passages"] > 1.5 * rows
    db.execute("CREATE VIRTUAL TABLE plain USING fts5(body, tokenize='porter unicode61'); INSERT INTO plain(rowid, body) SELECT id, c0 FROM t_text")
    for question, asked in {"whole": ["whole"], "many": ["many"], "many seldom": ["seldom"], "whole nowhere": ["whole"], "many whole": ["whole"]}.items():
        wanted = plain_bm25(db, "plain", asked)
        got = [*db.execute("SELECT rowid, bm25 FROM t WHERE t MATCH ? AND rank MATCH 'hybrid(depth = 50)' AND by_words IS NOT NULL ORDER BY by_words", (question,))]
        assert got and got == wanted[:50], question
