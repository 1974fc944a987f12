"""The read-only entry point: what a stranger's SQL can do with it, and cannot, in every host."""

import shutil
import sys

import apsw
import pytest
from support import (EXTENSION, FIXTURES, READONLY, SMALL, TINY, blob, connect, failure, fresh_text, load, run,
                     run_python, value)

PATH = str(EXTENSION)


@pytest.fixture
def file(tmp_path):
    """A database with an index of each kind; nothing is pending."""
    path = tmp_path / "indexed.db"
    db = connect(database=path)
    db.execute(f"CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT, lang TEXT);"
               "INSERT INTO docs VALUES (1, 'reset your password', 'en'), (2, 'a bill for the page', 'de');"
               f"CREATE VIRTUAL TABLE ix USING bge(body, lang UNINDEXED, content='docs', model='{TINY}');"
               f"CREATE VIRTUAL TABLE given USING bge(a, content='', model='{TINY}');"
               "SELECT bge_sync('ix')")
    db.execute("INSERT INTO given(rowid, embedding) VALUES (7, ?)", (blob(*[1] * 32),))
    db.close()
    return path


@pytest.fixture
def visitor(file, connect):
    return connect(database=file, entry=READONLY)


# --- what there is -------------------------------------------------------------------------------


def test_it_reads(visitor, db):
    load(db, TINY)
    query = fresh_text("how do i reset it")
    assert value(visitor, "SELECT rowid FROM ix WHERE ix MATCH ? AND lang = 'en' AND k = 1", query) == 1
    assert value(visitor, "SELECT rowid FROM given WHERE given MATCH ? AND k = 1", blob(*[1] * 32)) == 7
    assert value(visitor, "SELECT body FROM ix WHERE rowid = 2") == "a bill for the page"
    assert value(visitor, "SELECT bge_status('ix') ->> '$.rows'") == 2
    assert value(visitor, "SELECT bge_dims(bge_embed('x', ?))", TINY) == 32
    assert visitor.execute("SELECT idx, bge_dims(embedding) FROM bge_embed_each('[\"one\"]', ?)", (TINY,)).fetchall() == [(0, 32)]
    assert value(visitor, "SELECT count(*) FROM bge_chunks('one two', 8, 0, ?)", TINY) == 1
    assert value(visitor, "SELECT count(*) FROM bge_models WHERE name = ?", TINY) == 1
    assert value(visitor, "SELECT round(bge_cosine(bge_from_json('[1, 0]'), bge_from_json('[1, 1]')), 3)") == 0.707


@pytest.mark.parametrize("sql", ["SELECT bge_load('m', 'tiny-bert')", "SELECT bge_load('m', 'tiny-bert', '{}')",
                                 "SELECT bge_unload('tiny-bert')", "SELECT bge_sync('ix')", "SELECT bge_sync('ix', 1)"])
def test_functions_that_change_something_are_not_there(visitor, sql):
    assert str(failure(visitor, sql)).startswith("no such function: bge_")


def test_sql_in_a_text_is_not_run(visitor):
    """A host that looks at its visitors' SQL before running it would not see it."""
    assert str(failure(visitor, "SELECT * FROM bge_batch('SELECT 1, sql FROM sqlite_schema')")) == "no such table: bge_batch"


WRITES = [
    "INSERT INTO ix(ix) VALUES ('sync')", "INSERT INTO ix(ix) VALUES ('rebuild')", "INSERT INTO ix(ix) VALUES ('optimize')",
    "INSERT INTO ix(ix) VALUES ('integrity-check')", "INSERT INTO given(given) VALUES ('no such command')",
    "INSERT INTO given(rowid, embedding) VALUES (1, zeroblob(128))", "DELETE FROM given WHERE rowid = 7", "DELETE FROM given",
    "UPDATE given SET embedding = zeroblob(128)", "REPLACE INTO given(rowid, embedding) VALUES (7, zeroblob(128))",
    "CREATE VIRTUAL TABLE other USING bge(a)", "CREATE VIRTUAL TABLE temp.other USING bge(a, content='')",
    "ALTER TABLE given RENAME TO taken", "DROP TABLE given", "DROP TABLE ix"]
REFUSAL = "this connection has loaded sqlite-bge read-only: an index can be searched here"


