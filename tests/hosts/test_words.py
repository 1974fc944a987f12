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
    db.execute(f"{DOCS}; CREATE VIEW v AS SELECT * FROM docs; CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f(rowid, a) VALUES (1, 'x')")
    for options in ("content=docs", "content=v, content_rowid=id", "content=''", "words=Off"):
        words = "" if "words" in options else ", words='F'"
        db.execute(f"CREATE VIRTUAL TABLE t USING bge(title, {options}{words}, model='{TINY}')")
        if options != "content=''":
            db.execute("INSERT INTO t(t) VALUES ('rebuild')")
        check(db)
        value(db, "SELECT bge_sync('t')")
        db.execute("ALTER TABLE t RENAME TO u; DROP TABLE u")
        assert list(db.execute("SELECT rowid, a FROM f")) == [(1, "x")]


def test_damage_of_a_table_of_the_user_s_is_told(db):
    db.execute(f"{DOCS}; CREATE VIRTUAL TABLE f USING fts5(title, body, content=docs, content_rowid=id)")
    db.execute(OVER.replace("words=on", "words=f"))
    db.execute("INSERT INTO docs(id, title) VALUES (1, 'reset')")
    message = str(failure(db, "INSERT INTO t(t) VALUES ('integrity-check')"))
    assert "FTS5 table 'f', which option words names" in message
    db.execute("INSERT INTO f(f) VALUES ('rebuild')")
    check(db)
