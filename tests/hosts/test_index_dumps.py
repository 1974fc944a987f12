"""An index reloads from every kind of dump, as FTS5's tables do: `.schema`, `.dump`, and a program that runs the CREATE statements of
sqlite_schema in whatever order it likes. What it finds of its own, an empty log and triggers of its shape, it takes; what is
not its own it refuses and leaves alone.
"""

import itertools
import json
import sqlite3

import apsw
import pytest
from support import TINY, connect, failure, run, shell, value

DOCS = "CREATE TABLE docs(id INTEGER PRIMARY KEY, title TEXT, body TEXT, lang TEXT)"
INDEX = f"CREATE VIRTUAL TABLE docs_bge USING bge(title, body, lang UNINDEXED, content='docs', model='{TINY}')"
OWN = f"CREATE VIRTUAL TABLE own USING bge(body, lang TEXT COLLATE NOCASE UNINDEXED, model='{TINY}')"


@pytest.fixture
def origin(tmp_path):
    """A file with an index over a table and one that keeps its texts, in step."""
    path = tmp_path / "origin.db"
    db = connect(database=path)
    db.execute(f"{DOCS}; {INDEX}; {OWN}; CREATE VIRTUAL TABLE words USING fts5(body)")
    db.execute("INSERT INTO docs VALUES (1, 'Reset', 'hold the button', 'en'), (2, NULL, 'machine learning', 'de')")
    db.execute("INSERT INTO own(rowid, body, lang) VALUES (1, 'i love nlp', 'en')")
    for index in ("docs_bge", "own"):
        value(db, "SELECT bge_sync(?)", index)
    db.close()
    return path


def works(path, rows=()):
    """Writes are noted and embedded, searches find, and everything agrees."""
    db = connect(database=path)
    assert sorted(r for r, in db.execute("SELECT rowid FROM docs_bge")) == list(rows)
    db.execute("INSERT INTO docs VALUES (7, 'new', 'i love nlp', 'fr')")
    db.execute("INSERT INTO own(rowid, body) VALUES (7, 'i love nlp')")
    for index in ("docs_bge", "own"):
        assert 7 in [r for r, in db.execute(f"SELECT rowid FROM {index}('nlp')")]
        value(db, "SELECT bge_sync(?)", index)
        status = json.loads(value(db, "SELECT bge_status(?)", index))
        assert (status["pending"], status["wrong"]) == (0, []), status
        assert status["triggers"] == {"docs_bge": "on", "own": "none"}[index]
        db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
    db.execute("UPDATE docs SET body = 'the bill' WHERE id = 7; DELETE FROM docs WHERE id = 1")
    assert [r for r, in db.execute("SELECT DISTINCT id FROM docs_bge_log ORDER BY 1")] == [1, 7][not rows:]
    value(db, "SELECT bge_sync('docs_bge')")
    assert 1 not in [r for r, in db.execute("SELECT rowid FROM docs_bge('x')")]
    db.execute("ALTER TABLE docs_bge RENAME TO other; DROP TABLE other; DROP TABLE own")
    left = {n for n, in db.execute("SELECT name FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*' AND name NOT GLOB 'words*'")}
    assert left == {"docs"}
    db.close()


@pytest.mark.parametrize("loaded_before", [True, False])
def test_schema_of_the_shell(origin, tmp_path, loaded_before):
    """`.schema | sqlite3`, with the extension loaded there, and here or not. (--nosys: no table of SQLite's own can be created.)"""
    if loaded_before:
        text = shell(origin, ".schema --nosys")
    else:
        text = run(["sqlite3", "-batch", "-init", "/dev/null", origin, ".schema --nosys"]).stdout
    assert "CREATE VIRTUAL TABLE docs_bge" in text and "docs_bge_ai" in text
    shell(tmp_path / "new.db", text=text)
    works(tmp_path / "new.db")


def test_schema_of_one_table_after_the_other(origin, tmp_path):
    """`.schema docs%` has all that is called so."""
    text = shell(origin, ".schema --nosys docs%") + shell(origin, ".schema --nosys own%")
    shell(tmp_path / "new.db", text=text)
    works(tmp_path / "new.db")


def test_dump_of_the_shell(origin, tmp_path):
    for n, into in enumerate([lambda path, text: shell(path, text=text), lambda path, text: sqlite3.connect(path).executescript(text).connection.close()]):
        into(tmp_path / f"{n}.db", shell(origin, ".dump"))
        works(tmp_path / f"{n}.db", rows=[1, 2])


