"""Damaged shadow tables and files: no crash, no hang, no row that is not there; what is noticed is SQLITE_CORRUPT_VTAB with
words that say what; connecting, bge_status, RENAME, rebuild and DROP work.

Cases are seeded, and every failure names its own. A crash of the extension would end the test run itself.
"""

import json
import random

import apsw
import pytest
from support import blob, connect, failure, run_python, stopped_after, value

CORRUPT_VTAB = 11 | 1 << 8
DIMS, CODED = 32, 8_300
SHADOWS = ("config", "rows", "text", "passages", "codes", "log")
WORDS = "reset your password machine learning how do i love nlp device button bill page team".split()


def vector(chance, dims=DIMS):
    return blob(*(chance.gauss(0, 1) for _ in range(dims)))


def text(chance):
    return " ".join(chance.choices(WORDS, k=chance.randint(2, 9)))


def make_kinds(db, chance):
    """One index of each kind, in step but for some pending rows, and an ordinary table."""
    db.execute("""
        CREATE TABLE docs(id INTEGER PRIMARY KEY, body, lang);
        CREATE VIRTUAL TABLE over USING bge(body, lang UNINDEXED, content='docs', model='tiny-bert');
        CREATE VIRTUAL TABLE own USING bge(body, lang TEXT COLLATE NOCASE UNINDEXED, model='tiny-bert', storage=f16);
        CREATE VIRTUAL TABLE bare USING bge(body, lang UNINDEXED, content='', model='tiny-bert', storage=int8)""")
    for last, sync in ((24, True), (30, False)):
        for n in range(last - (23 if sync else 5), last + 1):
            row = (n, text(chance), chance.choice(["en", "de", None]))
            for table in ("docs(id", "own(rowid", "bare(rowid"):
                db.execute(f"INSERT INTO {table}, body, lang) VALUES (?, ?, ?)", row)
        if sync:
            for index in ("over", "own", "bare"):
                assert value(db, "SELECT bge_sync(?)", index) == 24
    db.execute("DELETE FROM docs WHERE id = 3; DELETE FROM own WHERE rowid = 3; DELETE FROM bare WHERE rowid = 3")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    path = tmp_path_factory.mktemp("damage") / "kinds.db"
    db = connect(database=path)
    make_kinds(db, random.Random(1))
    db.close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    path = tmp_path_factory.mktemp("damage") / "coded.db"
    db, chance = connect(database=path), random.Random(2)
    with db:
        db.execute("CREATE VIRTUAL TABLE v USING bge(body, model='tiny-bert')")
        for rowid in range(1, CODED + 1):
            db.execute("INSERT INTO v(rowid, embedding) VALUES (?, ?)", (rowid, vector(chance)))
        for rowid in range(1, 400, 7):
            db.execute("DELETE FROM v WHERE rowid = ?", (rowid,))
    assert value(db, "SELECT count(*) FROM v_codes") == 8
    db.close()
    return path.read_bytes()


def open_copy(data, file):
    for left in file.parent.glob(file.name + "*"):
        left.unlink()
    file.write_bytes(data)
    return connect(database=file)


# --- what is done with an index, damaged or not -----------------------------------------------------


