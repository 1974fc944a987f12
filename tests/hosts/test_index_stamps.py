"""Codes in memory are those of the version that a statement sees (docs/decisions/12-tables-of-an-index.md): after rollbacks to a savepoint, on two
connections, in two processes, after fork(), with a small cache and with none, from many threads at once.

The index holds more given vectors than are needed for codes to be made; a plain table beside it, written in the same
transactions, holds the same vectors. Every search must answer what sorting that table answers.
"""

import json
import random
import threading

import apsw
import pytest
from support import blob, connect, run_python, value

ROWS, DIMS = 9_300, 32
NEAREST = "SELECT rowid, distance FROM v WHERE v MATCH ? AND k = 10"
SORTED = "SELECT id, 1 - bge_cosine(e, ?1) FROM plain ORDER BY 2, 1 LIMIT 10"
SETUP = f"""
import random, sys
sys.path.insert(0, {str(__import__("support").HERE)!r})
import test_index_stamps as t
"""


def vector(chance):
    return blob(*(chance.gauss(0, 1) for _ in range(DIMS)))


def near(chance, query):
    """A vector so near to the query that it must come first."""
    return blob(*(x + chance.gauss(0, 0.01) for x in memoryview(query).cast("f")))


def put(db, rowid, new):
    """Writes one vector to both; None deletes it."""
    db.execute("DELETE FROM plain WHERE id = ?", (rowid,))
    if new is None:
        db.execute("DELETE FROM v WHERE rowid = ?", (rowid,))
        return
    db.execute("INSERT INTO plain VALUES (?, ?)", (rowid, new))
    if value(db, "SELECT count(*) FROM v WHERE rowid = ?", rowid):
        db.execute("UPDATE v SET embedding = ? WHERE rowid = ?", (new, rowid))
    else:
        db.execute("INSERT INTO v(rowid, embedding) VALUES (?, ?)", (rowid, new))


def check(db, query):
    """The index answers what sorting answers; gives the rowid that is nearest."""
    got, wanted = list(db.execute(NEAREST, (query,))), list(db.execute(SORTED, (query,)))
    assert [row for row, _ in got] == [row for row, _ in wanted]
    assert [d for _, d in got] == pytest.approx([d for _, d in wanted], abs=1e-6)
    return got[0][0]


def make(database, storage="f32", rows=ROWS, journal="wal"):
    db = connect(database=database)
    db.execute(f"PRAGMA journal_mode = {journal}")
    chance = random.Random(7)
    with db:
        db.execute(f"CREATE VIRTUAL TABLE v USING bge(body, model='tiny-bert', storage={storage});"
                   "CREATE TABLE plain(id INTEGER PRIMARY KEY, e)")
        for rowid in range(1, rows + 1):
            new = vector(chance)
            db.execute("INSERT INTO plain VALUES (?, ?)", (rowid, new))
            db.execute("INSERT INTO v(rowid, embedding) VALUES (?, ?)", (rowid, new))
    chunks = rows // 1024 if rows >= 8192 else 0
    assert json.loads(value(db, "SELECT bge_status('v')"))["codes"]["chunks"] == chunks
    db.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("stamps") / "made.db"
    make(path)
    return path


@pytest.fixture
def file(made, tmp_path):
    """A copy of the made file (the WAL was taken in when its connection was closed)."""
    path = tmp_path / "v.db"
    path.write_bytes(made.read_bytes())
    return path


def intact(db):
    db.execute("INSERT INTO v(v) VALUES ('integrity-check')")


