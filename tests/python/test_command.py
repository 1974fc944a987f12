"""The command `sqlite-bge` and the plugin of sqlite-utils, as a person runs them."""

import contextlib
import csv
import io
import json
import signal
import sqlite3
import subprocess
import time

import pytest
import sqlite_bge
import support
from sqlite_bge.connecting import open_database
from sqlite_bge.indexes import IndexProblem
from sqlite_bge.making import Wanted, create_index
from support import sqlite_bge_command as command

NO_MODEL = {"BGE_MODELS": None, "HF_HUB_CACHE": "/nowhere"}


def sqlite_utils(*arguments, **options):
    return support.run(support.BIN / "sqlite-utils", *arguments, **options)


def test_info_says_that_it_works():
    said = command("info").stdout
    assert f"sqlite-bge  {sqlite_bge.__version__}" in said and sqlite_bge.loadable_path() in said
    assert "a text has become a vector of 384 dimensions" in said
    assert json.loads(command("info", "--json").stdout)["version"] == sqlite_bge.__version__


def test_info_without_a_model_names_the_places_and_the_way(tmp_path):
    done = command("info", env=support.environment(**NO_MODEL), code=1)
    assert "NOT FOUND; looked at" in done.stdout and "beside the extension" in done.stdout
    assert "sqlite-bge download" in done.stderr


def test_models_says_which_are_here():
    models = {model["name"]: model for model in json.loads(command("models", "--json").stdout)}
    assert models[support.MODEL]["folder"] == str(support.MODELS / support.MODEL)
    assert models[support.MODEL]["dims"] == 384
    assert models["bge-m3"]["folder"] is None
    assert support.MODEL in command("models").stdout.splitlines()[1]


def test_version():
    assert command("--version").stdout.strip() == sqlite_bge.__version__


def test_index_and_search(desk):
    done = command("index", desk, "desk", "title", "body")
    assert done.stdout == "desk_bge: 3 rows, 3 of them new or changed\n" and "3/3" in done.stderr
    said = command("search", desk, "desk", "how do I reset my device?", "-k", "2").stdout
    assert said.startswith("1. 0.61  row 1\n   Router Hold the small button")
    assert said.count("row ") == 2


@pytest.mark.parametrize("name", ["desk", "DESK", "desk_bge"])
def test_search_gives_json(indexed, name):
    rows = json.loads(command("search", indexed, name, "vacation", "--json", "-k", "1").stdout)
    assert [(row["rowid"], row["id"], row["title"]) for row in rows] == [(3, 3, "Holidays")]
    assert rows[0]["passage"].startswith("Holidays\nRequests") and 0.5 < rows[0]["score"] < 0.8


def test_search_gives_csv(indexed):
    rows = list(csv.reader(io.StringIO(command("search", indexed, "desk", "invoice", "--csv").stdout)))
    assert rows[0] == ["rowid", "score", "passage", "id", "title", "body"] and rows[1][4] == "Invoice" and len(rows) == 4


def test_index_again_embeds_what_changed(indexed):
    with contextlib.closing(sqlite3.connect(indexed)) as db, db:
        db.execute("UPDATE desk SET body = 'Badges for the garage are handed out at the front desk' WHERE id = 2")
    assert command("index", indexed, "desk", "title", "body").stdout == "desk_bge: 3 rows, 1 of them new or changed\n"
    assert command("search", indexed, "desk", "where can I park", "-k", "1").stdout.startswith("1. ")


def test_an_index_of_its_own_text(tmp_path):
    path = tmp_path / "own.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        sqlite_bge.load(db)
        db.execute("CREATE VIRTUAL TABLE memos USING bge(body)")
        db.execute("INSERT INTO memos(body) VALUES ('The cat sleeps on the sofa')")
        db.commit()
    assert json.loads(command("search", path, "memos", "a pet at rest", "--json").stdout)[0]["body"].startswith("The cat")


