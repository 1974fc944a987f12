"""A search, a sync and every command interrupted at each point in turn: SQLITE_INTERRUPT or the right result, nothing
half-written, and no transaction left open. (That long work stops soon is test_interrupt.py's.)"""

import random

import apsw
import pytest
from support import blob, connect, value

INTERRUPT = 9
QUERY = blob(*[0.5] * 32)
SEARCHES = {
    "a search": "SELECT rowid, distance, passage FROM docs_bge WHERE docs_bge MATCH 'reset the device' ORDER BY distance LIMIT 9",
    "a search with filters": "SELECT rowid FROM own WHERE own MATCH 'reset the device' AND lang = 'en' AND k = 5",
    "a scan": "SELECT rowid, body, embedding FROM docs_bge",
    "integrity-check": "INSERT INTO docs_bge(docs_bge) VALUES ('integrity-check')",
}
WRITES = {
    "bge_sync": "SELECT bge_sync('docs_bge')",
    "sync as a command": "INSERT INTO docs_bge(docs_bge) VALUES ('sync')",
    "bge_sync of an index that keeps text": "SELECT bge_sync('own')",
    "rebuild": "INSERT INTO docs_bge(docs_bge) VALUES ('rebuild')",
    "optimize": "INSERT INTO own(own) VALUES ('optimize')",
    "a write": "INSERT INTO own(body, lang) SELECT body || ' again', 'xx' FROM docs WHERE id < 9",
    "a delete": "DELETE FROM own WHERE rowid < 12",
    "vectors": "UPDATE docs_bge SET embedding = x'" + QUERY.hex() + "' WHERE rowid < 9",
    "RENAME": "ALTER TABLE docs_bge RENAME TO other",
    "DROP": "DROP TABLE own",
}


@pytest.fixture
def db(connect, tmp_path):
    db, chance = connect(database=tmp_path / "i.db"), random.Random(1)
    words = "reset your password machine learning how do i love nlp device".split()
    with db:
        db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body, lang);"
                   "CREATE VIRTUAL TABLE docs_bge USING bge(body, lang UNINDEXED, content='docs', model='tiny-bert');"
                   "CREATE VIRTUAL TABLE own USING bge(body, lang UNINDEXED, model='tiny-bert')")
        for n in range(1, 31):
            for table in ("docs(id", "own(rowid"):
                db.execute(f"INSERT INTO {table}, body, lang) VALUES (?, ?, ?)",
                           (n, " ".join(chance.choices(words, k=6)), chance.choice(["en", "de"])))
    for index in ("docs_bge", "own"):
        value(db, "SELECT bge_sync(?)", index)
    db.execute("UPDATE docs SET body = 'changed ' || id WHERE id > 20; DELETE FROM docs WHERE id = 3;"
               "UPDATE own SET body = 'changed ' || rowid WHERE rowid > 20; UPDATE own SET lang = 'fr' WHERE rowid = 1")
    return db


def state(db):
    """All that the file holds, but for stamps, which are random."""
    tables = [name for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%' ORDER BY 1")]
    rows = {name: list(db.execute(f"SELECT * FROM {name}")) for name in tables if name != "sqlite_sequence"}
    for name in rows:
        if name.endswith("_config"):
            rows[name] = [row for row in rows[name] if row[0] not in ("stamp", "generation")]
    return rows


def stopped_at(db, point, sql, flag=False):
    """Runs with a progress handler that says stop at its call number `point`, for once; with `flag` it calls
    sqlite3_interrupt, which holds until all statements have ended. The rows, None if it was interrupted; and whether it
    came so far."""
    calls = 0

    def stop():
        nonlocal calls
        calls += 1
        if flag and calls == point:
            db.interrupt()
        return not flag and calls == point

    db.set_progress_handler(stop, 3)
    try:
        return list(db.execute(sql)), calls >= point
    except apsw.InterruptError as error:
        assert error.result == INTERRUPT
        return None, True
    except apsw.SQLError as error:
        # SQLite's own ALTER TABLE parses the schema, and gives an interruption in there as an error of the schema.
        assert flag and "RENAME" in sql and str(error).endswith(": interrupted"), error
        return None, True
    finally:
        db.set_progress_handler(None)


def points():
    """Each of the first, then growing steps: long work has thousands."""
    point = 1
    while True:
        yield point
        point += max(1, point // 12)


@pytest.mark.parametrize("what", SEARCHES)
def test_reading_is_interrupted_anywhere(db, what):
    sql, stops = SEARCHES[what], 0
    wanted, before = list(db.execute(sql)), state(db)
    for point in points():
        rows, reached = stopped_at(db, point, sql)
        assert rows in (None, wanted)
        stops += rows is None
        assert db.get_autocommit()
        if not reached:
            break
    assert stops > 20
    assert list(db.execute(sql)) == wanted and state(db) == before


@pytest.mark.parametrize("flag", [False, True], ids=["once", "until all ends"])
@pytest.mark.parametrize("transaction", [False, True], ids=["alone", "in a transaction"])
@pytest.mark.parametrize("what", WRITES)
def test_writing_is_interrupted_anywhere(db, tmp_path, what, transaction, flag):
    """What was done before stays or goes as a whole: afterwards the file is as before, or as after, or (bge_sync) a step on."""
    sql, stops, good = WRITES[what], 0, (tmp_path / "i.db").read_bytes()
    before = state(db)
    list(db.execute(sql))
    after = state(db)
    db.close()
    for point in points():
        (tmp_path / "i.db").write_bytes(good)
        db = connect(database=tmp_path / "i.db")
        if transaction:
            db.execute("BEGIN; CREATE TABLE mine(x); INSERT INTO mine VALUES (1)")
        rows, reached = stopped_at(db, point, sql, flag)
        stops += rows is None
        if transaction:
            # SQLite may have rolled all of it back; otherwise it is as the statement has left it.
            if not db.get_autocommit():
                db.execute("ROLLBACK" if rows is None else "COMMIT")
            db.execute("DROP TABLE IF EXISTS mine")
            now = state(db)
        else:
            assert db.get_autocommit(), f"point {point}: a transaction is left open"
            now = state(db)
        if rows is not None:
            assert now == after, f"point {point}"
        elif "bge_sync" in sql:
            index = sql.split("'")[1]
            db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
            value(db, "SELECT bge_sync(?)", index)
            assert state(db) == after, f"point {point}"
        else:
            # SQLite also asks once more when it has committed, and then says INTERRUPT of what is done.
            assert now in (before, after), f"point {point}"
        assert value(db, "PRAGMA integrity_check") == "ok", f"point {point}"
        db.close()
        if not reached:
            break
    assert stops > 10