class Attempts:
    """Statements on an index. Each may fail, but only with an error that says what is wrong, soon, and without a crash."""

    def __init__(self, db, index, content):
        self.db, self.index, self.content, self.errors = db, index, content, []

    def run(self, sql, *arguments):
        """The rows; None where it failed."""
        try:
            with stopped_after(self.db, 20):
                return list(self.db.execute(sql, arguments))
        except apsw.Error as error:
            assert not isinstance(error, apsw.InterruptError), f"{sql} does not end"
            self.judge(sql, error)
            return None

    def judge(self, sql, error):
        code, message = error.extendedresult, str(error)
        assert "panic" not in message.lower() and "internal" not in message.lower(), f"{sql}: {message}"
        assert len(message) > 15, f"{sql}: {message}"
        if "the index is damaged" in message:
            assert code == CORRUPT_VTAB, f"{sql}: {code} {message}"
        self.errors.append((code, message))

    def exist(self, rows):
        if rows:
            there = {rowid for rowid, in self.db.execute(f"SELECT {self.content[1]} FROM {self.content[0]}")}
            gone = {row[0] for row in rows} - there
            assert not gone, f"rows {gone} do not exist"
            assert len({row[0] for row in rows}) == len(rows), "a row was found twice"

    def read(self, query):
        t = self.index
        for sql in (f"SELECT rowid, distance FROM {t} WHERE {t} MATCH ? AND k = 5",
                    f"SELECT rowid, passage, embedding, score FROM {t} WHERE {t} MATCH ? ORDER BY distance LIMIT 7",
                    f"SELECT rowid, * FROM {t}(?) WHERE rowid > 2 AND distance < 1.5",
                    f"SELECT rowid, embedding FROM {t} WHERE {t} MATCH ? AND rowid IN (1, 2, 5, 9, 28)"):
            self.exist(self.run(sql, query))
        self.run(f"SELECT rowid, *, embedding FROM {t}")
        self.run(f"SELECT *, embedding FROM {t} WHERE rowid = 7")

    def status(self):
        shown = json.loads(value(self.db, "SELECT bge_status(?)", self.index))
        assert shown["index"] == self.index and isinstance(shown["wrong"], list)
        return shown

    def check(self):
        return self.run(f"INSERT INTO {self.index}({self.index}) VALUES ('integrity-check')")


def connects(db, index):
    db.execute(f"PRAGMA table_info({index})")
    assert db.execute(f"EXPLAIN SELECT rowid FROM {index} WHERE {index} MATCH 'x'").fetchall()


def drops(db, index, to="renamed"):
    """RENAME and DROP work, whatever is damaged, and leave nothing."""
    db.execute(f"ALTER TABLE {index} RENAME TO {to}")
    json.loads(value(db, "SELECT bge_status(?)", to))
    db.execute(f"DROP TABLE {to}")
    left = [name for name, in db.execute("SELECT name FROM sqlite_schema WHERE name GLOB ? OR name GLOB ?",
                                         (f"{index}_*", f"{to}_*"))]
    assert left == []


# --- values of shadow tables ------------------------------------------------------------------------


def damaged_value(chance, old):
    """Another value for a column."""
    kinds = [None, "", "text", 0, -1, 7, 2**62, -2**63, 2**63 - 1, 1.5, 1e300, -1e-300, float("inf"), b"", b"\0",
             b"\xff" * 16, bytes(200), "all", "[]", "{}"]
    if isinstance(old, bytes) and old and chance.random() < 0.7:
        how, at = chance.randrange(5), chance.randrange(len(old))
        if how == 0:
            return old[:at]
        if how == 1:
            return old + bytes(chance.choices(range(256), k=chance.randint(1, 40)))
        if how == 2:
            return bytes([*old[:at], old[at] ^ 1 << chance.randrange(8), *old[at + 1:]])
        if how == 3:
            return bytes(chance.choices(range(256), k=len(old)))
        return bytes([chance.choice([0, 255, 127])]) * len(old)
    if isinstance(old, int) and chance.random() < 0.5:
        return old + chance.choice([-1, 1, 1000, -1000, 1024, 2**40])
    return chance.choice(kinds)


def damage(db, index, chance):
    """Changes one thing in the shadow tables; says what."""
    tables = [t for t in SHADOWS if value(db, "SELECT count(*) FROM sqlite_schema WHERE name = ?", f"{index}_{t}")]
    how, suffix = chance.random(), chance.choice(tables)
    table = f"{index}_{suffix}"
    if how < 0.04:
        db.execute(f"DROP TABLE {table}")
        return f"DROP {table}"
    if how < 0.07:
        db.execute(f"DELETE FROM {table}")
        return f"DELETE FROM {table}"
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    rows = list(db.execute(f"SELECT {columns[0]} FROM {table} ORDER BY 1"))
    if not rows and suffix == "config":
        return "nothing"
    if not rows:
        db.execute(f"INSERT INTO {table} DEFAULT VALUES")
        return f"INSERT INTO {table}"
    key = chance.choice(rows)[0]
    if how < 0.2:
        db.execute(f"DELETE FROM {table} WHERE {columns[0]} = ?", (key,))
        return f"DELETE {table} {key!r}"
    column = chance.choice(columns[1:] * 3 + columns[:1])
    old = value(db, f"SELECT {column} FROM {table} WHERE {columns[0]} = ?", key)
    new = damaged_value(chance, old)
    try:
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {columns[0]} = ?", (new, key))
    except (apsw.ConstraintError, apsw.MismatchError):
        return f"nothing ({table}.{column})"
    return f"{table}.{column} of {key!r}: {str(old)[:40]!r} -> {str(new)[:40]!r}"


