"""Faults that a review of the sources found, each with the query that showed it."""

import json

import apsw
import pytest
from support import DIST, TINY, run_python, value


@pytest.mark.parametrize("where", ["idx = 0 OR start = 5", "tokens = 0 OR chunk = 'hello world'"])
def test_a_plan_that_lacks_the_argument_is_never_taken(any_host, where):
    """SQLite plans one side of an OR by itself, without the function's argument."""
    sql = f"SELECT idx FROM bge_chunks('hello world', 512, 0, '{TINY}') WHERE {where}"
    assert any_host.rows(sql) == [[0]]


@pytest.mark.parametrize("count", [15, 16, 20, 40])
def test_many_terms_beside_the_argument(any_host, count):
    """SQLite checks the argument again itself where there are 16 terms before it."""
    terms = " AND ".join(f"start >= {-n}" for n in range(count))
    sql = f"SELECT idx FROM bge_chunks('hello world', 512, 0, '{TINY}') WHERE {terms}"
    assert any_host.rows(sql) == [[0]]


def test_arguments_can_be_read_back(db):
    sql = "SELECT text, max_tokens, model FROM bge_chunks('hello', 9, 0, ?)"
    assert list(db.execute(sql, (TINY,))) == [("hello", 9, TINY)]


def test_an_interruption_before_the_first_question_is_heard(db):
    db.create_scalar_function("interrupt_now", lambda: db.interrupt(), 0)
    text = "some words, and more. " * 20_000
    with pytest.raises(apsw.InterruptError):
        db.execute("SELECT coalesce(interrupt_now(), bge_tokens(?, ?))", (text, TINY)).fetchall()
    assert value(db, "SELECT bge_tokens('a', ?)", TINY) == 3


def test_loading_twice_inside_a_statement(db):
    db.enable_load_extension(True)
    db.execute("SELECT load_extension(?)", (str(DIST / "libbge"),)).fetchall()
    assert value(db, "SELECT bge_tokens('a', ?)", TINY) == 3


def test_the_hosts_own_result_code_passes_through_bge_batch(db, tmp_path):
    other = apsw.Connection(str(tmp_path / "other.db"))
    other.execute("CREATE TABLE docs(id, body)")
    db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),)).fetchall()
    db.execute("SELECT count(*) FROM other.docs").fetchall()
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(apsw.BusyError):
        db.execute("SELECT * FROM bge_batch('SELECT id, body FROM other.docs', ?)", (TINY,)).fetchall()


def test_a_path_that_is_not_utf8_does_not_trouble_the_doctor():
    run_python("""
import os, json
os.environb[b"BGE_MODELS"] = b"/data/\\xff"
assert json.loads(value(connect(), "SELECT bge_info()"))["model"]["looked_at"]
""")


def test_a_chinese_text_of_megabytes_is_cut_where_the_model_is_full(db):
    text = "\u6211\u559c\u6b22\u673a\u5668\u5b66\u4e60" * 20_000
    ids = json.loads(value(db, "SELECT bge_tokenize(?, ?)", text, TINY))
    assert len(ids) == 512 and ids == json.loads(value(db, "SELECT bge_tokenize(?, ?)", text[:2000], TINY))
    assert value(db, "SELECT bge_tokens(?, ?)", text, TINY) == len(text) + 2