def test_copies(origin, tmp_path):
    db = connect(database=origin)
    db.execute("VACUUM INTO ?", (str(tmp_path / "vacuum.db"),))
    copy = apsw.Connection(str(tmp_path / "backup.db"))
    with copy.backup("main", db, "main") as backup:
        backup.step(-1)
    copy.close()
    db.close()
    for name in ("vacuum.db", "backup.db"):
        works(tmp_path / name, rows=[1, 2])


def parts(origin):
    """The CREATE statements of what SQLite itself calls no shadow table, by name."""
    db = connect(database=origin)
    found = dict(db.execute("SELECT name, sql FROM sqlite_schema WHERE name GLOB 'docs_bge*' AND sql IS NOT NULL "
                            "AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')"))
    db.close()
    return found


def test_create_statements_in_any_order(origin, connect):
    """The shadow tables are left out, as dumps do that know them."""
    created = parts(origin)
    assert len(created) >= 4
    for number, order in enumerate(itertools.permutations(created)):
        db = connect()
        db.execute(DOCS)
        for name in order:
            try:
                db.execute(created[name])
            except apsw.SQLError as error:
                raise AssertionError(f"{name} of {order}: {error}") from None
        if number % 10:
            db.close()
            continue  # embedding takes its time
        assert value(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") == 3
        db.execute("INSERT INTO docs(id, body) VALUES (3, 'i love nlp')")
        assert [r for r, in db.execute("SELECT rowid FROM docs_bge('nlp')")] == [3], order
        assert value(db, "SELECT bge_sync('docs_bge')") == 1
        db.execute("UPDATE docs SET body = 'x' WHERE id = 3")
        assert value(db, "SELECT bge_status('docs_bge') ->> '$.pending'") == 1
        assert value(db, "SELECT bge_sync('docs_bge')") == 1
        db.execute("INSERT INTO docs_bge(docs_bge) VALUES ('integrity-check')")
        db.close()


def test_create_statements_over_a_full_table(origin, connect):
    """What was there before the index is pending as a whole, whatever came first."""
    created = parts(origin)
    for order in list(itertools.permutations(created))[::5]:
        db = connect()
        db.execute(f"{DOCS}; INSERT INTO docs(id, body) VALUES (1, 'a'), (2, 'b'), (3, NULL)")
        for name in order:
            db.execute(created[name])
        assert value(db, "SELECT bge_status('docs_bge') ->> '$.pending'") == 3, order
        assert value(db, "SELECT bge_sync('docs_bge')") == 3
        db.close()


@pytest.mark.parametrize("sql", [
    "CREATE TABLE docs_bge_log(seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER); INSERT INTO docs_bge_log(id) VALUES (5)",
    "CREATE TABLE docs_bge_log(id)", "CREATE TABLE docs_bge_log(seq INTEGER PRIMARY KEY, id INTEGER)",
    "CREATE VIEW docs_bge_log AS SELECT 1 AS seq, 1 AS id", "CREATE TABLE docs_bge_log(seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER, more)",
    "CREATE TABLE docs_bge_log(seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER); CREATE TRIGGER mine AFTER INSERT ON docs_bge_log BEGIN SELECT 1; END",
    "CREATE TABLE docs_bge_rows(id INTEGER PRIMARY KEY, hash, problem, c2)", "CREATE TABLE docs_bge_config(k, v)",
    "CREATE TRIGGER docs_bge_ai AFTER INSERT ON docs BEGIN SELECT 1; END",
    'CREATE TRIGGER docs_bge_ai AFTER INSERT ON docs BEGIN INSERT INTO "docs_bge_log"(id) VALUES (new."id"); SELECT 1; END',
    'CREATE TRIGGER docs_bge_ad AFTER DELETE ON docs WHEN 0 BEGIN INSERT INTO "docs_bge_log"(id) VALUES (old."id"); END',
    'CREATE TRIGGER docs_bge_ad AFTER DELETE ON other BEGIN INSERT INTO "docs_bge_log"(id) VALUES (old."id"); END',
])
def test_what_is_not_of_the_index_is_refused_and_left(connect, sql):
    db = connect()
    db.execute(f"{DOCS}; CREATE TABLE other(id); {sql}")
    before = list(db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2"))
    message = str(failure(db, INDEX))
    assert "docs_bge_" in message
    assert list(db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2")) == before
