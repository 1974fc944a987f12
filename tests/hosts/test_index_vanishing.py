"""What cannot be found is said: rows of the content whose key is no key of an index, and changes that nobody notes."""

import json

import pytest
from support import TINY, value


def status(db, index="t"):
    return json.loads(value(db, "SELECT bge_status(?)", index))


def sync(db):
    return value(db, "SELECT bge_sync('t')")


# --- keys that are none --------------------------------------------------------------------------

# The rows of a view, how many of them cannot be found by their key, and words that say why.
KEYS = {
    "repeated": ("VALUES (1, 'a'), (1, 'b'), (2, 'c'), (3, 'd'), (3, 'e'), (3, 'f')", ["1", "3"]),
    "NULL": ("VALUES (1, 'a'), (NULL, 'b'), (NULL, 'c')", ["NULL"]),
    "text": ("VALUES (1, 'a'), ('x', 'b')", ["x"]),
    "fractional": ("VALUES (1, 'a'), (2.5, 'b')", ["2.5"]),
    "blob": ("VALUES (1, 'a'), (x'31', 'b')", []),
}


@pytest.mark.parametrize("kind", KEYS)
def test_rows_of_a_view_without_a_key_of_their_own_are_named(db, kind):
    rows, named = KEYS[kind]
    db.execute(f"""CREATE TABLE pairs(key, body); INSERT INTO pairs {rows}; CREATE VIEW seen AS SELECT key, body FROM pairs;
        CREATE VIRTUAL TABLE t USING bge(body, content='seen', content_rowid='key', model='{TINY}')""")
    sync(db)
    wrong = " ".join(status(db)["wrong"])
    assert "key" in wrong, status(db)
    assert "seen" in wrong or "content" in wrong
    assert any(value in wrong for value in named) or not named, wrong
    # It is said as long as it is so.
    db.execute("DELETE FROM pairs WHERE rowid > 1")
    sync(db)
    assert status(db)["wrong"] == []
    db.execute("INSERT INTO t(t) VALUES ('integrity-check')")


def test_before_the_first_sync_too(db):
    db.execute(f"""CREATE TABLE pairs(key, body); INSERT INTO pairs VALUES (1, 'a'), (NULL, 'b'); CREATE VIEW seen AS SELECT key, body FROM pairs;
        CREATE VIRTUAL TABLE t USING bge(body, content='seen', content_rowid='key', model='{TINY}')""")
    assert "key" in " ".join(status(db)["wrong"])


def test_keys_of_a_table_that_are_none_are_named(db):
    """A UNIQUE column may hold NULL, many times, and text."""
    db.execute(f"""CREATE TABLE docs(number INTEGER UNIQUE, body); INSERT INTO docs VALUES (1, 'a'), (NULL, 'b'), ('x', 'c');
        CREATE VIRTUAL TABLE t USING bge(body, content='docs', content_rowid='number', model='{TINY}')""")
    sync(db)
    assert "key" in " ".join(status(db)["wrong"])
    db.execute("UPDATE docs SET number = 2 WHERE number IS NULL; DELETE FROM docs WHERE number = 'x'")
    sync(db)
    assert status(db)["wrong"] == [] and sorted(r for r, in db.execute("SELECT rowid FROM t('a')")) == [1, 2]


@pytest.mark.parametrize("content", ["table", "view"])
def test_sound_content_is_not_complained_about(db, content):
    db.execute(f"""CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (-1, 'a'), (0, NULL), (9, x'00');
        CREATE VIEW seen AS SELECT * FROM docs;
        CREATE VIRTUAL TABLE t USING bge(body, content='{dict(table='docs', view='seen')[content]}', content_rowid='id', model='{TINY}')""")
    for _ in range(2):
        assert status(db)["wrong"] == []
        sync(db)


# --- triggers that are gone ----------------------------------------------------------------------

LOST = {
    "dropped": "DROP TRIGGER t_ai; DROP TRIGGER t_au; DROP TRIGGER t_ad",
    "one dropped": "DROP TRIGGER t_au",
    "twelve steps": """PRAGMA foreign_keys = off; BEGIN; CREATE TABLE new_docs(id INTEGER PRIMARY KEY, body TEXT, more);
        INSERT INTO new_docs(id, body) SELECT id, body FROM docs; DROP TABLE docs; ALTER TABLE new_docs RENAME TO docs; COMMIT""",
    "Django's alter_field": """BEGIN; CREATE TABLE "new__docs" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "body" text NOT NULL);
        INSERT INTO "new__docs" ("id", "body") SELECT "id", coalesce("body", '') FROM "docs"; DROP TABLE "docs";
        ALTER TABLE "new__docs" RENAME TO "docs"; COMMIT""",
    "dropped and made anew": "CREATE TABLE kept AS SELECT * FROM docs; DROP TABLE docs; CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs SELECT * FROM kept",
}


@pytest.fixture
def filled(db):
    db.execute(f"""CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT);
        CREATE VIRTUAL TABLE t USING bge(body, content='docs', model='{TINY}');
        INSERT INTO docs VALUES (1, 'reset the device'), (2, 'machine learning'), (3, 'i love nlp')""")
    assert sync(db) == 3 and status(db)["wrong"] == [] and status(db)["pending"] == 0
    return db


@pytest.mark.parametrize("how", LOST)
def test_lost_triggers_are_said_until_a_sync_makes_them(filled, how):
    filled.execute(LOST[how])
    for sql in ("SELECT 1", "INSERT INTO docs(id, body) VALUES (4, 'while they were lost')", "UPDATE docs SET body = 'x' WHERE id = 1"):
        filled.execute(sql)
        found = status(filled)
        wrong = " ".join(found["wrong"])
        assert "trigger" in wrong and "bge_sync" in wrong, found
        assert found["triggers"] == "lost" and found["pending"] > 0, found
    assert sync(filled) >= 2
    found = status(filled)
    assert (found["wrong"], found["pending"], found["triggers"], found["rows"]) == ([], 0, "on", 4)
    filled.execute("UPDATE docs SET body = 'y' WHERE id = 2")
    assert status(filled)["pending"] == 1


def test_triggers_off_are_no_fault(db):
    db.execute(f"""CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'a');
        CREATE VIRTUAL TABLE t USING bge(body, content='docs', triggers=off, model='{TINY}')""")
    for _ in range(2):
        assert status(db)["wrong"] == [] and status(db)["triggers"] == "off"
        sync(db)
