"""The Datasette plugin over HTTP: what a visitor sees, and what a visitor cannot do."""

import contextlib
import json
import os
import shutil
import sqlite3
import time

import pytest
import sqlite_bge
import support
from serving import serving
from support import sqlite_bge_command as command

# Its passages are longer than what is shown of one; the last ones, whatever their length, are of something else.
LONG = "The restore of very long manuals takes patience and time. " * 400 + "Badges are at the front desk. " * 100
HTML = '<script>document.title = "pwned"</script><img src=x onerror="document.title=1"> & "quotes"'


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """desk.db: an indexed table with long texts and HTML, its index, one of its own text, an empty one, a plain table."""
    path = tmp_path_factory.mktemp("served") / "desk.db"
    support.write_desk(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        sqlite_bge.load(db)
        db.executemany("INSERT INTO desk(title, body) VALUES (?, ?)", [("Manual", LONG), (HTML, HTML)])
        db.execute("CREATE TABLE plain(id INTEGER PRIMARY KEY, x TEXT)")
        db.execute("CREATE TABLE empty(id INTEGER PRIMARY KEY, body TEXT)")
        db.execute("CREATE TABLE keyed(code TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, body TEXT)")
        db.execute("INSERT INTO keyed VALUES ('a/b', 7, 'The cat sleeps on the sofa')")
        db.commit()
        for sql in ("desk_bge USING bge(title, body, content='desk')", "empty_bge USING bge(body, content='empty')",
                    "keyed_bge USING bge(body, content='keyed', content_rowid='number')", "memos USING bge(body)"):
            db.execute(f"CREATE VIRTUAL TABLE {sql}")
        db.execute("INSERT INTO memos(body) VALUES ('The cat sleeps on the sofa')")
        db.commit()
        for index in ("desk_bge", "empty_bge", "keyed_bge", "memos"):
            sqlite_bge.sync(db, index, progress=False)
    return path


@pytest.fixture(scope="module")
def site(files):
    with serving(files) as served:
        yield served
    assert "cannot be searched" not in served.log


def test_the_nearest_rows_come_with_score_passage_and_link(site):
    rows, _ = site.search("desk", "how do I reset my device?")
    assert rows[0][0] == "/desk/desk/1" and rows[0][1] == 0.61 and rows[0][2].startswith("Router\nHold the small button")
    assert [score for _, score, _ in rows] == sorted((score for _, score, _ in rows), reverse=True) and len(rows) == 5


def test_of_several_indexes_over_a_table_the_one_called_after_it_answers(desk):
    command("index", desk, "desk", "title", "--name", "a_titles")
    command("index", desk, "desk", "body", "--name", "desk_bge")
    with serving(desk) as served:
        rows, _ = served.search("desk", "how do I reset my device?")
        assert rows[0][2].startswith("Hold the small button"), "the other one's passages are titles"


def test_a_long_text_shows_the_passage_shortened(site):
    rows, section = site.search("desk", "patience with manuals")
    assert rows[0][0] == "/desk/desk/4" and rows[0][2].endswith("…") and len(rows[0][2]) <= 400
    assert len(section) < 10_000


def test_html_in_the_data_and_in_the_query_is_text(site):
    rows, section = site.search("desk", HTML)
    assert rows[0][0] == "/desk/desk/5"
    for dangerous in ("<script", "<img", 'onerror="'):
        assert dangerous not in section
    assert "&lt;script&gt;" in section


@pytest.mark.parametrize("query", ["", "   "])
def test_an_empty_query_shows_the_box_alone(site, query):
    rows, section = site.search("desk", query)
    assert rows == [] and "No rows" not in section and 'name="_semantic"' in section


def test_no_results_are_said(site):
    rows, section = site.search("empty", "anything")
    assert rows == [] and "No rows were found." in section


@pytest.mark.parametrize("query", ["' OR 1=1 --", "\x00", "%", "émigré 日本", "a" * 2000, '"'])
def test_any_query_gives_an_answer(site, query):
    rows, section = site.search("desk", query)
    assert len(rows) == 5 or "message-error" in section


def test_a_table_without_index_has_no_box(site):
    assert "bge-search" not in site.get("/desk/plain")


def test_a_row_is_linked_by_its_primary_key_whatever_the_index_counts_by(site):
    rows, _ = site.search("keyed", "pet")
    assert rows[0][0] == "/desk/keyed/a~2Fb"
    assert "sofa" in site.get(rows[0][0])


def test_an_index_of_its_own_text_is_searched_on_its_own_page(site):
    rows, _ = site.search("memos", "a pet at rest")
    assert rows[0][2] == "The cat sleeps on the sofa"


def test_tables_behind_an_index_are_hidden(site):
    shown = {table["name"] for table in json.loads(site.get("/desk.json"))["tables"] if not table["hidden"]}
    assert shown == {"desk", "plain", "empty", "keyed", "memos"}


def test_the_other_arguments_of_the_page_work_beside_it(site):
    page = site.get("/desk/desk", _semantic="reset", _sort="title", id__gt="1")
    assert "bge-passage" in page and "4 rows" in page


# --- what a visitor cannot do -------------------------------------------------------------


def outcome(site, sql, status=400):
    answer = json.loads(site.get("/desk.json", status=status, sql=sql))
    return answer["rows"] if status == 200 else answer["error"]


@pytest.mark.parametrize("call", ["bge_load('x', 'bge-small-en-v1.5', '{\"graph_cache\": \"/tmp\"}')", "bge_unload('bge-small-en-v1.5')",
                                  "bge_sync('desk_bge')"])
def test_a_visitor_cannot_load_or_sync(site, call):
    assert outcome(site, f"select {call}").startswith("no such function: bge_")


def test_a_visitor_cannot_load_libraries(site):
    assert outcome(site, "select load_extension('/tmp/x')") == "not authorized"


def test_a_visitor_can_search_in_sql(site):
    assert outcome(site, "select rowid from desk_bge('reset my device', 1)", 200) == [[1]]


def test_the_first_search_after_the_start_keeps_datasettes_limit(files):
    """Loading the model takes longer than the limit that is set here; the start has done it."""
    with serving(files, "--setting", "sql_time_limit_ms", "150") as served:
        start = time.monotonic()
        rows, section = served.search("desk", "how do I reset my device?")
        assert rows and "took longer" not in section, section
        assert time.monotonic() - start < 3


def test_a_search_that_takes_too_long_says_so(files):
    with serving(files, "--setting", "sql_time_limit_ms", "1") as served:
        _, section = served.search("desk", "some new words " * 100)
        assert "the search took longer than 1 ms" in section


# --- files ---------------------------------------------------------------------------------


def test_an_immutable_file(files):
    before = files.read_bytes()
    with serving("--immutable", files) as served:
        assert served.search("desk", "vacation")[0][0][0] == "/desk/desk/3"
    assert files.read_bytes() == before and [p.name for p in files.parent.iterdir()] == ["desk.db"]


def test_a_file_that_may_not_be_written_with_rows_pending(files, tmp_path):
    copy = shutil.copy(files, tmp_path / "desk.db")
    with contextlib.closing(sqlite3.connect(copy)) as db, db:
        db.execute("INSERT INTO desk(title, body) VALUES ('Parking', 'Cars can be parked in the garage.')")
    os.chmod(copy, 0o444), os.chmod(tmp_path, 0o555)
    try:
        with serving(copy) as served:
            assert served.search("desk", "where can I park my car?")[0][0][0] == "/desk/desk/6"
    finally:
        os.chmod(tmp_path, 0o755)


def test_without_a_model_the_site_runs_and_says_what_is_missing(files):
    with serving(files, BGE_MODELS="/nowhere", HF_HUB_CACHE="/nowhere", XDG_DATA_HOME="/nowhere") as served:
        rows, section = served.search("desk", "vacation")
        assert rows == [] and "no model &#39;bge-small-en-v1.5&#39; found" in section and "sqlite-bge download" in section
        assert "Invoice" in served.get("/desk/desk")
    assert "desk.desk_bge cannot be searched" in served.log


def test_an_index_of_an_unknown_version_is_said(files, tmp_path):
    copy = shutil.copy(files, tmp_path / "desk.db")
    with contextlib.closing(sqlite3.connect(copy)) as db, db:
        db.execute("UPDATE desk_bge_config SET v = 99 WHERE k = 'format'")
    with serving(copy) as served:
        rows, section = served.search("desk", "vacation")
        assert rows == [] and "the index has format 99" in section
        assert "Invoice" in served.get("/desk/desk")


def test_an_index_made_while_it_runs_is_searched(files, tmp_path):
    copy = shutil.copy(files, tmp_path / "desk.db")
    with serving(copy) as served:
        assert "bge-search" not in served.get("/desk/plain")
        with contextlib.closing(sqlite3.connect(copy)) as db:
            sqlite_bge.load(db)
            db.execute("INSERT INTO plain(x) VALUES ('The cat sleeps')")
            db.execute("CREATE VIRTUAL TABLE plain_bge USING bge(x, content='plain')")
            db.commit()
            sqlite_bge.sync(db, "plain_bge", progress=False)
        assert served.search("plain", "pet")[0][0][0] == "/desk/plain/1"
        shown = {table["name"] for table in json.loads(served.get("/desk.json"))["tables"] if not table["hidden"]}
        assert "plain_bge_rows" not in shown


def test_datasettes_own_loading_of_the_restricted_entry_point(files):
    """As docs/HOSTS.md has it, for who does not install the plugin; here the plugin is there too, and both agree."""
    extension = f"{sqlite_bge.loadable_path()}:sqlite3_bge_readonly_init"
    with serving(files, "--load-extension", extension) as served:
        assert outcome(served, "select rowid from desk_bge('reset my device', 1)", 200) == [[1]]
        assert outcome(served, "select bge_load('x', 'y')") == "no such function: bge_load"
