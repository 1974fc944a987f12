"""Faults that a reader of the index found, each as the smallest case of its kind."""

import json
import shutil
import threading
import time

import apsw
import pytest
from support import TINY, value
from support import connect as open_file


def status(db, name="t"):
    return json.loads(value(db, "SELECT bge_status(?)", name))


def check(db, name="t"):
    db.execute(f"INSERT INTO {name}({name}) VALUES ('integrity-check')")


def test_a_file_that_takes_another_s_place_has_codes_of_its_own(tmp_path):
    """The second has the number (inode) of the first, and its stamps."""
    good, evil, place = (tmp_path / f"{name}.db" for name in ("good", "evil", "place"))
    db = open_file(database=good)
    db.execute("CREATE VIRTUAL TABLE t USING bge(body, content='')")
    with db:
        db.executemany("INSERT INTO t(rowid, embedding) VALUES (?, bge_from_json(?))",
                       ((n, json.dumps([n % 97 + 1, n % 89 + 1, n % 83 + 1, n])) for n in range(1, 8300)))
    ask = "SELECT group_concat(rowid) FROM (SELECT rowid FROM t WHERE t MATCH bge_from_json('[9,1,4,900]') AND k = 8)"
    db.close()
    shutil.copy(good, evil)
    db = apsw.Connection(str(evil))
    db.execute("UPDATE t_codes SET live = zeroblob(128)")
    db.close()
    for source in (evil, good):
        place.write_bytes(source.read_bytes())  # in its place: the same file to the system
        db = open_file(database=place)
        found = value(db, ask)
        # Within a distance all vectors are read, whatever the codes say.
        expected = value(db, ask.replace("k = 8", "distance < 3 ORDER BY distance LIMIT 8"))
        db.close()
    assert found == expected


def test_an_index_that_is_made_anew_under_a_sync_gets_nothing_of_the_old_one(tmp_path):
    path = tmp_path / "a.db"
    one, other = open_file(database=path), open_file(database=path)
    one.execute("PRAGMA journal_mode = wal").fetchall()
    one.execute(f"CREATE VIRTUAL TABLE t USING bge(body, model='{TINY}', chunk_tokens=8, overlap=0)")
    one.execute("INSERT INTO t(body) VALUES (?)", (" ".join(f"router {n} button" for n in range(30_000)),))
    errors = []

    def sync():
        try:
            one.execute("SELECT bge_sync('t')").fetchall()
        except apsw.Error as error:
            errors.append(str(error))

    value(one, f"SELECT bge_embed('x', '{TINY}')")
    thread = threading.Thread(target=sync)
    thread.start()
    time.sleep(0.3)
    other.set_busy_timeout(20_000)
    with other:
        other.execute("DROP TABLE t")
        other.execute(f"CREATE VIRTUAL TABLE t USING bge(body, model='{TINY}', storage=int8)")
        other.execute("INSERT INTO t(body) VALUES ('a router')")
    thread.join()
    assert errors and "made anew" in errors[0], "the sync was over too soon"
    assert value(other, "SELECT bge_sync('t')") == 1
    check(other)


def test_of_two_rows_with_one_key_one_is_found(db):
    db.execute(f"""CREATE TABLE d(id, body); INSERT INTO d VALUES (1, 'the cat'), (1, 'the dog'), (2, 'the sun');
        CREATE VIEW v AS SELECT * FROM d; CREATE VIRTUAL TABLE t USING bge(body, content='v', content_rowid='id', model='{TINY}')""")
    assert value(db, "SELECT bge_sync('t')") == 2
    assert {row[0] for row in db.execute("SELECT rowid FROM t('a dog')")} == {1, 2}
    check(db)


def test_a_text_that_repeats_itself_gets_on_in_short_calls(db):
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, model='{TINY}', chunk_tokens=64, overlap=0)")
    db.execute("INSERT INTO t(body) VALUES (?)", ("device " * 10_000,))
    value(db, f"SELECT bge_embed('x', '{TINY}')")
    calls = 1
    while value(db, "SELECT bge_sync('t', 0)") == 0:
        calls += 1
        assert calls < 30
    assert calls > 1, "the text is too short"
    assert status(db)["pending"] == 0


@pytest.mark.parametrize("column", ["plain", "words", "number", "real"])
@pytest.mark.parametrize("member", ["value", "value + 0.5", "CAST('a' || value AS BLOB)", "'a' || value"])
def test_an_in_has_any_number_of_members(db, column, member):
    db.execute("""CREATE VIRTUAL TABLE t USING bge(body, plain UNINDEXED, words TEXT UNINDEXED, number INTEGER UNINDEXED,
                  real REAL UNINDEXED, content='')""")
    db.execute("CREATE TABLE o(plain, words TEXT, number INTEGER, real REAL)")
    for sql in ("INSERT INTO t(plain, words, number, real, embedding) VALUES (?1, ?1, ?1, ?1, bge_from_json('[1,2]'))",
                "INSERT INTO o VALUES (?1, ?1, ?1, ?1)"):
        db.executemany(sql, [(given,) for given in (3, 4.5, "5", "a6", b"a7", None, "08")])
    members = f"(SELECT {member} FROM generate_series(1, 3000))"
    if not list(db.execute("SELECT 1 FROM pragma_module_list WHERE name = 'generate_series'")):
        db.execute("CREATE TABLE members AS WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 3000) SELECT value FROM n")
        members = f"(SELECT {member} FROM members)"
    expected = {row[0] for row in db.execute(f"SELECT rowid FROM o WHERE {column} IN {members}")}
    found = {row[0] for row in db.execute(f"SELECT rowid FROM t WHERE t MATCH bge_from_json('[1,2]') AND {column} IN {members}")}
    assert found == expected


def test_columns_of_a_later_version_are_left_as_they_are(db):
    db.execute(f"CREATE TABLE docs(id INTEGER PRIMARY KEY, body); CREATE VIRTUAL TABLE t USING bge(body, content='docs', model='{TINY}')")
    db.execute("INSERT INTO docs VALUES (1, 'a router'), (2, 'a bill')")
    value(db, "SELECT bge_sync('t')")
    db.execute("ALTER TABLE t_rows ADD COLUMN later; UPDATE t_rows SET later = 'kept'")
    db.execute("UPDATE docs SET body = 'a bird' WHERE id = 1; INSERT INTO docs VALUES (3, 'a lamp')")
    assert value(db, "SELECT bge_sync('t')") == 2
    assert list(db.execute("SELECT id, later FROM t_rows")) == [(1, "kept"), (2, "kept"), (3, None)]
    check(db)


def test_an_index_of_any_name_is_checked(db):
    db.execute(f"""CREATE VIRTUAL TABLE "x{{rows}}y" USING bge(body, model='{TINY}'); INSERT INTO "x{{rows}}y"(body) VALUES ('a')""")
    value(db, "SELECT bge_sync('\"x{rows}y\"')")
    db.execute("""INSERT INTO "x{rows}y"("x{rows}y") VALUES ('integrity-check')""")