def test_a_file_that_may_not_be_written_is_searched(indexed):
    indexed.chmod(0o444)
    indexed.parent.chmod(0o555)
    try:
        assert command("search", indexed, "desk", "reset").stdout.startswith("1. ")
    finally:
        indexed.parent.chmod(0o755)


def test_names_that_need_quotes(tmp_path):
    path = tmp_path / "a b.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("""CREATE TABLE "it's a ""table"" "(id INTEGER PRIMARY KEY, "the body" TEXT)""")
        db.execute("""INSERT INTO "it's a ""table"" " VALUES (7, 'The cat sleeps')""")
    command("index", path, 'it\'s a "table" ', "the body")
    assert "row 7" in command("search", path, 'it\'s a "table" ', "pet").stdout


# --- what is wrong is said ----------------------------------------------------------------


@pytest.mark.parametrize("arguments, said", [
    (["search", "DB", "desk", "x"], "desk has no semantic index; `sqlite-bge index DB desk COLUMN...` makes one"),
    (["search", "DB", "nope", "x"], "there is no table nope; there are: desk"),
    (["search", "nowhere.db", "desk", "x"], "there is no database nowhere.db"),
    (["search", "DB", "desk", "x", "-k", "0"], "-k is 0, expected a number of rows, at least 1"),
    (["search", "DB", "desk", "x", "-k", "99999999999999999999"], "-k is 99999999999999999999, expected a number of rows, at least 1 and at most"),
    (["search", "DB", "desk_\udcff", "x"], "b'desk_\\xff' is no text in UTF-8"),
    (["index", "DB", "desk", "b\udcffdy"], "b\\xffdy"), (["index", "DB", "desk", "body", "--name", "\udcff"], "b'\\xff'"),
    (["index", "DB", "desk", "nope"], "nope"), (["index", "DB", "nope", "body"], "nope"),
    (["index", "DB", "desk", "body", "--model", "no-such"], "no model 'no-such' found"),
    (["download", "no-such"], "'no-such' is not in the catalogue; it has: bge-small-en-v1.5"),
])
def test_what_is_wrong_is_said(desk, arguments, said):
    done = command(*[desk if word == "DB" else word for word in arguments], code=1)
    assert said in done.stderr


@pytest.mark.parametrize("damage", ["ALTER TABLE desk_bge_rows RENAME COLUMN problem TO lost", "DROP TABLE desk_bge_rows"])
def test_an_index_that_cannot_be_read_is_said(indexed, damage):
    with contextlib.closing(sqlite3.connect(indexed)) as db, db:
        db.execute(damage)
    assert "desk_bge cannot be read: " in command("index", indexed, "desk", "title", "body", code=1).stderr


def test_bytes_that_are_no_text_are_said(indexed):
    for program in (["sqlite-bge", "search"], ["sqlite-utils", "bge", "search"]):
        for words in (["x\udcff"], ["x", "--rank", "\udcff"]):
            done = support.run(support.BIN / program[0], *program[1:], indexed, "desk", *words, code=1)
            assert "is no text in UTF-8" in done.stderr and "\\xff" in done.stderr
    assert "is not in the range" in sqlite_utils("bge", "search", indexed, "desk", "x", "-n", "99999999999999999999", code=2).stderr


def test_another_index_of_that_name_is_not_replaced(indexed):
    done = command("index", indexed, "desk", "body", code=1)
    assert "there is an index desk_bge already, over title, body of desk; wanted: body of desk" in done.stderr
    assert command("index", indexed, "desk", "body", "--name", "bodies").returncode == 0
    assert command("search", indexed, "desk", "x").returncode == 0


def test_of_several_indexes_over_a_table_the_one_called_after_it_answers(desk):
    command("index", desk, "desk", "title", "--name", "a_titles")
    assert found(desk, "desk") == "Router", "there is one"
    command("index", desk, "desk", "title", "--name", "b_titles")
    said = command("search", desk, "desk", "x", code=1).stderr
    assert said == "desk has several indexes; name one of them: a_titles, b_titles\n"
    command("index", desk, "desk", "body", "--name", "DESK_BGE")
    with contextlib.closing(sqlite3.connect(desk)) as db, db:
        db.execute("UPDATE desk SET body = 'Nothing', title = 'None' WHERE id = 1")
        db.execute("UPDATE desk SET body = 'how do I reset my device?' WHERE id = 2")
    # By both words and meaning; the others' texts have none of them.
    assert found(desk, "Desk") == found(desk, "desk_bge") == "Invoice"
    sqlite_utils("bge", "sync", desk, "desk", "--silent")
    assert [one["pending"] for one in json.loads(sqlite_utils("bge", "info", desk).stdout)] == [0, 0, 0]


def found(path, table):
    return json.loads(command("search", path, table, "how do I reset my device?", "-k", "1", "--json").stdout)[0]["title"]


def test_names_are_compared_as_sqlite_compares_them(desk):
    command("index", desk, "DESK", "TITLE", "--name", "Titles")
    assert found(desk, "TITLES") == found(desk, "Desk") == "Router"
    assert command("index", desk, "desk", "title", "--name", "TITLES").stdout == "Titles: 3 rows, 0 of them new or changed\n"
    with contextlib.closing(sqlite3.connect(desk)) as db, db:  # two tables
        db.executescript("CREATE TABLE \"é\"(id INTEGER PRIMARY KEY, body); CREATE TABLE \"É\"(id INTEGER PRIMARY KEY, body)")
    command("index", desk, "é", "body")
    assert "É has no semantic index" in command("search", desk, "É", "x", code=1).stderr


def test_no_model_is_said_before_anything_is_made(desk):
    done = command("index", desk, "desk", "body", env=support.environment(**NO_MODEL), code=1)
    assert "no model 'bge-small-en-v1.5' found" in done.stderr and "sqlite-bge download" in done.stderr
    with contextlib.closing(sqlite3.connect(desk)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("desk",)]


@pytest.fixture
def many(desk):
    """A table whose words take more than a second to copy."""
    with contextlib.closing(sqlite3.connect(desk)) as db, db:
        db.execute("INSERT INTO desk(body) WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) "
                   "SELECT hex(randomblob(10)) || ' ' || hex(randomblob(10)) || ' ' || hex(randomblob(10)) FROM n")
    return desk


def test_a_signal_is_heard_while_words_are_copied(many):
    def ring(*_):
        raise TimeoutError

    with contextlib.closing(open_database(many)) as db:
        began = time.monotonic()
        create_index(db, "desk", Wanted(["body"]), "whole")
        whole = time.monotonic() - began
        db.execute("DROP TABLE whole")
        before = signal.signal(signal.SIGALRM, ring)
        try:
            began = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, whole / 4)
            with pytest.raises(IndexProblem, match="interrupted"):
                create_index(db, "desk", Wanted(["body"]))
            assert time.monotonic() - began < whole * 3 / 4
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert not db.in_transaction and db.execute("SELECT name FROM sqlite_master").fetchall() == [("desk",)]


def test_ctrl_c_while_an_index_is_made(many):
    journal = many.with_name(many.name + "-journal")
    # A shell's background job ignores SIGINT, and so would what it starts.
    with subprocess.Popen([support.BIN / "sqlite-bge", "index", many, "desk", "body"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        while not journal.exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)
    assert (process.returncode, *said) == (130, "", "interrupted; nothing half-made is left\n")
    with contextlib.closing(sqlite3.connect(many)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("desk",)]


@pytest.mark.parametrize("pages", [0, 5, 100])
def test_a_full_disk_is_said(desk, pages):
    """Where it ends the whole transaction, and where only the statement."""
    db = open_database(desk)
    with contextlib.closing(db):
        db.execute("INSERT INTO desk(body) WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) "
                   "SELECT hex(randomblob(100)) FROM n")
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + pages}")
        with pytest.raises(IndexProblem, match="disk is full"):
            create_index(db, "desk", Wanted(["body"]))
        assert not db.in_transaction and db.execute("SELECT name FROM sqlite_master").fetchall() == [("desk",)]
        db.execute("PRAGMA max_page_count = 10000")
        assert create_index(db, "desk", Wanted(["body"]))[0].name == "desk_bge"


@pytest.mark.parametrize("key", ["slug", "id", "Id"])
@pytest.mark.parametrize("options", [[], ["--filter", "the kind", "--storage", "f16", "--model", support.MODEL, "--words", "--name", "it's"]])
def test_a_table_without_integer_key_gets_lines_that_work(tmp_path, key, options):
    path = tmp_path / "slugs.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(f"""CREATE TABLE "the pages"({key} TEXT PRIMARY KEY, "a body" TEXT, number, "the kind" TEXT)""")
        db.executemany("""INSERT INTO "the pages" VALUES (?, ?, 1, 'k')""", support.ROWS)
    said = command("index", path, "the pages", "a body", *options, code=1).stderr
    lines = [line.strip() for line in said.splitlines() if line.startswith("  CREATE")]
    assert "the pages has no integer key" in said and len(lines) == 2
    with contextlib.closing(sqlite3.connect(path)) as db:
        for line in lines:
            db.executescript(line)
    words = support.shell_words(said.splitlines()[-1].removeprefix("then: "))
    command(*[path if word == "DB" else word for word in words[1:]])
    index = "it's" if options else "the pages_numbered_bge"
    found = json.loads(command("search", path, index, "reset my device", "--json", "-k", "1").stdout)
    assert found[0]["a body"] == support.ROWS[0][1]
    status = next(one for one in json.loads(sqlite_utils("bge", "info", path).stdout) if one["index"] == index)
    assert (status["storage"], status["content"]) == ("f16" if options else "f32", "the pages_numbered")
    with contextlib.closing(sqlite3.connect(path)) as db:
        sqlite_bge.load(db)
        filters = [name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (index,))]
    assert filters == (["a body", "the kind"] if options else ["a body"])


# --- sqlite-utils -------------------------------------------------------------------------


def test_sqlite_utils_indexes_searches_syncs_and_informs(desk):
    assert "3/3" in sqlite_utils("bge", "index", desk, "desk", "title", "body").stderr
    rows = json.loads(sqlite_utils("bge", "search", desk, "desk", "vacation", "-n", "1").stdout)
    assert rows[0]["title"] == "Holidays"
    assert rows == json.loads(sqlite_utils("bge", "search", desk, "desk", "vacation", "-n", "1", "--json").stdout)
    assert sqlite_utils("bge", "search", desk, "desk", "vacation", "--csv").stdout.startswith("rowid,score,passage,id,title,body")
    assert sqlite_utils("bge", "search", desk, "desk", "vacation", "--table").stdout.splitlines()[1].startswith("-------")
    # Its own commands write a database that has an index, too.
    sqlite_utils("insert", desk, "desk", "-", "--pk", "id", input='{"id": 4, "title": "Parking", "body": "The garage is open"}',
                 stdin=None)
    assert json.loads(sqlite_utils("bge", "info", desk).stdout)[0]["pending"] == 1
    sqlite_utils("bge", "sync", desk, "--silent")
    assert json.loads(sqlite_utils("bge", "info", desk).stdout)[0]["rows"] == 4
    assert json.loads(sqlite_utils(desk, "select rowid from desk_bge('where is my car', 1)").stdout) == [{"rowid": 4}]


@pytest.mark.parametrize("arguments, said", [
    (["search", "DB", "desk", "x"], "Error: desk has no semantic index"),
    (["sync", "DB", "nope"], "Error: there is no table nope"), (["index", "DB", "desk", "nope"], "nope")])
def test_sqlite_utils_says_what_is_wrong(desk, arguments, said):
    done = sqlite_utils("bge", *[desk if word == "DB" else word for word in arguments], code=1)
    assert said in done.stderr
