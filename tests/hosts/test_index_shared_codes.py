"""Codes in memory are shared by a process, and trusted no further than what they were read from: memory for them does not grow with
the number of versions, and what one file claims says nothing of another.
"""

import random
import shutil
import sqlite3

import pytest
from support import blob, connect, run_python, value

DIMS, ROWS = 12, 8_300
CHUNK_BYTES = 1024 * (3 + 12) + 128


def vector(chance, centre=0.0):
    return blob(*(chance.gauss(centre, 1) for _ in range(DIMS)))


def make(path, seed=1):
    db, chance = connect(database=path), random.Random(seed)
    with db:
        db.execute("CREATE VIRTUAL TABLE v USING bge(body, content=''); CREATE TABLE plain(id INTEGER PRIMARY KEY, e)")
        for rowid in range(1, ROWS + 1):
            new = vector(chance)
            db.execute("INSERT INTO v(rowid, embedding) VALUES (?, ?)", (rowid, new))
            db.execute("INSERT INTO plain VALUES (?, ?)", (rowid, new))
    assert value(db, "SELECT count(*) FROM v_codes") == 8
    db.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("codes") / "made.db"
    make(path)
    return path


def wanted(db, query, k=10, schema="main"):
    return list(db.execute(f"SELECT id, 1 - bge_cosine(e, ?1) AS d FROM {schema}.plain ORDER BY d, id LIMIT {k}", (query,)))


def found(db, query, k=10, schema="main"):
    return list(db.execute(f"SELECT rowid, distance FROM {schema}.v WHERE v MATCH ? AND k = {k}", (query,)))


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["commit", "rollback", "two connections", "reopen"])
def test_codes_of_old_versions_are_dropped(made, tmp_path, how):
    """300 rounds of an update and a search kept 300 versions of a chunk."""
    shutil.copy(made, tmp_path / "v.db")
    printed = run_python("""
import random, test_index_shared_codes as t
file, how = sys.argv[1:]
db, chance = connect(database=file), random.Random(1)
other = connect(database=file) if how == "two connections" else None
db.execute("PRAGMA synchronous = off")
held = lambda: value(db, "SELECT bge_status('v') ->> '$.codes.bytes_in_memory'")
for n in range(300):
    if how == "rollback":
        db.execute("BEGIN")
    db.execute("UPDATE v SET embedding = ? WHERE rowid = ?", (t.vector(chance), chance.randint(1, 8000)))
    t.found(db, t.vector(chance))
    if other:
        t.found(other, t.vector(chance))
    if how == "rollback":
        db.execute("ROLLBACK")
    if how == "reopen" and n % 20 == 0:
        db.close(True)
        db = connect(database=file)
    if n == 3:
        print(held())
print(held())
""", tmp_path / "v.db", how, timeout=180)
    first, last = map(int, printed.split())
    assert 0 < first
    # The version in use, and one or two that somebody may still read.
    assert last <= 3 * 8 * CHUNK_BYTES, f"{first} -> {last} bytes"


def test_many_indexes_share_one_bound(made, tmp_path):
    """Closed files leave nothing behind beyond the bound."""
    for n in range(12):
        shutil.copy(made, tmp_path / f"{n}.db")
    printed = run_python("""
import random, test_index_shared_codes as t
from pathlib import Path
chance = random.Random(1)
for file in sorted(Path(sys.argv[1]).glob("*.db")):
    db = connect(database=file)
    query = t.vector(chance)
    assert t.found(db, query) == t.wanted(db, query)
    print(value(db, "SELECT bge_status('v') ->> '$.codes.bytes_in_memory'"))
    db.close(True)
""", tmp_path, env={"BGE_CODES_MB": 1})
    assert all(0 <= int(held) <= 1 << 20 for held in printed.split())


# --- one file's codes, another's questions -------------------------------------------------------

# What somebody does to a copy, with stamps left as they were.
EDITS = {
    "codes of another chunk": ["UPDATE v_codes SET codes = (SELECT codes FROM v_codes WHERE chunk = 0) WHERE chunk > 0"],
    "nothing is live": ["UPDATE v_codes SET live = zeroblob(128), used = 0"],
    "no codes": ["UPDATE v_codes SET codes = zeroblob(length(codes))"],
    "another seed": ["UPDATE v_config SET v = v + 1 WHERE k = 'seed'"],
    "another centroid": ["UPDATE v_config SET v = zeroblob(length(v)) WHERE k = 'centroid'"],
    "fewer chunks": ["DELETE FROM v_codes WHERE chunk = 7"],
}


