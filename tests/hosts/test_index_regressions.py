"""Faults that a review of the index found, each with the way it was shown."""

import json

import apsw
import pytest
from support import TINY

TWELVE_STEPS = """
    CREATE TABLE new_docs(id INTEGER PRIMARY KEY, {columns});
    INSERT INTO new_docs SELECT * FROM docs;
    DROP TABLE docs;
    ALTER TABLE new_docs RENAME TO docs;
"""


@pytest.fixture
def db(connect):
    db = connect()
    db.execute("SELECT bge_load('tiny', ?)", (str(TINY),))
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT, lang TEXT)")
    db.execute("INSERT INTO docs VALUES (1, 'a cat', 'en'), (2, 'a dog', 'en'), (3, 'a bird', 'de')")
    return db


def index(db, columns="body, lang UNINDEXED", content="docs"):
    db.execute(f"CREATE VIRTUAL TABLE idx USING bge({columns}, content='{content}', model='tiny')")


def sync(db):
    return db.execute("SELECT bge_sync('idx')").fetchone()[0]


def status(db, name="idx"):
    return json.loads(db.execute("SELECT bge_status(?)", (name,)).fetchone()[0])


def test_a_column_that_is_gone_is_an_error_and_not_its_own_name(db):
    index(db)
    assert sync(db) == 3
    db.execute(TWELVE_STEPS.format(columns="text TEXT, lang TEXT"))
    with pytest.raises(apsw.SQLError, match="no longer has column 'body'; it has id, text, lang"):
        sync(db)
    with pytest.raises(apsw.SQLError, match="no longer has column 'body'"):
        db.execute("SELECT rowid FROM idx('cat')").fetchall()
    assert any("body" in wrong for wrong in status(db)["wrong"])
    # Nothing stands in the way of the user's own writes.
    db.execute("UPDATE docs SET text = 'a fish' WHERE id = 1")
    db.execute("ALTER TABLE docs RENAME COLUMN text TO body")
    assert sync(db) == 1
    db.execute("INSERT INTO idx(idx) VALUES ('integrity-check')")


def test_a_view_that_lost_a_column_is_an_error(db):
    db.execute("CREATE VIEW v AS SELECT id, body, lang FROM docs")
    index(db, "body, lang UNINDEXED, content_rowid=id", "v")
    assert sync(db) == 3
    db.execute("DROP VIEW v; CREATE VIEW v AS SELECT id, lang FROM docs")
    with pytest.raises(apsw.SQLError, match="no longer has column 'body'"):
        sync(db)


def test_a_content_that_reads_its_own_index_is_refused(db):
    db.execute("CREATE VIEW v AS SELECT id, body, lang FROM docs")
    index(db, "body, lang UNINDEXED, content_rowid=id", "v")
    assert sync(db) == 3
    db.execute("DROP VIEW v; CREATE VIEW v AS SELECT rowid AS id, body, lang FROM idx")
    for statement in ["SELECT * FROM idx", "SELECT rowid FROM idx('cat')", "SELECT * FROM idx WHERE rowid = 1",
                      "SELECT bge_sync('idx')"]:
        with pytest.raises(apsw.SQLError, match="reads the index itself"):
            db.execute(statement).fetchall()
    assert status(db)["rows"] == 3
    db.execute("DROP TABLE idx")


@pytest.mark.parametrize("terms, rows", [
    ("rowid = 2 OR rowid > 2", [2, 3]),
    ("rowid > 2 OR rowid < 2", [1, 3]),
    ("rowid = 1 OR lang = 'de'", [1, 3]),
])
def test_terms_joined_by_or_beside_match(db, terms, rows):
    index(db)
    sync(db)
    for query in [f"idx MATCH 'cat' AND ({terms})", f"idx MATCH 'cat' AND ({terms}) AND lang > 'a'"]:
        assert sorted(row for row, in db.execute(f"SELECT rowid FROM idx WHERE {query}")) == rows


def test_comments_in_a_declaration(db):
    index(db, "body, /* one, two */ lang -- it's (\n UNINDEXED")
    assert sync(db) == 3
    assert status(db)["wrong"] == []


def test_a_key_of_text_is_refused(db):
    db.execute("CREATE TABLE words(word TEXT PRIMARY KEY, body TEXT)")
    with pytest.raises(apsw.SQLError, match="'word' of 'words' is declared TEXT, expected an integer column"):
        db.execute("CREATE VIRTUAL TABLE w USING bge(body, content='words', content_rowid='word')")


def test_a_key_without_an_index_of_its_own_is_refused(db):
    db.execute("CREATE TABLE n(number INTEGER, body TEXT)")
    with pytest.raises(apsw.SQLError, match="UNIQUE index"):
        db.execute("CREATE VIRTUAL TABLE w USING bge(body, content='n', content_rowid='number')")


def test_a_content_that_never_says_the_same_ends_a_sync(db):
    db.execute("CREATE VIEW v AS SELECT id, body || random() AS body, lang FROM docs")
    index(db, "body, lang UNINDEXED, content_rowid=id", "v")
    assert sync(db) == 0
    assert status(db)["pending"] == 3
    with db:
        assert sync(db) == 0


def test_values_are_compared_as_they_are_stored(db):
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT, tag TEXT)")
    db.execute("INSERT INTO t VALUES (1, 'a cat', '12'), (2, 'a dog', NULL)")
    db.execute("CREATE VIRTUAL TABLE idx USING bge(body, tag INTEGER UNINDEXED, content='t', triggers=off, model='tiny')")
    assert [sync(db), sync(db)] == [2, 0]
    db.execute("UPDATE t SET tag = '13' WHERE id = 1")
    db.execute("UPDATE t SET tag = 0 WHERE id = 2")
    assert [sync(db), sync(db)] == [2, 0]
    assert db.execute("SELECT rowid FROM idx WHERE idx MATCH 'cat' AND tag = 13").fetchall() == [(1,)]


def test_an_empty_first_column_is_no_title(db):
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)")
    db.execute("INSERT INTO t VALUES (1, '', 'second', ?)", ("word " * 60,))
    db.execute("CREATE VIRTUAL TABLE idx USING bge(a, b, c, content='t', chunk_tokens=16, overlap=0, model='tiny')")
    assert sync(db) == 1
    first, = db.execute("SELECT min(start) FROM idx_passages").fetchone()
    assert first == len("\n"), "all of the text is cut, from its first word on"
