"""`sync`: what is pending is embedded in steps, with a bar on standard error."""

import json
import sqlite3

import apsw
import pytest
import sqlite_bge


def status(db, index="notes_bge"):
    return json.loads(db.execute("SELECT bge_status(?)", (index,)).fetchall()[0][0])


@pytest.fixture(params=[sqlite3.connect, apsw.Connection], ids=["sqlite3", "apsw"])
def notes(request, tmp_path):
    db = request.param(str(tmp_path / "notes.db"))
    sqlite_bge.load(db)
    db.execute("CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)")
    db.execute("CREATE VIRTUAL TABLE notes_bge USING bge(body, content='notes')")
    db.execute("BEGIN")
    db.executemany("INSERT INTO notes(body) VALUES (?)", [(f"note number {n}",) for n in range(300)])
    db.execute("COMMIT")
    return db


def test_all_rows_are_embedded_and_the_bar_says_so(notes, capsys):
    assert sqlite_bge.sync(notes, "notes_bge") == 300
    assert status(notes)["rows"] == 300 and status(notes)["pending"] == 0
    shown = capsys.readouterr().err
    assert "notes_bge: 100%" in shown and "300/300" in shown


def test_without_progress_nothing_is_shown(notes, capsys):
    sqlite_bge.sync(notes, "notes_bge", progress=False)
    assert capsys.readouterr() == ("", "")


def test_nothing_pending_is_no_work(notes):
    sqlite_bge.sync(notes, "notes_bge", progress=False)
    assert sqlite_bge.sync(notes, "notes_bge", progress=False) == 0


def test_a_view_without_triggers_comes_to_an_end(notes):
    notes.execute("CREATE VIEW few AS SELECT id, body FROM notes WHERE id <= 40")
    notes.execute("CREATE VIRTUAL TABLE few_bge USING bge(body, content='few', content_rowid='id')")
    assert sqlite_bge.sync(notes, "few_bge", progress=False) == 40
    assert sqlite_bge.sync(notes, "few_bge", progress=False) == 0


def test_in_a_transaction_it_can_be_rolled_back(notes):
    notes.execute("BEGIN")
    sqlite_bge.sync(notes, "notes_bge", progress=False)
    assert status(notes)["rows"] == 300
    notes.execute("ROLLBACK")
    assert status(notes)["rows"] == 0 and status(notes)["pending"] == 300


def test_an_index_that_is_not_there_is_said(notes):
    with pytest.raises((sqlite3.OperationalError, apsw.SQLError), match="nope"):
        sqlite_bge.sync(notes, "nope")