def test_rollback_to_a_savepoint_and_other_writes(connect, file):
    db, chance = connect(database=file), random.Random(1)
    for step in range(40):
        query, rowid = vector(chance), chance.randint(1, ROWS)
        db.execute("BEGIN" if step % 2 else "SAVEPOINT outer")
        check(db, query)
        db.execute("SAVEPOINT s")
        put(db, rowid, near(chance, query))
        assert check(db, query) == rowid
        db.execute("ROLLBACK TO s")
        assert check(db, query) != rowid
        other = rowid % ROWS + 1
        put(db, other, near(chance, query))
        assert check(db, query) == other
        db.execute("ROLLBACK TO s")
        put(db, rowid, None)
        check(db, query)
        db.execute(["COMMIT", "ROLLBACK"][step // 2 % 2] if step % 2 else "RELEASE outer")
        check(db, query)
    intact(db)


def test_random_histories_of_savepoints(connect, file):
    db, chance = connect(database=file), random.Random(2)
    depth, ids = 0, ROWS
    for step in range(600):
        what = chance.random()
        if what < 0.5:
            kind = chance.random()
            if kind < 0.4:
                ids += 1
            put(db, ids if kind < 0.4 else chance.randint(1, ids), None if kind > 0.75 else vector(chance))
        elif what < 0.6 and depth < 5:
            depth += 1
            db.execute(f"SAVEPOINT s{depth}")
        elif what < 0.7 and depth:
            to = chance.randint(1, depth)
            if chance.random() < 0.5:
                db.execute(f"ROLLBACK TO s{to}")
                depth = to
            else:
                db.execute(f"RELEASE s{to}")
                depth = to - 1
        elif what < 0.72 and depth:
            db.execute(chance.choice(["ROLLBACK", "COMMIT"]))
            depth = 0
        else:
            check(db, vector(chance))
    intact(db)


def test_uncommitted_changes_are_seen_by_their_own_connection_only(connect, file):
    one, two = connect(database=file), connect(database=file)
    chance = random.Random(3)
    for step in range(20):
        query, rowid = vector(chance), chance.randint(1, ROWS)
        before = check(two, query)
        one.execute("BEGIN")
        put(one, rowid, near(chance, query))
        assert check(one, query) == rowid
        assert check(two, query) == before
        assert check(one, query) == rowid
        one.execute("ROLLBACK" if step % 2 else "COMMIT")
        assert check(one, query) == check(two, query) == (before if step % 2 else rowid)


def test_a_snapshot_keeps_its_codes_while_others_commit(connect, file):
    reader, writer = connect(database=file), connect(database=file)
    chance = random.Random(4)
    queries = [vector(chance) for _ in range(5)]
    reader.execute("BEGIN")
    before = [check(reader, query) for query in queries]
    for query in queries:
        put(writer, chance.randint(1, ROWS), near(chance, query))
        check(writer, query)
    writer.execute("INSERT INTO v(v) VALUES ('optimize')")
    for query in queries:
        check(writer, query)
    assert [check(reader, query) for query in queries] == before
    reader.execute("COMMIT")
    assert [check(reader, query) for query in queries] == [check(writer, query) for query in queries] != before


def test_another_process_writes(connect, file):
    db, chance = connect(database=file), random.Random(5)
    query = vector(chance)
    check(db, query)
    code = SETUP + """
db = t.connect(database=sys.argv[1])
query = bytes.fromhex(sys.argv[2])
t.check(db, query)
t.put(db, 17, t.near(random.Random(1), query))
assert t.check(db, query) == 17
"""
    run_python(code, file, query.hex())
    assert check(db, query) == 17
    intact(db)


def test_forked_children_search_and_write(file):
    """Each child has its own connection; both inherit the codes and the random state of their parent."""
    run_python(SETUP + """
import os
from support import connect
db, chance = connect(database=sys.argv[1]), random.Random(6)
queries = [t.vector(chance) for _ in range(8)]
for query in queries:
    t.check(db, query)
db.close()
children = []
for n in range(2):
    child = os.fork()
    if not child:
        mine = connect(database=sys.argv[1])
        mine.set_busy_timeout(20000)
        chance = random.Random(n)
        for i in range(12):
            query, rowid = t.vector(chance), chance.randint(1, t.ROWS)
            mine.execute("BEGIN IMMEDIATE")
            t.put(mine, rowid, t.near(chance, query))
            ok = t.check(mine, query) == rowid
            mine.execute("COMMIT" if i % 3 else "ROLLBACK")
            mine.execute("BEGIN")
            t.check(mine, queries[i % 8])
            mine.execute("COMMIT")
            if not ok:
                os._exit(1)
        mine.close()
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
db = connect(database=sys.argv[1])
for query in queries:
    t.check(db, query)
t.intact(db)
""", file)


@pytest.mark.parametrize("megabytes", ["0", "1", None, "nonsense", "-1"])
def test_results_do_not_depend_on_the_memory_for_codes(connect, file, megabytes):
    """0: nothing is kept. 1: the codes of 48,000 vectors do not fit in as a whole."""
    code = SETUP + """
from support import connect
import json
db, chance = connect(database=sys.argv[1]), random.Random(8)
if len(sys.argv) > 2:
    with db:
        for rowid in range(t.ROWS + 1, 48_000):
            t.put_new(db, rowid, t.vector(chance))
for step in range(12):
    query = t.vector(chance)
    t.check(db, query)
    with db:
        t.put(db, chance.randint(1, t.ROWS), t.near(chance, query) if step % 3 else None)
    t.check(db, query)
    print([r for r, in db.execute("SELECT rowid FROM v WHERE v MATCH ? ORDER BY distance LIMIT 30", (query,))])
held = t.value(db, "SELECT bge_status('v') ->> '$.codes.bytes_in_memory'")
limit = sys.argv[2] if len(sys.argv) > 2 else ""
assert limit not in ("0", "1") or held <= int(limit) << 20, held
"""
    extra = [megabytes] if megabytes in ("0", "1") else []
    printed = run_python(code, file, *extra, env={"BGE_CODES_MB": megabytes})
    assert printed.count("\n") == 12
    intact(connect(database=file))


def put_new(db, rowid, new):
    db.execute("INSERT INTO plain VALUES (?, ?)", (rowid, new))
    db.execute("INSERT INTO v(rowid, embedding) VALUES (?, ?)", (rowid, new))


@pytest.mark.parametrize("storage", ["f16", "int8"])
def test_other_storages(connect, tmp_path, storage):
    """Distances are those of the stored vectors, so they are compared with the embeddings that the index gives back."""
    file = tmp_path / "s.db"
    make(file, storage)
    db, chance = connect(database=file), random.Random(9)
    exact = "SELECT rowid FROM v ORDER BY bge_cosine(embedding, ?) DESC LIMIT 10"
    for _ in range(4):
        query, rowid = vector(chance), chance.randint(1, ROWS)
        db.execute("SAVEPOINT s")
        put(db, rowid, near(chance, query))
        assert [r for r, _ in db.execute(NEAREST, (query,))] == [r for r, in db.execute(exact, (query,))]
        db.execute("ROLLBACK TO s")
        assert [r for r, _ in db.execute(NEAREST, (query,))] == [r for r, in db.execute(exact, (query,))]
        db.execute("RELEASE s")


def test_threads_search_and_write_at_once(file):
    """Every thread on its own connection; each checks itself inside of one snapshot."""
    failures = []

    def work(n):
        try:
            db, chance = connect(database=file), random.Random(n)
            db.set_busy_timeout(20_000)
            for step in range(25):
                query, rowid = vector(chance), chance.randint(1, ROWS)
                writes = n < 2
                db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                check(db, query)
                if writes:
                    put(db, rowid, near(chance, query))
                    assert check(db, query) == rowid
                db.execute("ROLLBACK" if step % 4 == 0 else "COMMIT")
            db.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_rows_may_go_while_a_search_is_being_read(connect, file):
    """The search goes on with what is left; it does not call the index damaged."""
    db, chance = connect(database=file), random.Random(10)
    for _ in range(3):
        query, seen, gone = vector(chance), [], set()
        db.execute("BEGIN")
        for rowid, in db.execute("SELECT rowid FROM v WHERE v MATCH ? ORDER BY distance LIMIT 400", (query,)):
            assert rowid not in gone
            seen.append(rowid)
            for other in (chance.randint(1, ROWS) for _ in range(20)):
                if other not in seen:
                    gone.add(other)
                    db.execute("DELETE FROM v WHERE rowid = ?", (other,))
        assert len(seen) == len(set(seen)) == 400
        db.execute("ROLLBACK")
    intact(db)


def test_two_indexes_in_one_process(connect, file, tmp_path):
    """A copy of a file has the same stamps as the file, until one of the two changes."""
    copy = tmp_path / "copy.db"
    copy.write_bytes(file.read_bytes())
    one, two, chance = connect(database=file), connect(database=copy), random.Random(11)
    for _ in range(5):
        query = vector(chance)
        assert check(one, query) == check(two, query)
        a, b = chance.sample(range(1, ROWS), 2)
        put(one, a, near(chance, query))
        put(two, b, near(chance, query))
        assert (check(one, query), check(two, query)) == (a, b)


def test_codes_are_made_and_given_up(connect, tmp_path):
    """Around the number of vectors at which codes are made, with holes, and down to nothing."""
    file, chance = tmp_path / "few.db", random.Random(12)
    make(file, rows=8_180)
    db = connect(database=file)
    for rowid in range(8_181, 8_200):
        put(db, rowid, vector(chance))
        check(db, vector(chance))
    assert value(db, "SELECT count(*) FROM v_codes") == 8
    intact(db)
    with db:
        for rowid in range(1, 8_200, 2):
            put(db, rowid, None)
    check(db, vector(chance))
    with db:
        for rowid in range(20_000, 20_900):
            put_new(db, rowid, vector(chance))
    check(db, vector(chance))
    intact(db)
    db.execute("INSERT INTO v(v) VALUES ('optimize')")
    check(db, vector(chance))
    intact(db)
    with db:
        db.execute("DELETE FROM v")
        db.execute("DELETE FROM plain")
    assert list(db.execute(NEAREST, (vector(chance),))) == []
    put(db, 5, vector(chance))
    assert check(db, vector(chance)) == 5
    with pytest.raises(apsw.SQLError):
        db.execute("INSERT INTO v(v) VALUES ('rebuild')")  # a row with a vector and no text
