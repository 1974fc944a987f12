"""The recipe sql/change-model.sql: another model for an index that goes on answering.

The file is run as it stands, with the model of its step 1 in the place of one that is not here: in the sqlite3 shell, in
SQLite 3.38 and in the newest (from Python). The first index has the real model.
"""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import apsw
import pytest
from sessions import OldestSession
from support import EXTENSION, HERE, ROOT, SMALL, TINY, HostError, blob, connect, failure, run, value

RECIPE = (ROOT / "sql" / "change-model.sql").read_text(encoding="utf-8").replace("bge-base-en-v1.5", TINY)
ROWS = 90
NEAREST = "SELECT rowid, distance FROM docs_bge WHERE docs_bge MATCH ? AND k = 10"
QUESTION = "how do i reset the device"


def steps():
    """The parts of the recipe by the numbers of their headings, and the way back, out of its comment."""
    heads = list(re.finditer(r"^-- (\d)\. ", RECIPE, re.MULTILINE))
    ends = [head.start() for head in heads[1:]] + [len(RECIPE)]
    found = {int(head[1]): RECIPE[head.start():end] for head, end in zip(heads, ends)}
    back = found[3][found[3].index("-- Going back."):]
    found["back"] = "\n".join(line[5:] for line in back.splitlines() if line.startswith("--   "))
    assert list(found) == [0, 1, 2, 3, 4, "back"] and "RENAME" in found["back"]
    return found


STEPS = steps()


def statements(script):
    """The statements of a script, one by one."""
    some = ""
    for line in script.splitlines(keepends=True):
        some += line
        if sqlite3.complete_statement(some):
            yield some.strip()
            some = ""
    assert all(line.startswith("--") for line in some.split("\n") if line), some


def text_of(n):
    subjects = ["reset the device", "the bill on the payments page", "days off with the team", "machine learning and nlp"]
    return f"{subjects[n % 4]}, number {n}: " + "button page " * (n % 7)


@pytest.fixture(params=["wal", "delete"])
def journal(request):
    return request.param


@pytest.fixture
def file(tmp_path, request):
    """docs with docs_bge over it, in step; journal_mode=wal unless the test asks for another."""
    file = tmp_path / "d.db"
    db = connect(database=file)
    db.execute(f"PRAGMA journal_mode = {request.node.callspec.params.get('journal', 'wal') if hasattr(request.node, 'callspec') else 'wal'}")
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
    db.executemany("INSERT INTO docs VALUES (?, ?, ?)", [(n, f"Title {n}", text_of(n)) for n in range(1, ROWS + 1)])
    db.execute("CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs')")
    assert value(db, "SELECT bge_sync('docs_bge')") == ROWS
    db.close()
    return file


def shell(file, *commands, options=("-bail",)):
    """The machine's sqlite3 on a file, as the recipe's head says."""
    return run(["sqlite3", *options, "-batch", "-init", os.devnull, file, f".load '{EXTENSION}'", ".timeout 20000",
                *(command if command.startswith(".") else f"\n{command}" for command in commands)])  # what begins with - is an option


def patient(file):
    db = connect(database=file)
    db.set_busy_timeout(20_000)
    return db


def plain(file):
    """A connection without the extension."""
    db = apsw.Connection(str(file))
    db.set_busy_timeout(20_000)
    return db


def names(db):
    return {name for name, in db.execute("SELECT name FROM sqlite_schema")}


def is_as_made_anew(db, model=TINY, index="docs_bge"):
    """The index finds what one made anew with this model finds, at the same distances; and nothing is left to do."""
    assert value(db, f"SELECT bge_status('{index}') ->> '$.pending'") == 0
    assert value(db, f"SELECT bge_status('{index}') ->> '$.wrong'") == "[]"
    db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
    assert value(db, "PRAGMA integrity_check") == "ok"
    db.execute(f"CREATE VIRTUAL TABLE anew USING bge(title, body, content='docs', model='{model}')")
    value(db, "SELECT bge_sync('anew')")
    for question in (QUESTION, "where is my bill", "vacation"):
        found = [list(db.execute(f"SELECT rowid, distance, passage FROM {name}(?) ORDER BY distance, rowid", (question,)))
                 for name in (index, "anew")]
        rows = dict(db.execute("SELECT id, 1 FROM docs WHERE title IS NOT NULL OR body IS NOT NULL"))
        assert {row[0] for row in found[0]} == set(rows)
        assert found[0] == found[1], question
    db.execute("DROP TABLE anew")