CONTENTS = {"over": ("docs", "id"), "own": ("own_text", "id"), "bare": ("bare_rows", "id"), "v": ("v_text", "id")}


def one_case(db, index, seed, query):
    chance = random.Random(f"{index} {seed}")
    done = [damage(db, index, chance) for _ in range(chance.choice([1, 1, 1, 2, 5]))]
    attempts = Attempts(db, index, CONTENTS[index])
    try:
        connects(db, index)
        attempts.status()
        try:
            list(db.execute(f"SELECT 1 FROM {CONTENTS[index][0]}"))
        except apsw.SQLError:
            attempts.exist = lambda rows: None  # the table that would tell is gone itself
        attempts.read(query if chance.random() < 0.5 or index == "v" else "reset the device")
        attempts.check()
        attempts.run("SELECT bge_sync(?)", index)
        if index == "over":
            # Noting needs the log alone.
            if "DROP over_log" not in done:
                db.execute("INSERT INTO docs(body) VALUES ('new')")
        else:
            attempts.run(f"INSERT INTO {index}(body) VALUES ('new')")
            attempts.run(f"INSERT INTO {index}(rowid, embedding) VALUES (?, ?)", 500_000, vector(chance))
            attempts.run(f"DELETE FROM {index} WHERE rowid = 2")
            attempts.run(f"UPDATE {index} SET body = 'other', embedding = ? WHERE rowid = 4", vector(chance))
        attempts.run(f"INSERT INTO {index}({index}) VALUES ('optimize')")
        attempts.read(query)
        attempts.status()
        if index == "over":
            db.execute(f"INSERT INTO {index}({index}) VALUES ('rebuild')")
            db.execute("SELECT bge_sync(?)", (index,))
            db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
            status = attempts.status()
            docs = value(db, "SELECT count(*) FROM docs")
            assert (status["rows"], status["pending"], status["wrong"]) == (docs, 0, [])
        drops(db, index)
    except Exception as error:
        raise AssertionError(f"{index} {seed}: {done}") from error
    return attempts


@pytest.mark.parametrize("index", ["over", "own", "bare"])
def test_any_value_may_be_damaged(kinds, tmp_path, index):
    chance, noticed = random.Random(3), 0
    db = open_copy(kinds, tmp_path / "k.db")
    for seed in range(130):
        db.execute("BEGIN")
        attempts = one_case(db, index, seed, vector(chance))
        noticed += any(code == CORRUPT_VTAB for code, _ in attempts.errors)
        db.execute("ROLLBACK")
    assert noticed > 25


@pytest.mark.parametrize("command", ["", "rebuild", "sync"])
def test_triggers_go_with_the_index_whatever_the_settings_say_of_them(kinds, tmp_path, command):
    for fate in (drops, lambda db, index: db.execute(f"DROP TABLE {index}")):
        db = open_copy(kinds, tmp_path / "k.db")
        db.execute("UPDATE over_config SET v = 0 WHERE k = 'triggers'")
        if command:
            db.execute("INSERT INTO over(over) VALUES (?)", (command,))
        fate(db, "over")
        db.execute("INSERT INTO docs(body) VALUES ('new')")
        db.close()


