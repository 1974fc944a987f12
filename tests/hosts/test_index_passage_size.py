"""How long the passages of an index are: what it declares, else the default of the day it was made, whatever becomes of it later."""

import json

import pytest
from support import FIXTURES, TINY, connect as connect_to, failure, shell, value

LONG = " ".join(f"Sentence number {n} is about the {thing}." for n, thing in enumerate(
    ["garden", "harbour", "library", "kitchen", "railway", "mountain", "theatre", "hospital"] * 40))
DOCS = "CREATE TABLE docs(id INTEGER PRIMARY KEY, title, body)"


def status(db, index="idx"):
    return json.loads(value(db, "SELECT bge_status(?)", index))


def sizes(db, index="idx"):
    said = status(db, index)
    assert said["wrong"] == []
    return said["chunk_tokens"], said["overlap"]


def spans(db, row, index="idx"):
    return list(db.execute(f"SELECT start, stop FROM {index}_passages WHERE row = ? ORDER BY start", (row,)))


def cut(db, max_tokens, overlap):
    """What bge_chunks makes of the long text."""
    sql = "SELECT start, stop FROM bge_chunks(?, ?, ?, ?)"
    return list(db.execute(sql, (LONG, max_tokens, overlap, TINY)))


@pytest.mark.parametrize("options, chunk_tokens, overlap", [
    ("", 256, 32), (", chunk_tokens=100", 100, 32), (", overlap=0", 256, 0), (", chunk_tokens=512", 512, 32),
    (", chunk_tokens=64, overlap=7", 64, 7),
])
def test_a_new_index(db, options, chunk_tokens, overlap):
    db.execute(f"{DOCS}; CREATE VIRTUAL TABLE idx USING bge(body, content=docs, model='{TINY}'{options})")
    db.execute("INSERT INTO docs(id, body) VALUES (1, ?)", (LONG,))
    assert sizes(db) == (chunk_tokens, overlap)
    value(db, "SELECT bge_sync('idx')")
    assert spans(db, 1) == cut(db, chunk_tokens, overlap)
    assert len(spans(db, 1)) > 3


@pytest.mark.parametrize("tokens, passages", [(256, 1), (257, 2)])
def test_a_text_of_just_the_default_is_one_passage(db, tokens, passages):
    db.execute(f"CREATE VIRTUAL TABLE idx USING bge(body, model='{TINY}')")
    text = ". " * (tokens - 2)
    assert value(db, "SELECT bge_tokens(?, ?)", text, TINY) == tokens
    db.execute("INSERT INTO idx(body) VALUES (?)", (text,))
    value(db, "SELECT bge_sync('idx')")
    assert status(db)["passages"] == passages


def test_the_default_gives_way_to_a_model_that_takes_less(db):
    value(db, "SELECT bge_load('less', ?, '{\"max_length\": 40}')", str(FIXTURES / TINY))
    db.execute("CREATE VIRTUAL TABLE idx USING bge(body, model='less')")
    db.execute("INSERT INTO idx(rowid, body) VALUES (1, ?)", (LONG,))
    value(db, "SELECT bge_sync('idx')")
    assert (status(db)["problems"], spans(db, 1)) == (0, cut(db, 40, 20))


# --- indexes that exist ---------------------------------------------------------------------------

def old_file(path):
    """An index from before there was such a setting, with a long text."""
    path.write_bytes((FIXTURES / "index-v1.db").read_bytes())
    db = connect_to(database=path)
    db.execute("INSERT INTO docs(id, body) VALUES (60, ?)", (LONG,))
    return db


def vacuum(db, path):
    db.execute("VACUUM")
    return db, "docs_bge"


def copy(db, path):
    db.execute("VACUUM INTO ?", (str(path / "copy.db"),))
    return connect_to(database=path / "copy.db"), "docs_bge"


def dump(db, path):
    shell(path / "dumped.db", text=shell(path / "old.db", ".dump"))
    return connect_to(database=path / "dumped.db"), "docs_bge"


def rebuild(db, path):
    db.execute("INSERT INTO docs_bge(docs_bge) VALUES ('rebuild')")
    return db, "docs_bge"


def rename(db, path):
    db.execute("ALTER TABLE docs_bge RENAME TO renamed")
    return db, "renamed"


FATES = [lambda db, path: (db, "docs_bge"), vacuum, copy, dump, rebuild, rename]


@pytest.mark.parametrize("fate", FATES, ids=["nothing", "vacuum", "vacuum into", "dump", "rebuild", "rename"])
def test_an_older_index_is_cut_as_before(tmp_path, fate):
    """Passages of the model's limit, 32 tokens repeated."""
    db, index = fate(old_file(tmp_path / "old.db"), tmp_path)
    assert sizes(db, index) == (None, 32)
    value(db, "SELECT bge_sync(?)", index)
    assert spans(db, 60, index) == cut(db, None, 32) != cut(db, 256, 32)
    assert sizes(db, "own") == (12, 2)
    db.close()


@pytest.mark.parametrize("fate", FATES[1:], ids=["vacuum", "vacuum into", "dump", "rebuild", "rename"])
def test_the_defaults_of_the_day_are_kept(tmp_path, fate):
    """An index of a version whose defaults are others than today's."""
    db = connect_to(database=tmp_path / "old.db")
    db.execute(f"{DOCS}; CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content=docs, model='{TINY}')")
    db.execute("UPDATE docs_bge_config SET v = 90 WHERE k = 'chunk_tokens'; UPDATE docs_bge_config SET v = 11 WHERE k = 'overlap'")
    db.execute("INSERT INTO docs(id, body) VALUES (60, ?)", (LONG,))
    db, index = fate(db, tmp_path)
    assert sizes(db, index) == (90, 11)
    value(db, "SELECT bge_sync(?)", index)
    assert spans(db, 60, index) == cut(db, 90, 11)
    db.close()


@pytest.mark.parametrize("key", ["chunk_tokens", "overlap"])
@pytest.mark.parametrize("setting", ["x", -1, 1 << 40, 9.5, b"9"])
def test_a_setting_that_no_index_can_have(db, key, setting):
    db.execute(f"CREATE VIRTUAL TABLE idx USING bge(body, model='{TINY}')")
    db.execute("INSERT INTO idx(body) VALUES ('a')")
    db.execute("UPDATE idx_config SET v = ? WHERE k = ?", (setting, key))
    assert key in str(failure(db, "SELECT bge_sync('idx')"))
    assert any(key in wrong for wrong in status(db)["wrong"])
    assert key in str(failure(db, "INSERT INTO idx(idx) VALUES ('integrity-check')"))
    db.execute("INSERT INTO idx(idx) VALUES ('rebuild')")
    assert (sizes(db), value(db, "SELECT bge_sync('idx')")) == ((256, 32), 1)
