"""A file that an older version made opens for ever: tests/fixtures/index-v1.db, made by make_index_v1.py."""

import json
import sys

import pytest
from support import FIXTURES, value

sys.path.insert(0, str(FIXTURES))
import make_index_v1 as v1  # noqa: E402

INDEXES = ("docs_bge", "own", "bare")
EXPECTED = json.loads((FIXTURES / "index-v1.json").read_text(encoding="utf-8"))


@pytest.fixture
def old(tmp_path, connect):
    """A copy of the file: every write here is a write to an old file."""
    copy = tmp_path / "old.db"
    copy.write_bytes((FIXTURES / "index-v1.db").read_bytes())
    return connect(database=copy)


def same(got, wanted):
    """Rows, languages and passages; distances as near as another CPU may compute them."""
    assert got.keys() == wanted.keys()
    for name, rows in wanted.items():
        assert [[row[0], *row[2:]] for row in got[name]] == [[row[0], *row[2:]] for row in rows], name
        assert [row[1] for row in got[name]] == pytest.approx([row[1] for row in rows], abs=1e-4), name


def checked(db):
    for index in INDEXES:
        db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
    assert value(db, "PRAGMA integrity_check") == "ok"


def test_it_is_as_it_was_made(old):
    """Format, pending rows, bound model, and what is found, with pending rows and without."""
    assert (FIXTURES / "index-v1.db").stat().st_size < 200_000
    assert [value(old, f"SELECT v FROM {index}_config WHERE k = 'format'") for index in INDEXES] == [1, 1, 1]
    assert v1.statuses(old) == EXPECTED["before"]["status"]
    same(v1.answers(old), EXPECTED["before"]["answers"])
    checked(old)


def test_it_syncs(old):
    assert {index: value(old, "SELECT bge_sync(?)", index) for index in INDEXES} == EXPECTED["synced"]
    assert v1.statuses(old) == EXPECTED["after"]["status"]
    same(v1.answers(old), EXPECTED["after"]["answers"])
    checked(old)


def test_it_is_written(old):
    """The triggers of then note, and the tables of then take everything."""
    old.execute("""
        INSERT INTO docs(id, title, body, lang) VALUES (50, 'a', 'love your team', 'fr');
        UPDATE docs SET title = 'b' WHERE id = 1; DELETE FROM docs WHERE id = 5; UPDATE docs SET id = 51 WHERE id = 6;
        INSERT INTO own(rowid, body, lang) VALUES (50, 'love your team', 'fr'); DELETE FROM own WHERE rowid = 5;
        UPDATE own SET body = 'b' WHERE rowid = 1""")
    nearest = bytes.fromhex(v1.query())
    old.execute("INSERT INTO bare(rowid, lang, embedding) VALUES (50, 'fr', ?)", (nearest,))
    old.execute("DELETE FROM bare WHERE rowid = 5")
    for index in INDEXES:
        value(old, "SELECT bge_sync(?)", index)
    checked(old)
    for index in ("docs_bge", "own"):
        assert old.execute(f"SELECT rowid, passage LIKE '%love your team' FROM {index} WHERE {index} MATCH 'love your team' "
                           "AND lang = 'fr'").fetchall() == [(50, 1)]
    assert value(old, "SELECT rowid FROM bare WHERE bare MATCH ? AND k = 1", nearest) == 50
    assert value(old, "SELECT group_concat(id) FROM docs WHERE id NOT IN (SELECT rowid FROM docs_bge('x') WHERE rowid IS NOT NULL)") is None


def test_it_is_rebuilt_renamed_and_dropped(old):
    for index in ("docs_bge", "own"):
        old.execute(f"INSERT INTO {index}({index}) VALUES ('rebuild')")
        assert value(old, "SELECT bge_status(?) ->> '$.pending'", index) > 20
        value(old, "SELECT bge_sync(?)", index)
    old.execute("INSERT INTO bare(bare) VALUES ('optimize')")
    value(old, "SELECT bge_sync('bare')")
    same(v1.answers(old), EXPECTED["after"]["answers"])
    checked(old)
    for index in INDEXES:
        old.execute(f"ALTER TABLE {index} RENAME TO {index}_2")
        old.execute(f"DROP TABLE {index}_2")
    assert [name for name, in old.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")] == ["docs"]