def test_any_value_of_an_index_with_codes_may_be_damaged(coded, tmp_path):
    chance, noticed = random.Random(4), 0
    db = open_copy(coded, tmp_path / "c.db")
    for seed in range(30):
        db.execute("BEGIN")
        attempts = one_case(db, "v", seed, vector(chance))
        noticed += any(code == CORRUPT_VTAB for code, _ in attempts.errors)
        db.execute("ROLLBACK")
    assert noticed > 5


def test_damage_is_found_by_connections_that_were_made_before_and_after(kinds, tmp_path):
    """In files, not in transactions: nothing in memory hides it or keeps it."""
    chance = random.Random(5)
    for seed in range(20):
        db = open_copy(kinds, tmp_path / "k.db")
        before = connect(database=tmp_path / "k.db")
        before.execute("SELECT rowid FROM own WHERE own MATCH 'reset'").fetchall()
        damage(db, "own", random.Random(f"own {seed}"))
        for connection in (before, connect(database=tmp_path / "k.db")):
            attempts = Attempts(connection, "own", CONTENTS["own"])
            attempts.exist = lambda rows: None
            connects(connection, "own")
            attempts.status()
            attempts.read(vector(chance))
        drops(before, "own")
        db.close(True)


# --- what integrity-check finds ---------------------------------------------------------------------


FOUND = {
    "a vector of no row": ("own", "UPDATE own_passages SET row = 999 WHERE slot = 5", "row 999"),
    "a vector of NULL": ("own", "UPDATE own_passages SET row = NULL WHERE slot = 5", "NULL"),
    "a row without vectors": ("own", "DELETE FROM own_passages WHERE row = 7", "row 7"),
    "a row that is not in the index": ("own", "DELETE FROM own_passages WHERE row = 7; DELETE FROM own_rows WHERE id = 7", "row 7"),
    "content that is not in the index": ("over", "DELETE FROM over_passages WHERE row = 7; DELETE FROM over_rows WHERE id = 7", "row 7"),
    "a text that is gone": ("own", "DELETE FROM own_text WHERE id = 7", "row 7"),
    "a note that was lost": ("bare", "DELETE FROM bare_log", "row 28"),
    "no hash": ("own", "UPDATE own_rows SET hash = NULL WHERE id = 7", "row 7"),
    "a cut hash": ("own", "UPDATE own_rows SET hash = substr(hash, 1, 9) WHERE id = 7", "row 7"),
    "a wrong hash": ("own", "UPDATE own_rows SET hash = randomblob(16) WHERE id = 7", "row 7"),
    "a wrong hash over a table": ("over", "UPDATE over_rows SET hash = randomblob(16) WHERE id = 7", "row 7"),
    "an unnoted change": ("own", "UPDATE own_text SET c0 = 'other' WHERE id = 7", "row 7"),
    "an UNINDEXED value that differs": ("over", "UPDATE over_rows SET c1 = 'xx' WHERE id = 7", "row 7"),
    "a cut vector": ("own", "UPDATE own_passages SET vector = substr(vector, 2) WHERE slot = 5", "slot 5"),
    "a vector that is text": ("over", "UPDATE over_passages SET vector = 'x' WHERE slot = 5", "slot 5"),
    "a vector that is not finite": ("over", "UPDATE over_passages SET vector = CAST(x'0000c07f' || substr(vector, 5) AS BLOB) WHERE slot = 5", "slot 5"),
    "other dims": ("own", "UPDATE own_config SET v = 31 WHERE k = 'dims'", "31"),
    "no dims": ("own", "DELETE FROM own_config WHERE k = 'dims'", "dims"),
    "no fingerprint": ("own", "DELETE FROM own_config WHERE k = 'fingerprint'", "fingerprint"),
    "a span without an end": ("own", "UPDATE own_passages SET stop = NULL WHERE slot = 5", "slot 5"),
    "a span that is text": ("own", "UPDATE own_passages SET start = 'x', stop = 'y' WHERE slot = 5", "slot 5"),
    "no format": ("own", "DELETE FROM own_config WHERE k = 'format'", "format"),
}
FOUND_IN_CODES = {
    "a missing chunk": ("DELETE FROM v_codes WHERE chunk = 3", "chunk 3"),
    "the last chunk missing": ("DELETE FROM v_codes WHERE chunk = 7", "from slot 7168 on"),
    "all chunks missing": ("DELETE FROM v_codes", "from slot 0 on"),
    "a chunk of a negative number": ("UPDATE v_codes SET chunk = -1 WHERE chunk = 7", "chunk -1"),
    "a chunk too many": ("INSERT INTO v_codes SELECT 9, stamp, used, live, codes FROM v_codes WHERE chunk = 7", "chunk 8"),
    "a cut chunk": ("UPDATE v_codes SET codes = substr(codes, 2) WHERE chunk = 2", "chunk 2"),
    "a live bit too few": ("UPDATE v_codes SET live = CAST(x'fe' || substr(live, 2) AS BLOB), used = used - 1 WHERE chunk = 2", "slot 2048"),
    "a live bit too many": ("DELETE FROM v_passages WHERE slot = 2050", "slot 2050"),
    "a wrong code": ("UPDATE v_codes SET codes = CAST(substr(codes, 1, 1) || x'5a' || substr(codes, 3) AS BLOB) WHERE chunk = 2", "slot 2048"),
    "a vector of another row": ("UPDATE v_passages SET vector = (SELECT vector FROM v_passages WHERE slot = 1) WHERE slot = 2050", "slot 2050"),
    "no stamp": ("UPDATE v_codes SET stamp = NULL WHERE chunk = 2", "chunk 2"),
    "stamps that are equal": ("UPDATE v_codes SET stamp = 5 WHERE chunk IN (2, 4)", "stamp"),
    "a wrong count": ("UPDATE v_codes SET used = used - 1 WHERE chunk = 2", "chunk 2"),
    "free slots miscounted": ("UPDATE v_config SET v = v + 1 WHERE k = 'free'", "free"),
    "no centroid": ("DELETE FROM v_config WHERE k = 'centroid'", "parameters"),
    "no seed": ("DELETE FROM v_config WHERE k = 'seed'", "parameters"),
    "another seed": ("UPDATE v_config SET v = v + 1 WHERE k = 'seed'", "code"),
    "no index stamp": ("DELETE FROM v_config WHERE k = 'stamp'", "stamp"),
    "a wrong number of standard errors": ("UPDATE v_config SET v = -1.0 WHERE k = 'z'", "z is"),
}