@pytest.mark.parametrize("sql", WRITES)
def test_an_index_is_not_written(file, visitor, sql):
    before = file.read_bytes()
    error = failure(visitor, sql)
    assert isinstance(error, apsw.ReadOnlyError)
    # SQLite has no place for a message of ours in a DROP.
    assert ("attempt to write a readonly database" if sql.startswith("DROP") else REFUSAL) in str(error), error
    assert file.read_bytes() == before
    assert value(visitor, "SELECT rowid FROM given WHERE given MATCH ? AND k = 1", blob(*[1] * 32)) == 7


def test_a_content_table_is_written_as_ever_and_its_triggers_note_it(visitor, db):
    """They are plain SQL: without the extension they work too."""
    visitor.execute("UPDATE docs SET body = 'new' WHERE id = 2")
    assert value(visitor, "SELECT bge_status('ix') ->> '$.pending'") == 1


# --- models --------------------------------------------------------------------------------------

PRELUDE = """
visitor = connect(database=sys.argv[1] if len(sys.argv) > 1 else ":memory:", entry=READONLY)
def names():
    return sorted(loaded(visitor))
"""


def test_only_the_default_model_is_loaded_by_its_name():
    """Also a model that is there, and one that is not."""
    printed = run_python(PRELUDE + f"""
for call in ("bge_embed('x', ?)", "bge_embed_query('x', ?)", "bge_tokens('x', ?)", "bge_tokenize('x', ?)",
             "(SELECT chunk FROM bge_chunks('x', 8, 0, ?))", "(SELECT text FROM bge_embed_each('[1]', ?))"):
    for name in ("{TINY}", "no-such-model"):
        message = str(failure(visitor, "SELECT " + call, name))
        assert f"model '{{name}}' is not loaded, and this connection has loaded sqlite-bge read-only" in message, message
        assert "the default model ('{SMALL}')" in message
    assert "is not a model name" in str(failure(visitor, "SELECT " + call, "../" + "{TINY}"))
assert names() == []
assert value(visitor, "SELECT bge_dims(bge_embed('x'))") == value(visitor, "SELECT bge_dims(bge_embed('x', '{SMALL}'))") == 384
assert value(visitor, "SELECT bge_dims(embedding) FROM bge_embed_each('[1]')") == 384
assert names() == ["{SMALL}"]
whole = connect()
load(whole, "{TINY}")
assert value(visitor, "SELECT bge_dims(bge_embed('x', '{TINY}'))") == 32  # the program has loaded it
""")
    assert printed == ""


def test_an_index_that_is_searched_brings_its_model(file):
    run_python(PRELUDE + f"""
assert names() == []
assert value(visitor, "SELECT rowid FROM ix WHERE ix MATCH 'reset it' AND k = 1") in (1, 2)
assert names() == ["{TINY}"]
assert value(visitor, "SELECT bge_dims(bge_embed('x', '{TINY}'))") == 32
""", file)


def test_indexes_cannot_bring_models_without_end(tmp_path):
    file = tmp_path / "many.db"
    for n in range(10):
        shutil.copytree(FIXTURES / TINY, tmp_path / "models" / f"m{n}")
    env = {"BGE_MODELS": tmp_path / "models"}
    whole = """
db = connect(database=sys.argv[1])
for n in range(10):
    db.execute(f"CREATE VIRTUAL TABLE i{n} USING bge(a, model='m{n}');"
               f"INSERT INTO i{n}(a) VALUES ('one'); SELECT bge_sync('i{n}')")
db.execute("CREATE VIRTUAL TABLE none USING bge(a, model='no-such'); INSERT INTO none(a) VALUES ('one')")
"""
    run_python(whole, file, env=env)
    search = """
def search(name):
    return value(visitor, f"SELECT rowid FROM {name} WHERE {name} MATCH 'two' AND k = 1")
for n in range(20):
    failure(visitor, "SELECT rowid FROM none WHERE none MATCH 'two' AND k = 1")
for n in [*range(8), *range(8)]:
    assert search(f"i{n}") == 1
for n in (8, 9, 8):
    message = str(failure(visitor, f"SELECT rowid FROM i{n} WHERE i{n} MATCH 'two' AND k = 1"))
    assert f"model 'm{n}' is not loaded, and indexes that were searched read-only have made this process load 8" in message, message
assert names() == [f"m{n}" for n in range(8)]
load(connect(), "m9", "m9")
assert search("i9") == 1
"""
    run_python(PRELUDE + search, file, env=env)