def is_changed(file, model=TINY):
    db = patient(file)
    is_as_made_anew(db, model)
    left = {name for name in names(db) if "_old" in name or "_new" in name}
    assert not left, left
    db.close()


# --- the file as it stands -----------------------------------------------------------------------


def test_in_the_shell(tmp_path, file):
    """One process; each line says what is so."""
    recipe = tmp_path / "change-model.sql"
    recipe.write_text(RECIPE, encoding="utf-8")
    done = shell(file, f".read '{recipe}'")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"docs_bge|{SMALL}|{ROWS}|0" and lines[1] == f"0|{ROWS}"
    assert lines[-2:] == [f"{ROWS}|0", "0"], "the last step of two, and the sync of the swap"
    is_changed(file)


def test_in_the_oldest_and_the_newest(file, tmp_path):
    copy = tmp_path / "copy.db"
    shutil.copy(file, copy)
    oldest = OldestSession(file)
    answers = oldest.ask([(sql, {}) for sql in statements(RECIPE)])
    assert not [answer for answer in answers if isinstance(answer, HostError)], answers
    is_changed(file)
    for defensive in (0, 1):
        shutil.copy(copy, file)
        db = patient(file)
        db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, defensive)
        db.execute(RECIPE).fetchall()
        db.close()
        is_changed(file)


def test_step_by_step_each_in_a_process_of_its_own(file):
    for step in (0, 1, 1, 2, 2, 0, 3, 0):
        done = shell(file, STEPS[step])
        assert (done.returncode, done.stderr) == (0, ""), step
    assert done.stdout.splitlines() == [f"docs_bge_old|{SMALL}|{ROWS}|0", f"docs_bge|{TINY}|{ROWS}|0"]
    assert shell(file, STEPS[4]).stderr == ""
    is_changed(file)


WORDS = RECIPE.replace(f"content='docs', model='{TINY}'", f"content='docs', words=on, model='{TINY}'")


def with_words(file, ranking):
    """The first index has words and a default ranking."""
    db = patient(file)
    db.execute("DROP TABLE docs_bge; CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs', words=on)")
    db.execute("INSERT INTO docs_bge(docs_bge, rank) VALUES ('rank', ?)", (ranking,))
    value(db, "SELECT bge_sync('docs_bge')")
    db.close()


def test_the_default_ranking_and_the_words_go_with_the_name(tmp_path, file):
    assert WORDS != RECIPE
    with_words(file, "hybrid(0.3), mmr(0.5)")
    recipe = tmp_path / "change-model.sql"
    recipe.write_text(WORDS, encoding="utf-8")
    done = shell(file, f".read '{recipe}'")
    assert (done.returncode, done.stderr) == (0, "")
    db = patient(file)
    assert value(db, "SELECT bge_status('docs_bge') ->> '$.rank'").startswith("hybrid(weight = 0.3), mmr(0.5")
    assert value(db, "SELECT bge_status('docs_bge') ->> '$.model.name'") == TINY
    place = "SELECT by_words FROM docs_bge WHERE docs_bge MATCH 'number 77' AND rowid = 77"
    assert value(db, place) is not None, "the default ranking looks for words"
    db.execute("INSERT INTO docs_bge(docs_bge) VALUES ('integrity-check')")
    db.close()


@pytest.mark.parametrize("bail", [["-bail"], []], ids=["bail", "no bail"])
def test_a_default_that_the_new_index_cannot_have_swaps_nothing(tmp_path, file, bail):
    with_words(file, "hybrid")
    recipe = tmp_path / "change-model.sql"
    recipe.write_text(RECIPE, encoding="utf-8")
    done = shell(file, f".read '{recipe}'", options=bail)
    assert "this index has no words" in done.stderr and done.returncode != 0
    assert bail or "the new index cannot have the default ranking, so nothing was swapped" in done.stderr
    db = patient(file)
    assert value(db, "SELECT bge_status('docs_bge') ->> '$.model.name'") == SMALL and "docs_bge_old" not in names(db)
    db.close()


