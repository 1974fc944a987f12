"""Numbers in a damaged file are no bounds: whatever stands in the shadow tables, a statement ends soon, the file does not grow
by what it claims, and memory neither. What is noticed is SQLITE_CORRUPT_VTAB.
"""

import functools
import json
import os
import random
import resource
import signal
import time
import traceback

import apsw
import pytest
from support import blob, connect, run_python, stopped_after, value

CORRUPT_VTAB = 11 | 1 << 8
SECONDS = 5
HUGE = [10**6, 10**9, 10**12, 2**62, 2**63 - 1]


def in_a_child(test):
    """Runs a test in a forked process that has 60 s and 2 GB more than now: what does not end, or takes all memory, fails it."""
    @functools.wraps(test)
    def run(*arguments, **named):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            status = 1
            try:
                now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (now + (2 << 30),) * 2)
                test(*arguments, **named)
                status = 0
            except BaseException:
                os.write(writing, traceback.format_exc()[-4000:].encode())
            os._exit(status)
        os.close(writing)
        ends = time.monotonic() + 60
        while not (done := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < ends:
            time.sleep(0.02)
        if not done[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        with open(reading, "rb") as told:
            words = told.read().decode(errors="replace")
        assert done[0], "it does not end in 60 s"
        assert done[1] == 0, f"status {done[1]}\n{words}"
    return run


def vector(chance, dims=12):
    return blob(*(chance.gauss(0, 1) for _ in range(dims)))


@pytest.fixture(scope="module", params=["small", "coded"])
def made(request, tmp_path_factory):
    """An index of 200 vectors, one of 8,300 with codes and a few holes."""
    path = tmp_path_factory.mktemp("bounded") / "v.db"
    db, chance = connect(database=path), random.Random(1)
    with db:
        db.execute("CREATE VIRTUAL TABLE v USING bge(body, content='')")
        for rowid in range(1, (200 if request.param == "small" else 8_300) + 1):
            db.execute("INSERT INTO v(rowid, embedding) VALUES (?, ?)", (rowid, vector(chance)))
        db.execute("DELETE FROM v WHERE rowid IN (7, 9, 100)")
    db.close()
    return request.param, path.read_bytes()


class Damaged:
    """A copy of the file with some damage, and statements on it that may fail but must end."""

    def __init__(self, made, folder):
        self.kind, data = made
        self.file = folder / "v.db"
        self.file.write_bytes(data)
        self.size, self.chance = len(data), random.Random(2)
        self.db = connect(database=self.file)

    def damage(self, sql, *arguments):
        self.db.execute(sql, arguments)
        assert self.db.changes() > 0, sql

    def run(self, sql, *arguments):
        """The rows, or the error."""
        try:
            with stopped_after(self.db, SECONDS):
                return list(self.db.execute(sql, arguments))
        except apsw.InterruptError:
            raise AssertionError(f"{sql} does not end in {SECONDS} s") from None
        except apsw.Error as error:
            message = str(error)
            assert "panic" not in message.lower() and "internal" not in message.lower(), f"{sql}: {message}"
            if "damaged" in message:
                assert error.extendedresult == CORRUPT_VTAB
            return error

    def everything(self):
        """What may be done with an index; what integrity-check said."""
        said = self.run("INSERT INTO v(v) VALUES ('integrity-check')")
        self.run("SELECT rowid FROM v(?, 5)", vector(self.chance))
        self.run("SELECT count(*) FROM v")
        json.loads(self.run("SELECT bge_status('v')")[0][0])
        self.run("SELECT bge_sync('v')")
        for n in range(3):
            self.run("INSERT INTO v(rowid, embedding) VALUES (?, ?)", 50_000 + n, vector(self.chance))
        self.run("UPDATE v SET embedding = ? WHERE rowid = 3", vector(self.chance))
        self.run("DELETE FROM v WHERE rowid IN (4, 50000)")
        self.run("INSERT INTO v(v) VALUES ('optimize')")
        self.run("SELECT rowid FROM v(?, 5)", vector(self.chance))
        self.run("INSERT INTO v(v) VALUES ('integrity-check')")
        return said

    def check_size(self, most=1 << 20):
        grown = self.file.stat().st_size - self.size
        assert grown < most, f"the file grew by {grown} bytes"
        assert value(self.db, "PRAGMA integrity_check(1)") is not None


@pytest.mark.parametrize("number", HUGE + [-1, -10**12, -2**63])
@in_a_child
def test_a_chunk_of_any_number(made, tmp_path, number):
    """integrity-check went from 0 to max(chunk)."""
    damaged = Damaged(made, tmp_path)
    if damaged.kind == "coded":
        damaged.damage("UPDATE v_codes SET chunk = ? WHERE chunk = (SELECT max(chunk) FROM v_codes)", number)
    else:
        damaged.damage("INSERT INTO v_codes(chunk, stamp, used, live, codes) VALUES (?, 1, 0, zeroblob(128), zeroblob(15360))", number)
    said = damaged.everything()
    assert isinstance(said, apsw.Error) and said.extendedresult == CORRUPT_VTAB
    damaged.check_size()


@pytest.mark.parametrize("number", HUGE + [-1, -2**63])
@in_a_child
def test_a_slot_of_any_number(made, tmp_path, number):
    damaged = Damaged(made, tmp_path)
    damaged.damage("UPDATE v_passages SET slot = ? WHERE slot = (SELECT max(slot) FROM v_passages)", number)
    damaged.everything()
    damaged.check_size()


@pytest.mark.parametrize("number", [10**6, 10**9, 2**53])
@in_a_child
def test_inserts_behind_a_slot_of_any_number_write_no_empty_chunks(made, tmp_path, number):
    """1,100 inserts behind slot 1,000,000 wrote 967 chunks."""
    damaged = Damaged(made, tmp_path)
    damaged.damage("UPDATE v_passages SET slot = ? WHERE slot = (SELECT max(slot) FROM v_passages)", number)
    before = value(damaged.db, "SELECT count(*) FROM v_codes")
    damaged.db.execute("BEGIN")
    for n in range(1_100):
        damaged.run("INSERT INTO v(rowid, embedding) VALUES (?, ?)", 60_000 + n, vector(damaged.chance))
    damaged.db.execute("COMMIT")
    # As many as the vectors fill, and one that is filled in part at each end.
    assert value(damaged.db, "SELECT count(*) FROM v_codes") <= before + 4
    assert value(damaged.db, "SELECT count(*) FROM v_codes WHERE used = 0") == 0
    damaged.check_size()


# Named: a test's name is made of its arguments, and kept in a file.
CONTENTS = {"used 2^62": ("used", 2**62), "used -5": ("used", -5), "used 0": ("used", 0), "live 16 MB of ones": ("live", b"\xff" * (16 << 20)),
            "live 16 MB of zeros": ("live", bytes(16 << 20)), "live empty": ("live", b""), "live NULL": ("live", None),
            "codes 16 MB": ("codes", bytes(16 << 20)), "codes empty": ("codes", b""), "codes text": ("codes", "text"), "stamp text": ("stamp", "text"),
            "stamp NULL": ("stamp", None)}


@pytest.mark.parametrize("content", CONTENTS)
@in_a_child
def test_a_chunk_of_any_content(made, tmp_path, content):
    column, given = CONTENTS[content]
    damaged = Damaged(made, tmp_path)
    if damaged.kind == "small":
        return  # it has no chunks
    damaged.damage(f"UPDATE v_codes SET {column} = ?, used = CASE ?1 WHEN used THEN used ELSE 1000 END WHERE chunk = 2" if column != "used" else
                   "UPDATE v_codes SET used = ? WHERE chunk = 2", given)
    size = damaged.file.stat().st_size
    damaged.everything()
    assert damaged.file.stat().st_size < size + (1 << 20)


@pytest.mark.parametrize("key", ["dims", "free", "generation", "stamp", "seed", "scan", "format", "z", "chunk_tokens", "overlap"])
@in_a_child
def test_a_setting_of_any_number(made, tmp_path, key):
    damaged = Damaged(made, tmp_path)
    for given in (2**63 - 1, -2**63, 2**20, 10**12, 1e308, "text", b"", None):
        damaged.db.execute("BEGIN")
        damaged.db.execute("REPLACE INTO v_config(k, v) VALUES (?, ?)", (key, given))
        damaged.everything()
        damaged.db.execute("ROLLBACK" if not damaged.db.get_autocommit() else "SELECT 1")
    damaged.check_size()


def test_memory_is_bounded_by_what_is_there(made, tmp_path):
    """In a process of its own, whose memory is looked at: 300 MB are far more than the file."""
    kind, data = made
    (tmp_path / "v.db").write_bytes(data)
    printed = run_python("""
import resource, test_index_bounded as t
from pathlib import Path
class Args: pass
data = Path(sys.argv[2]).read_bytes()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
folder = Path(sys.argv[2]).parent / "work"
folder.mkdir()
first = None
for sql in ("SELECT 1", "UPDATE v_passages SET slot = 1000000000 WHERE slot = (SELECT max(slot) FROM v_passages)",
            "REPLACE INTO v_config VALUES ('dims', 1048576)", "REPLACE INTO v_config VALUES ('free', 1000000000000)",
            "REPLACE INTO v_codes(chunk, stamp, used, live, codes) VALUES (1000000000, 1, 0, zeroblob(128), zeroblob(15360))",
            "UPDATE v_passages SET start = 0, stop = 9223372036854775807", "UPDATE v_rows SET id = 9223372036854775807 - id",
            "UPDATE v_passages SET row = 5"):
    one = t.Damaged((sys.argv[1], data), folder)
    one.db.execute(sql)
    one.everything()
    one.db.close(True)
    first = first or peak()
    assert peak() < first + 300, f"{sql}: {first} -> {peak()} MB"
print("done")
""", kind, tmp_path / "v.db", timeout=300)
    assert printed == "done\n"