# --- both entry points ---------------------------------------------------------------------------


def test_two_connections_of_one_process_have_an_entry_point_each(visitor, db):
    for _ in range(2):
        assert value(db, "SELECT bge_load('of-two', ?)", str(FIXTURES / TINY)) == "of-two"
        assert str(failure(visitor, "SELECT bge_unload('of-two')")) == "no such function: bge_unload"
        assert value(visitor, "SELECT bge_dims(bge_embed('x', 'of-two'))") == 32
        assert value(db, "SELECT bge_unload('of-two')") == 1


@pytest.mark.parametrize("first, second, said", [
    (READONLY, None, "this connection has loaded sqlite-bge read-only, and stays so"),
    (None, READONLY, "this connection has loaded the whole of sqlite-bge, which cannot be taken back")])
def test_one_connection_keeps_its_first(connect, first, second, said):
    db = connect(entry=first)
    everything = "SELECT name, narg FROM pragma_function_list"
    before = set(db.execute(everything))
    for _ in range(2):
        with pytest.raises(apsw.ExtensionLoadingError, match=said):
            db.load_extension(PATH, second)
        assert said in str(failure(db, "SELECT load_extension(?, ?)", PATH, second or "sqlite3_bge_init"))
        db.load_extension(PATH, first)  # again is no error
        value(db, "SELECT load_extension(?, ?)", PATH, first or "sqlite3_bge_init")
    assert set(db.execute(everything)) == before


# --- in other hosts ------------------------------------------------------------------------------


def test_the_shell(file):
    start = ["sqlite3", "-batch", "-init", "/dev/null", file, f".load {PATH} {READONLY}"]
    done = run([*start, "SELECT rowid FROM ix WHERE ix MATCH 'reset it' AND k = 2", "DELETE FROM given"])
    assert sorted(done.stdout.split()) == ["1", "2"]
    assert "this connection has loaded sqlite-bge read-only" in done.stderr


def test_pythons_sqlite3_with_a_file_that_nobody_can_write(file):
    """A Python whose sqlite3 can load extensions: Debian's can, pyenv's cannot."""
    code = f"""
import sqlite3
db = sqlite3.connect("file:{file}?mode=ro", uri=True)
db.enable_load_extension(True)
db.execute("SELECT load_extension(?, ?)", ({PATH!r}, {READONLY!r}))
db.enable_load_extension(False)
print(sorted(db.execute("SELECT rowid FROM ix WHERE ix MATCH 'reset it'")))
try:
    db.execute("SELECT bge_load('m', 'tiny-bert')")
except sqlite3.OperationalError as error:
    print(error)
"""
    done = run([loading_python(), "-c", code])
    assert (done.stdout, done.stderr) == ("[(1,), (2,)]\nno such function: bge_load\n", "")


def loading_python():
    for python in (sys.executable, "/usr/bin/python3", "python3"):
        if shutil.which(python) and run([python, "-c", "import sqlite3; sqlite3.Connection.enable_load_extension"]).returncode == 0:
            return python
    pytest.skip("no Python here has a sqlite3 that can load extensions")


def test_as_an_automatic_extension():
    """Every connection that the program then opens has it; opening it is no error."""
    automatic(READONLY, 1)
    automatic("sqlite3_bge_init", 0)


def automatic(entry, code):
    """`code` is what bge_load gives."""
    run_python(f"""
import ctypes
lib, ours = SystemSqlite.load(), ctypes.CDLL({PATH + ".so"!r})
assert lib.sqlite3_auto_extension(ctypes.cast(ours.{entry}, ctypes.c_void_p)) == 0
for _ in range(2):
    db = ctypes.c_void_p()
    assert lib.sqlite3_open(b":memory:", ctypes.byref(db)) == 0
    for sql, code in ((b"SELECT bge_dims(x'0000803f')", 0), (b"SELECT bge_load('m', 'tiny-bert')", {code})):
        assert lib.sqlite3_exec(db, sql, None, None, None) == code
    assert lib.sqlite3_close(db) == 0
""")
