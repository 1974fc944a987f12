"""A host that runs out of memory at any point of a session: an error or the right result, never a
crash, and everything works again once there is memory.

BGE_TEST_EVERY_ALLOCATION=1 fails every allocation of the session instead of some thousand (some ten
minutes).
"""

import os
import re

import pytest
from support import EXTENSION, HERE, run

HOW = "every" if os.environ.get("BGE_TEST_EVERY_ALLOCATION") else "some"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    built = tmp_path_factory.mktemp("short") / "short_of_memory"
    done = run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", built, HERE / "short_of_memory.c", "-lsqlite3"])
    assert done.returncode == 0, done.stderr
    return built


def test_no_allocation_that_fails_does_harm(program):
    done = run([program, EXTENSION, HERE / "short_of_memory.sql", "", HOW], timeout=1800)
    *faults, last = done.stdout.splitlines() or [""]
    assert done.returncode == 0 and not faults, "\n".join([*faults, last])
    statements, allocations, runs = map(int, re.fullmatch(
        r"done: (\d+) statements, (\d+) allocations, (\d+) runs, 0 faults", last).groups())
    # Whether allocations were counted, and made to fail, at all.
    assert statements > 40 and allocations > 100 * statements and runs > 100 * statements