# --- what stays as it was where something is missing -----------------------------------------------


@pytest.mark.parametrize("bail", [["-bail"], []], ids=["bail", "no bail"])
def test_a_model_that_is_not_here_swaps_nothing(tmp_path, file, bail):
    recipe = tmp_path / "change-model.sql"
    recipe.write_text(RECIPE.replace(TINY, "not-here"), encoding="utf-8")
    before = list(patient(file).execute(NEAREST, (QUESTION,)))
    done = shell(file, f".read '{recipe}'", options=bail)
    assert "no model 'not-here' found" in done.stderr and done.returncode != 0
    if not bail:
        assert "the new index is not complete, so nothing was swapped: do step 2 again, then step 3" in done.stderr
    db = patient(file)
    assert list(db.execute(NEAREST, (QUESTION,))) == before
    assert {"docs_bge", "docs_bge_new"} <= names(db) and "docs_bge_old" not in names(db)
    assert value(db, "SELECT bge_status('docs_bge') ->> '$.model.name'") == SMALL
    db.close()
    recipe.write_text(RECIPE, encoding="utf-8")  # the model of step 1 is in the declaration: the index must go first
    assert shell(file, "DROP TABLE docs_bge_new", f".read '{recipe}'").stderr == ""
    is_changed(file)


def test_a_swap_that_would_take_long_is_refused(file):
    """Step 2 was left out, and in two seconds no machine embeds a million tokens."""
    db = patient(file)
    value(db, f"SELECT bge_embed('warm', '{SMALL}')")
    db.execute(STEPS[1].replace(TINY, SMALL))
    db.executemany("INSERT INTO docs(title, body) VALUES (?, ?)", [(f"Long {n}", f"{n}" + " the cable is in the box" * 80) for n in range(2000)])
    before = list(db.execute(NEAREST, (QUESTION,)))
    started = time.monotonic()
    error = failure(db, STEPS[3])
    assert time.monotonic() - started < 30
    assert isinstance(error, apsw.ConstraintError) and "nothing was swapped: do step 2 again" in str(error)
    assert db.get_autocommit() and "docs_bge_old" not in names(db)
    assert list(db.execute(NEAREST, (QUESTION,))) == before
    db.execute("DELETE FROM docs WHERE id > ?", (ROWS,))
    for step in (2, 3, 4):
        db.execute(STEPS[step]).fetchall()
    is_as_made_anew(db, SMALL)
    db.close()


def test_a_swap_that_is_taken_back(file):
    """ROLLBACK, and a rename alone in a savepoint: both indexes are as they were, in this connection and in another."""
    db, other = patient(file), patient(file)
    for step in (1, 2):
        db.execute(STEPS[step]).fetchall()
    before = [list(each.execute(NEAREST, (QUESTION,))) for each in (db, other)]
    swap = [sql for sql in statements(STEPS[3]) if "ALTER TABLE" in sql]
    db.execute("BEGIN")
    for sql in swap:
        db.execute(sql)
    swapped = list(db.execute(NEAREST, (QUESTION,)))
    assert swapped != before[0]
    db.execute("ROLLBACK")
    db.execute("BEGIN; SAVEPOINT s")
    for sql in swap:
        db.execute(sql)
    assert list(db.execute(NEAREST, (QUESTION,))) == swapped
    db.execute("ROLLBACK TO s; INSERT INTO docs VALUES (1000, 'new', 'reset the device'); COMMIT")
    for each in (db, other):
        assert value(each, "SELECT bge_status('docs_bge') ->> '$.model.name'") == SMALL
        assert value(each, "SELECT bge_status('docs_bge_new') ->> '$.pending'") == 1
        assert value(each, "SELECT bge_status('docs_bge') ->> '$.triggers'") == "on"
    db.execute("DELETE FROM docs WHERE id = 1000")
    value(db, "SELECT bge_sync('docs_bge')")
    assert [list(each.execute(NEAREST, (QUESTION,))) for each in (db, other)] == before
    is_as_made_anew(db, SMALL)
    db.close()
    other.close()