def is_found(db, index, sql, words):
    db.execute("BEGIN")
    try:
        db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
        db.execute(sql)
        error = failure(db, f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
        assert error.extendedresult == CORRUPT_VTAB and words in str(error), str(error)
        assert str(error).startswith(f"{index}: the index is damaged: "), str(error)
        # PRAGMA integrity_check asks the index too (SQLite 3.44 and later).
        said = [row[0] for row in db.execute("PRAGMA integrity_check")]
        assert len(said) == 1 and words in said[0] and index in said[0], said
    finally:
        db.execute("ROLLBACK")
    assert value(db, "PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("fault", FOUND)
def test_integrity_check_finds(kinds, tmp_path, fault):
    is_found(open_copy(kinds, tmp_path / "k.db"), *FOUND[fault])


@pytest.mark.parametrize("fault", FOUND_IN_CODES)
def test_integrity_check_finds_in_codes(coded, tmp_path, fault):
    is_found(open_copy(coded, tmp_path / "c.db"), "v", *FOUND_IN_CODES[fault])


def test_what_is_no_damage_is_not_reported(kinds, tmp_path):
    """Pending rows, rows that cannot be embedded, vectors without text, NULL texts, displaced rows."""
    db = open_copy(kinds, tmp_path / "k.db")
    db.execute("""
        UPDATE docs SET body = 'new' WHERE id = 5; UPDATE docs SET body = x'00' WHERE id = 6;
        UPDATE docs SET body = NULL WHERE id = 7; UPDATE docs SET lang = 'fr' WHERE id = 8;
        CREATE UNIQUE INDEX u ON docs(lang) WHERE lang = 'unique';
        UPDATE docs SET lang = 'unique' WHERE id = 9;
        UPDATE own SET body = NULL WHERE rowid = 7; INSERT INTO own(body) VALUES (x'00'), (NULL), ('');
        UPDATE bare SET lang = 'fr' WHERE rowid = 8; INSERT INTO bare(body) VALUES (NULL), ('');
        INSERT INTO bare(lang) VALUES ('no text')""")
    vectors = random.Random(6)
    for index in ("own", "bare"):
        db.execute(f"INSERT INTO {index}(embedding) VALUES (?)", (vector(vectors),))
    for index in ("over", "own", "bare"):
        for step in ("SELECT 1", f"SELECT bge_sync('{index}')", f"INSERT INTO {index}({index}) VALUES ('optimize')"):
            list(db.execute(step))
            db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
    db.execute("REPLACE INTO docs VALUES (100, 'displaces row 9', 'unique')")
    db.execute("INSERT INTO over(over) VALUES ('integrity-check')")
    assert value(db, "SELECT bge_sync('over')") == 2
    db.execute("INSERT INTO over(over) VALUES ('integrity-check')")
    assert value(db, "PRAGMA integrity_check") == "ok"


# --- bytes of the file ------------------------------------------------------------------------------


def test_any_byte_of_the_file_may_be_damaged(kinds, tmp_path):
    """In a process of its own, so that what a broken SQLite leaves behind is its own."""
    (tmp_path / "good.db").write_bytes(kinds)
    code = """
import random
import apsw
good = open(sys.argv[1], "rb").read()
file = sys.argv[1] + ".bad"
size = 4096
failed = 0
for seed in range(250):
    chance = random.Random(seed)
    bad = bytearray(good)
    for _ in range(chance.choice([1, 1, 2, 8])):
        page, how = chance.randrange(len(good) // size), chance.random()
        if how < 0.4:
            at, length = page * size + chance.randrange(size), chance.choice([1, 1, 4, 60])
            bad[at:at + length] = bytes(chance.choices(range(256), k=len(bad[at:at + length])))
        elif how < 0.6:
            at = page * size + chance.randrange(8 + 40)  # headers and cell pointers
            if at < len(bad):
                bad[at] ^= 1 << chance.randrange(8)
        elif how < 0.8:
            other = chance.randrange(len(good) // size)
            bad[page * size:(page + 1) * size] = good[other * size:(other + 1) * size]
        elif how < 0.9:
            bad[page * size:(page + 1) * size] = bytes(size)
        else:
            del bad[page * size + chance.randrange(size):]
    open(file, "wb").write(bad)
    try:
        db = connect(database=file)
    except (apsw.Error, UnicodeDecodeError):
        continue
    try:
        db.execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")
    except (apsw.Error, UnicodeDecodeError):
        pass
    for index in ("over", "own", "bare"):
        for sql in (f"SELECT bge_status('{index}')",
                    f"SELECT rowid, passage, embedding FROM {index} WHERE {index} MATCH 'reset' AND k = 5",
                    f"SELECT rowid, * FROM {index} WHERE {index} MATCH 'reset' ORDER BY distance LIMIT 20",
                    f"SELECT rowid, * FROM {index}",
                    f"INSERT INTO {index}({index}) VALUES ('integrity-check')",
                    f"SELECT bge_sync('{index}')",
                    f"INSERT INTO {index}(rowid, body) VALUES (70, 'new')",
                    f"INSERT INTO {index}({index}) VALUES ('optimize')",
                    f"INSERT INTO {index}({index}) VALUES ('rebuild')",
                    f"ALTER TABLE {index} RENAME TO other",
                    f"DROP TABLE {index}"):
            try:
                with stopped_after(db, 20):
                    list(db.execute(sql))
            except apsw.InterruptError:
                raise AssertionError(f"seed {seed}: {sql} does not end")
            except UnicodeDecodeError:
                failed += 1  # SQLite quotes what it has read
            except apsw.Error as error:
                assert "panic" not in str(error), (seed, sql, error)
                failed += 1
    db.close(True)
assert failed > 300, failed
"""
    run_python(code, tmp_path / "good.db", timeout=120)
