"""A host that runs out of memory at any point of a session: an error or the right result, never a
crash, and everything works again once there is memory.

BGE_TEST_EVERY_ALLOCATION=1 fails every allocation of the session instead of some thousand (some ten
minutes).
"""

import os
import re

import pytest
from support import EXTENSION, HERE, READONLY, blob, connect, run

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