@pytest.fixture
def pair(made, tmp_path):
    intact, edited = tmp_path / "intact.db", tmp_path / "edited.db"
    shutil.copy(made, intact)
    shutil.copy(made, edited)
    return intact, edited


def edit(path, statements):
    plain = sqlite3.connect(path)
    for sql in statements:
        plain.execute(sql)
    plain.commit()
    plain.close()


def ask_both(first, second, right, chance, attach=False):
    """Searches in turn; the answers of `right` must be those of brute force. `second` is asked first."""
    if attach:
        one = two = connect(database=first)
        one.execute("ATTACH ? AS other", (str(second),))
        schemas = ("main", "other")
    else:
        one, two, schemas = connect(database=first), connect(database=second), ("main", "main")
    for _ in range(6):
        query = vector(chance)
        for db, schema, path in ((two, schemas[1], second), (one, schemas[0], first)):
            try:
                got = found(db, query, schema=schema)
            except Exception as error:
                assert path not in right, error
                continue
            if path in right:
                assert got == wanted(db, query, schema=schema), f"{path.name} was answered from the other file's codes"
    one.execute("INSERT INTO v(v) VALUES ('integrity-check')")
    for db in {one, two}:
        db.close(True)


@pytest.mark.parametrize("attach", [False, True])
@pytest.mark.parametrize("what", EDITS)
def test_an_edited_copy_says_nothing_of_the_intact_file(pair, what, attach):
    intact, edited = pair
    edit(edited, EDITS[what])
    ask_both(intact, edited, [intact], random.Random(3), attach)


def test_the_intact_file_says_nothing_of_a_copy_that_goes_its_own_way(pair):
    """The copy's vectors and codes change together; then somebody puts the old stamps back, the file's and the chunks'."""
    intact, edited = pair
    plain = sqlite3.connect(intact)
    stamps = plain.execute("SELECT stamp, chunk FROM v_codes").fetchall()
    [stamp] = plain.execute("SELECT v FROM v_config WHERE k = 'stamp'").fetchone()
    plain.close()
    db, chance = connect(database=edited), random.Random(4)
    with db:
        for rowid in range(1, 3_000):
            new = vector(chance, 0.5)
            db.execute("UPDATE v SET embedding = ? WHERE rowid = ?", (new, rowid))
            db.execute("UPDATE plain SET e = ? WHERE id = ?", (new, rowid))
    db.close()
    plain = sqlite3.connect(edited)
    plain.executemany("UPDATE v_codes SET stamp = ? WHERE chunk = ?", stamps)
    plain.execute("UPDATE v_config SET v = ? WHERE k = 'stamp'", (stamp,))
    plain.commit()
    plain.close()
    for first, second in ((intact, edited), (edited, intact)):
        ask_both(first, second, [intact, edited], chance)


def test_two_indexes_of_one_file_with_one_stamp(made, tmp_path):
    """Of two names; the second is a copy of the tables of the first, with other vectors."""
    path = tmp_path / "two.db"
    shutil.copy(made, path)
    db, chance = connect(database=path), random.Random(5)
    with db:
        db.execute("CREATE VIRTUAL TABLE w USING bge(body, content=''); CREATE TABLE plain_w(id INTEGER PRIMARY KEY, e)")
        for rowid in range(1, ROWS + 1):
            new = vector(chance, 0.2)
            db.execute("INSERT INTO w(rowid, embedding) VALUES (?, ?)", (rowid, new))
            db.execute("INSERT INTO plain_w VALUES (?, ?)", (rowid, new))
    db.execute("UPDATE w_codes SET stamp = (SELECT stamp FROM v_codes AS s WHERE s.chunk = w_codes.chunk)")
    db.execute("UPDATE w_config SET v = (SELECT v FROM v_config WHERE k = 'stamp') WHERE k = 'stamp'")
    for _ in range(6):
        query = vector(chance)
        assert found(db, query) == wanted(db, query)
        right = list(db.execute("SELECT id, 1 - bge_cosine(e, ?1) AS d FROM plain_w ORDER BY d, id LIMIT 10", (query,)))
        assert list(db.execute("SELECT rowid, distance FROM w WHERE w MATCH ? AND k = 10", (query,))) == right
    db.close(True)