# --- readers and writers meanwhile ---------------------------------------------------------------


def test_readers_and_writers_go_on(file, journal):
    """One connection searches all the while: it sees no error, no empty result, and each result is wholly of one of the two
    models. Another writes, without the extension."""
    stop, seen, errors, written = threading.Event(), [], [], 0

    def read():
        db = patient(file)
        while not stop.is_set():
            try:
                db.execute("BEGIN")
                model = value(db, "SELECT bge_status('docs_bge') ->> '$.model.name'")
                rows = db.execute(NEAREST, (QUESTION,)).fetchall()
                own = db.execute("SELECT e.id, 1 - bge_cosine(x.embedding, bge_embed_query(?, ?)) FROM docs AS e "
                                 "JOIN docs_bge AS x ON x.rowid = e.id WHERE e.id IN (SELECT value FROM json_each(?))",
                                 (QUESTION, model, str([rowid for rowid, _ in rows if rowid <= ROWS]))).fetchall()
                db.execute("COMMIT")
                assert len(rows) == 10, rows
                found = dict(rows)
                for rowid, distance in own:
                    assert found[rowid] == pytest.approx(distance, abs=1e-5), (model, rowid)
                seen.append(model)
            except Exception as error:
                errors.append(error)
                stop.set()
        db.close()

    def write():
        nonlocal written
        db = plain(file)
        while not stop.is_set():
            # New rows only: a row that changes would wait for a sync in the first index.
            db.execute("INSERT INTO docs(title, body) VALUES (?, ?)", (f"New {written}", text_of(written)))
            db.execute("DELETE FROM docs WHERE id = (SELECT max(id) FROM docs WHERE id > ?) AND ? % 3 = 0", (ROWS, written))
            written += 1
            time.sleep(0.02)
        db.close()

    threads = [threading.Thread(target=read), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    db = patient(file)
    try:
        for step in (1, 2):
            for sql in statements(STEPS[step].replace("'docs_bge_new', 10", "'docs_bge_new', 0.1")):
                db.execute(sql).fetchall()
            time.sleep(0.3)
        before = len(seen)
        db.execute(STEPS[3]).fetchall()
        deadline = time.monotonic() + 20
        while len(seen) < before + 5 and not errors and time.monotonic() < deadline:
            time.sleep(0.05)
        db.execute(STEPS[4])
        time.sleep(0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors, errors
    assert written > 10 and seen == sorted(seen) and {SMALL, TINY} == set(seen), "first the one, then the other"
    value(db, "SELECT bge_sync('docs_bge')")
    is_as_made_anew(db)
    db.close()


def test_writes_are_noted_in_both(file):
    db = patient(file)
    for step in (1, 2):
        db.execute(STEPS[step]).fetchall()
    writer = plain(file)
    writer.execute("INSERT INTO docs VALUES (500, 'a', 'b'); UPDATE docs SET body = 'other' WHERE id = 7; DELETE FROM docs WHERE id = 8")
    pending = "SELECT bge_status(?) ->> '$.pending'"
    assert [value(db, pending, name) for name in ("docs_bge", "docs_bge_new")] == [3, 3]
    value(db, "SELECT bge_sync('docs_bge')")
    assert [value(db, pending, name) for name in ("docs_bge", "docs_bge_new")] == [0, 3]
    db.execute(STEPS[3]).fetchall()
    assert [value(db, pending, name) for name in ("docs_bge_old", "docs_bge")] == [0, 0]
    writer.execute("UPDATE docs SET body = 'more' WHERE id = 7")
    assert [value(db, pending, name) for name in ("docs_bge_old", "docs_bge")] == [1, 1]
    db.execute(STEPS[4])
    writer.execute("UPDATE docs SET body = 'and more' WHERE id = 7")
    value(db, "SELECT bge_sync('docs_bge')")
    is_as_made_anew(db)
    writer.close()
    db.close()


def test_statements_that_were_prepared_before(file):
    """A search of another connection, an INSERT in a host without the extension (apsw keeps and reuses its statements): both go
    on with the new index."""
    db, reader, writer = patient(file), patient(file), plain(file)
    for step in (1, 2):
        db.execute(STEPS[step]).fetchall()
    search, insert = "SELECT rowid, distance FROM docs_bge(?, 5)", "INSERT INTO docs(id, title, body) VALUES (?, 'Prepared', 'long before')"
    writer.execute(insert, (600,))
    value(db, "SELECT bge_sync('docs_bge')")
    before = list(reader.execute(search, (QUESTION,)))
    db.execute(STEPS[3]).fetchall()
    writer.execute(insert, (601,))
    after = list(reader.execute(search, (QUESTION,)))
    assert after == list(db.execute(search, (QUESTION,))) and after != before
    assert value(db, "SELECT count(*) FROM docs_bge_log WHERE id = 601") == 1
    db.execute(STEPS[4])
    writer.execute(insert, (602,))
    assert value(db, "SELECT bge_sync('docs_bge')") == 2
    assert list(reader.execute(search, (QUESTION,))) == list(db.execute(search, (QUESTION,)))
    assert [each.cache_stats()["hits"] > 0 for each in (reader, writer)] == [True, True]
    reader.close()
    writer.close()
    is_as_made_anew(db)
    db.close()


def test_views_and_triggers_of_the_user_mean_the_name(file):
    db = patient(file)
    db.execute("CREATE VIEW nearest AS SELECT rowid AS id, distance FROM docs_bge WHERE docs_bge MATCH 'reset the device' AND k = 5;"
               "CREATE TABLE inbox(x); CREATE TRIGGER on_inbox AFTER INSERT ON inbox BEGIN INSERT INTO docs_bge(docs_bge) VALUES ('sync'); END")
    for step in (1, 2, 3):
        db.execute(STEPS[step]).fetchall()
    direct = list(db.execute("SELECT rowid, distance FROM docs_bge WHERE docs_bge MATCH 'reset the device' AND k = 5"))
    assert list(db.execute("SELECT * FROM nearest")) == direct
    db.execute("UPDATE docs SET body = 'other' WHERE id = 3; INSERT INTO inbox VALUES (1)")
    pending = "SELECT bge_status(?) ->> '$.pending'"
    assert [value(db, pending, name) for name in ("docs_bge", "docs_bge_old")] == [0, 1]
    db.execute(STEPS[4])
    assert len(list(db.execute("SELECT * FROM nearest"))) == 5
    db.execute("ALTER TABLE inbox RENAME TO outbox")  # fails where a view names what is not there
    is_as_made_anew(db)
    db.close()


def test_going_back_and_forth(file):
    db = patient(file)
    for step in (1, 2, 3):
        db.execute(STEPS[step]).fetchall()
    db.execute("INSERT INTO docs VALUES (700, 'late', 'reset the device'); DELETE FROM docs WHERE id = 5")
    for sql in statements(STEPS["back"]):
        db.execute(sql).fetchall()
    assert "docs_bge_old" not in names(db)
    is_as_made_anew(db, SMALL)
    db.execute("INSERT INTO docs VALUES (701, 'later', 'the bill')")
    for step in (3, 4):
        db.execute(STEPS[step]).fetchall()
    is_as_made_anew(db)
    db.close()


def test_codes_in_memory_are_of_the_index_that_has_the_name(file):
    """Two indexes of as many dimensions, large enough for codes, and a connection that has searched the first. Their vectors are
    given: what made them does not matter here."""
    db, reader = patient(file), patient(file)
    db.execute("DROP TABLE docs_bge; CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs')")
    db.execute(STEPS[1])
    chance = random.Random(18)
    with db:
        db.executemany("INSERT INTO docs(id, title, body) VALUES (?, 'a', 'b')", [(n,) for n in range(ROWS + 1, 8401)])
        for index in ("docs_bge", "docs_bge_new"):
            vectors = [(n, blob(*(chance.gauss(0, 1) for _ in range(32)))) for n in range(1, 8401)]
            db.executemany(f"INSERT INTO {index}(rowid, embedding) VALUES (?, ?)", vectors)
    sql = "SELECT rowid, distance FROM docs_bge WHERE docs_bge MATCH ? ORDER BY distance LIMIT 20"
    exact = "SELECT rowid, 1 - bge_cosine(embedding, ?) FROM {} ORDER BY 2, 1 LIMIT 20"
    question = blob(*(chance.gauss(0, 1) for _ in range(32)))
    wanted = {index: db.execute(exact.format(index), (question,)).fetchall() for index in ("docs_bge", "docs_bge_new")}
    for index, steps in (("docs_bge", (2, 3)), ("docs_bge_new", ())):
        for each in (db, reader):
            found = each.execute(sql, (question,)).fetchall()
            assert [row for row, _ in found] == [row for row, _ in wanted[index]]
            assert [d for _, d in found] == pytest.approx([d for _, d in wanted[index]], abs=1e-6)
            assert value(each, "SELECT bge_status('docs_bge') ->> '$.codes.chunks'") == 8
        for step in steps:
            db.execute(STEPS[step]).fetchall()
    reader.close()
    db.close()


# --- killed anywhere -----------------------------------------------------------------------------

WORKER = """
db = connect(database=sys.argv[1])
db.set_busy_timeout(20000)
for sql in sys.stdin.read().split("\\n;;\\n"):
    for row in db.execute(sql):
        print(row, flush=True)
    print("done", flush=True)
"""


def killed(file, script, lines):
    """A process runs statements, and is killed when it has printed so many lines: rows, and ends of statements."""
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); from support import *\n{WORKER}"
    worker = subprocess.Popen([sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    worker.stdin.write("\n;;\n".join(script))
    worker.stdin.close()
    said = [worker.stdout.readline() for _ in range(lines)]
    assert worker.poll() is None, said
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    return said


def test_killed_while_it_embeds(file, journal):
    """Each time somewhere in the next row; what was committed stays, and step 2 goes on from there. Enough rows, and the slower
    model, so that no process has come to its end before it is killed."""
    db = patient(file)
    db.execute(STEPS[1].replace(TINY, SMALL))
    db.executemany("INSERT INTO docs(title, body) VALUES (?, ?)", [(f"T {n}", text_of(n)) for n in range(300)])
    left = [ROWS + 300]
    for rows in (1, 20, 2):
        said = killed(file, [STEPS[2].replace("'docs_bge_new', 10", "'docs_bge_new', 0")], 1 + rows)
        assert said[0] == f"(0, {left[-1]})\n" and said[-1] == f"(1, {left[-1] - rows})\n"
        left.append(value(db, "SELECT bge_status('docs_bge_new') ->> '$.pending'"))
        assert 0 < left[-1] <= left[-2] - rows and len(list(db.execute(NEAREST, (QUESTION,)))) == 10
    db.close()
    for step in (1, 2, 3, 4):
        assert shell(file, STEPS[step]).stderr == ""
    is_changed(file, SMALL)


def test_killed_in_the_middle_of_the_swap(file, journal):
    """After each statement of step 3 before its COMMIT: it is as if it had not begun, and can be done again."""
    db = patient(file)
    for step in (1, 2):
        db.execute(STEPS[step]).fetchall()
    db.execute("UPDATE docs SET body = 'reset it' WHERE id = 9")
    script = list(statements(STEPS[3]))
    begin, commit = script.index("BEGIN IMMEDIATE;"), script.index("COMMIT;")
    sync = next(n for n, sql in enumerate(script) if sql.startswith("SELECT bge_sync"))  # gives a row
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    for last in range(begin, commit):
        said = killed(file, [*script[:last + 1], endless], last + 1 + (last >= sync))
        assert said[-1] == "done\n", "it waits with its transaction open"
        assert "docs_bge_old" not in names(db)
        assert value(db, "SELECT bge_status('docs_bge') ->> '$.model.name'") == SMALL
        assert len(list(db.execute(NEAREST, (QUESTION,)))) == 10
    db.execute(STEPS[3]).fetchall()
    assert value(db, "SELECT bge_status('docs_bge') ->> '$.model.name'") == TINY
    db.close()
    assert shell(file, STEPS[4]).stderr == ""
    is_changed(file)
