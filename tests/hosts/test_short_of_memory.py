"""A host that runs out of memory at any point of a session: an error or the right result, never a
crash, and everything works again once there is memory.

BGE_TEST_EVERY_ALLOCATION=1 fails every allocation of the session instead of some thousand (some ten
minutes).
"""

import os
import re

import pytest
from support import EXTENSION, HERE, READONLY, blob, connect, run, run_python

HOW = "every" if os.environ.get("BGE_TEST_EVERY_ALLOCATION") else "some"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    built = tmp_path_factory.mktemp("short") / "short_of_memory"
    done = run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", built, HERE / "short_of_memory.c", "-lsqlite3"])
    assert done.returncode == 0, done.stderr
    return built


def check(program, folder, script, entry=""):
    done = run([program, EXTENSION, HERE / script, entry, HOW], cwd=folder, timeout=1800)
    *faults, last = done.stdout.splitlines() or [""]
    assert done.returncode == 0 and not faults, "\n".join([*faults, last])
    statements, allocations, runs = map(int, re.fullmatch(
        r"done: (\d+) statements, (\d+) allocations, (\d+) runs, 0 faults", last).groups())
    # Whether allocations were counted, and made to fail, at all.
    assert allocations > 100 * statements and runs > 60 * statements


def test_no_allocation_that_fails_does_harm(program, tmp_path):
    check(program, tmp_path, "short_of_memory.sql")


def test_nor_with_the_read_only_entry_point(program, tmp_path):
    db = connect(database=tmp_path / "indexed.db")
    db.execute("CREATE VIRTUAL TABLE given USING bge(a, tag UNINDEXED, content='')")
    for n, tag in enumerate(["en", "de", "en"], 1):
        db.execute("INSERT INTO given(rowid, tag, embedding) VALUES (?, ?, ?)", (n, tag, blob(n, 1, 0)))
    db.close()
    check(program, tmp_path, "short_of_memory_readonly.sql", READONLY)


# --- memory of ours, which an input decides ------------------------------------------------------

LIMITED = """
import resource
def limit(mebibytes):
    with open("/proc/self/statm") as f:
        pages = int(f.read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (mebibytes << 20),) * 2)
db = connect()
def is_refused(sql, *arguments):
    try:
        db.execute(sql, arguments).fetchall()
    except (MemoryError, apsw.NoMemError) as error:
        return True
    return False
"""


@pytest.mark.parametrize("sql", [
    "SELECT length(bge_to_json(zeroblob(300000000)))", "SELECT length(bge_normalize(zeroblob(300000000)))",
    "INSERT INTO t(a) VALUES (zeroblob(300000000))", "SELECT rowid FROM t WHERE t MATCH zeroblob(300000000) AND k = 1"])
def test_a_result_or_a_copy_that_finds_no_memory_is_an_error(sql):
    """The BLOB itself has room, ours beside it has not. (Rust's own way is to end the process.)"""
    run_python(LIMITED + f"""
db.execute("CREATE VIRTUAL TABLE t USING bge(a)")
limit(450)
assert is_refused({sql!r})
assert value(db, "SELECT bge_dims(x'0000803f')") == 1
""")


def test_a_json_array_takes_no_more_than_its_text():
    """16 million elements, of which each would be 32 bytes as a value of the parser."""
    run_python(LIMITED + """
array = "[" + ",".join(["null"] * 6_000_000) + "]"
numbers = "[" + ",".join(["0"] * 16_000_000) + "]"
value(db, "SELECT bge_embed('', 'tiny-bert')")  # the model is loaded, with its threads and their memory
limit(200)
assert value(db, "SELECT length(bge_from_json(?))", numbers) == 64_000_000
each = db.execute("SELECT text FROM bge_embed_each(?, 'tiny-bert')", (array,))
assert next(each)[0] is None
""")
