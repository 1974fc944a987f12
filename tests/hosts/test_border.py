"""The border to SQLite: no private SQLite inside, several copies in one process, the host's limits,
encodings and security settings, and any file name."""

import shutil

import apsw
import pytest
from support import (DIST, EXTENSION, OLDEST_HOST, RUNTIME, TARGET, TINY, HostError, blob, connect, distance, embed,
                     failure, floats, fresh_text, run, run_python, sqlite3, tiny_golden, value)

TEXT, WANTED = tiny_golden()[1]["text"], tiny_golden()[1]["cls"]
ENTRY_POINTS = {"sqlite3_bge_init", "sqlite3_bge_readonly_init", "sqlite3_extension_init"}


def symbols(library, *options):
    """(letter, name) of nm's lines; the letter says whether and where a symbol is defined."""
    done = run(["nm", *options, library])
    assert done.returncode == 0, done.stderr
    return [tuple(line.split()[-2:]) for line in done.stdout.splitlines()]


# --- no private SQLite ---------------------------------------------------------------------------


def defined_sqlite(library, *options):
    return {name for letter, name in symbols(library, *options)
            if letter != "U" and name.lower().startswith("sqlite3")}


def test_no_sqlite_is_linked_in():
    """Of the build with symbols: dist/ is stripped, so little could be seen there."""
    library = TARGET / "libbge.so"
    assert library.is_file(), f"{library} is missing: `cargo build --release` makes it"
    assert len(symbols(library)) > 1000, "the library has no symbols to look at"
    assert defined_sqlite(library) == ENTRY_POINTS


def test_the_shipped_library_exports_its_entry_points_and_wants_none_of_sqlite():
    """Another extension in the same host must not meet our names."""
    dynamic = symbols(EXTENSION.with_suffix(".so"), "-D")
    assert {name for letter, name in dynamic if letter not in "Uw"} == ENTRY_POINTS
    assert not [name for letter, name in dynamic if letter == "U" and "sqlite" in name.lower()]


SQLITES_OWN_TEXTS = (b"SQLite format 3", b"CREATE TABLE sqlite_master", b"malformed database schema")


def test_the_shipped_library_holds_no_text_of_sqlites():
    data = EXTENSION.with_suffix(".so").read_bytes()
    assert not [text for text in SQLITES_OWN_TEXTS if text in data]


def test_a_private_sqlite_would_be_seen():
    """The same looks at a program that has one."""
    assert OLDEST_HOST.is_file(), f"{OLDEST_HOST} is missing: `make test` builds it"
    assert len(defined_sqlite(OLDEST_HOST)) > 100
    assert SQLITES_OWN_TEXTS[0] in OLDEST_HOST.read_bytes()


# --- several copies of SQLite --------------------------------------------------------------------

SECOND_COPY = """
newest = connect()
assert SystemSqlite.version() != value(newest, "SELECT sqlite_version()"), "one and the same SQLite"
"""


def test_two_copies_of_sqlite_in_one_process():
    run_python(SECOND_COPY + """
system = SystemSqlite()
for i in range(100):
    sql = f"SELECT hex(bge_embed('text {i}', 'tiny-bert'))"
    assert system.value(sql) == value(newest, sql)
    sql = f"SELECT bge_dims(zeroblob({4 * i + 4}))"
    assert (system.value(sql), value(newest, sql)) == (str(i + 1), i + 1)
    bad = "SELECT bge_cosine(1, 2)"
    assert system.value(bad) == str(failure(newest, bad))
assert inferences(newest) == 100
""")


def test_two_copies_of_sqlite_at_once_in_threads():
    run_python(SECOND_COPY + """
import threading
expected = {i: embed(newest, f"text {i}").hex().upper() for i in range(20)}
wrong = []
def work(ask):
    for i in list(range(20)) * 20:
        sql = f"SELECT hex(bge_embed('text {i}', 'tiny-bert'))"
        if ask(sql) != expected[i]:
            wrong.append(i)
hosts = [SystemSqlite().value if n % 2 else (lambda sql, c=connect(): value(c, sql)) for n in range(4)]
threads = [threading.Thread(target=work, args=(ask,)) for ask in hosts]
[t.start() for t in threads]
[t.join() for t in threads]
assert wrong == []
""")


def test_statements_of_two_copies_half_stepped_at_once():
    """Auxiliary data of one host's statement must never reach the other's."""
    run_python(SECOND_COPY + """
a, b = connect(), connect()
rows = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50) SELECT i FROM n)"
first = a.execute(f"SELECT CASE WHEN i THEN hex(bge_embed('one', 'tiny-bert')) END FROM {rows}")
second = b.execute(f"SELECT CASE WHEN i THEN hex(bge_embed('two', 'tiny-bert')) END FROM {rows}")
system = SystemSqlite()
one, two = embed(newest, "one").hex().upper(), embed(newest, "two").hex().upper()
assert one != two
for (x,), (y,) in zip(first, second, strict=True):
    assert (x, y) == (one, two)
    assert system.value("SELECT hex(bge_embed('one', 'tiny-bert'))") == one
""")


# --- names and connections -----------------------------------------------------------------------


def test_it_loads_under_any_file_name(tmp_path):
    """Through sqlite3_extension_init: no entry point is named after this file."""
    for name in ("other.so", "libsemantic-search-2.so", "noextension"):
        copy = shutil.copy(DIST / "libbge.so", tmp_path / name)
        done = sqlite3(f"SELECT length(bge_embed('a', '{TINY}'))", extension=copy,
                       env={"BGE_ORT_LIB": DIST / RUNTIME})
        assert (done.stdout, done.stderr) == ("128\n", "")


def test_both_entry_points_by_name(connect):
    for entry in sorted(ENTRY_POINTS):
        connection = apsw.Connection(":memory:")
        connection.enable_load_extension(True)
        connection.load_extension(str(EXTENSION), entry)
        assert value(connection, "SELECT bge_dims(zeroblob(4))") == 1


def test_loading_twice_into_one_connection(db):
    before = embed(db, TEXT)
    db.load_extension(str(EXTENSION))
    assert embed(db, TEXT) == before


def test_loading_does_not_touch_the_connection(tmp_path):
    """No transaction, no table, no change of the file, no last_insert_rowid."""
    file = tmp_path / "user.db"
    plain = apsw.Connection(str(file))
    plain.execute("CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)")
    plain.close()
    before = file.read_bytes()
    connection = connect(database=file)
    embed(connection, fresh_text())
    assert connection.total_changes() == 0 and connection.last_insert_rowid() == 0
    assert not connection.in_transaction
    connection.close()
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["user.db"]


def test_embedding_keeps_last_insert_rowid(db):
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, e)")
    db.execute("INSERT INTO t VALUES (77, bge_embed(?, ?))", (fresh_text(), TINY))
    embed(db, fresh_text())
    assert db.last_insert_rowid() == 77


def test_a_read_only_database(tmp_path):
    file = tmp_path / "user.db"
    apsw.Connection(str(file)).execute("CREATE TABLE t(x); INSERT INTO t VALUES ('a')")
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    connection.enable_load_extension(True)
    connection.load_extension(str(EXTENSION))
    assert value(connection, f"SELECT length(bge_embed(x, '{TINY}')) FROM t") == 128


def test_a_connection_closes_at_once_after_embedding(connect):
    """Nothing of ours keeps a statement open: close() would answer BUSY."""
    connection = connect()
    embed(connection, fresh_text("word " * 2000))
    value(connection, "SELECT bge_tokens(?, ?)", "word " * 200_000, TINY)
    connection.close()


# --- limits and codes ----------------------------------------------------------------------------


def test_a_result_longer_than_the_hosts_limit_is_too_big(db):
    vector = embed(db, "a")
    db.limit(apsw.SQLITE_LIMIT_LENGTH, 127)
    for call in ("length(bge_embed('a', 'tiny-bert'))", "bge_embed('a', 'tiny-bert')",
                 "bge_from_json('[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]')",
                 "bge_info()"):
        assert isinstance(failure(db, f"SELECT {call}"), apsw.TooBigError), call
    db.limit(apsw.SQLITE_LIMIT_LENGTH, 128)
    assert embed(db, "a") == vector
    assert isinstance(failure(db, "SELECT bge_to_json(?)", vector), apsw.TooBigError)
    assert isinstance(failure(db, "SELECT bge_tokenize(?, ?)", "a " * 60, TINY), apsw.TooBigError)
    assert value(db, "SELECT bge_dims(?)", vector) == 32


def test_result_codes(db):
    for sql, kind in [("SELECT bge_cosine('a', 'b')", apsw.MismatchError), ("SELECT bge_dims(x'')", apsw.SQLError),
                      ("SELECT bge_embed('a', 'no-such-model')", apsw.SQLError)]:
        assert type(failure(db, sql)) is kind


def test_percent_signs_in_messages_are_not_formats(db, any_host):
    with pytest.raises(HostError) as error:
        any_host.rows("SELECT bge_from_json('{\"%s%n%d\": 1}'), bge_embed('a', '%s%s%s%n')")
    assert "%" in str(failure(db, "SELECT bge_embed('a', '%s%n%d%p')"))
    assert "bge_" in str(error.value)


def test_an_authorizer_that_forbids_nested_statements_does_not_break_embedding(db):
    text = fresh_text("word " * 3000)
    db.set_authorizer(lambda action, *_: apsw.SQLITE_DENY if action == apsw.SQLITE_RECURSIVE else apsw.SQLITE_OK)
    assert len(embed(db, text)) == 128
    db.set_authorizer(None)


# --- encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_a_utf16_database_gives_the_same_vectors(connect, db, encoding):
    wide = connect()
    wide.execute(f"PRAGMA encoding = '{encoding}'; CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    assert value(wide, "PRAGMA encoding") == encoding
    texts = [row["text"] for row in tiny_golden()]
    wide.executemany("INSERT INTO t(x) VALUES (?)", [(text,) for text in texts])
    found = wide.execute("SELECT bge_embed(x, ?), bge_tokens(x, ?) FROM t ORDER BY id", (TINY, TINY))
    for text, (vector, count) in zip(texts, list(found), strict=True):
        assert (vector, count) == (embed(db, text), value(db, "SELECT bge_tokens(?, ?)", text, TINY))
    json = value(wide, "SELECT bge_to_json(?)", blob(0.5, -1))
    assert json == value(db, "SELECT bge_to_json(?)", blob(0.5, -1))
    assert value(wide, "SELECT bge_from_json('[0.5, -1]')") == blob(0.5, -1)


# --- schemas that nobody trusts ------------------------------------------------------------------


@pytest.fixture
def schema(db):
    db.execute(f"""
        CREATE TABLE t(e BLOB, text TEXT);
        INSERT INTO t VALUES (x'{blob(*[1] * 32).hex()}', 'a');
        CREATE VIEW maths AS SELECT bge_cosine(e, e) AS x FROM t;
        CREATE VIEW embeds AS SELECT bge_embed(text, '{TINY}') AS x FROM t;
        CREATE VIEW tokens AS SELECT bge_tokens(text, '{TINY}') AS x FROM t;
        CREATE TABLE log(x);
        CREATE TABLE a(x); CREATE TRIGGER ta AFTER INSERT ON a BEGIN INSERT INTO log VALUES (bge_dims(new.x)); END;
        CREATE TABLE b(x);
        CREATE TRIGGER tb AFTER INSERT ON b BEGIN INSERT INTO log VALUES (bge_embed(new.x, '{TINY}')); END;
    """)
    return db


def test_a_schema_that_is_not_trusted_may_not_embed(schema):
    schema.execute("PRAGMA trusted_schema = OFF")
    assert value(schema, "SELECT x FROM maths") == pytest.approx(1.0)
    schema.execute("INSERT INTO a VALUES (zeroblob(8))")
    assert value(schema, "SELECT x FROM log") == 2
    for sql, name in [("SELECT x FROM embeds", "bge_embed"), ("SELECT x FROM tokens", "bge_tokens"),
                      ("INSERT INTO b VALUES ('a')", "bge_embed")]:
        assert f"unsafe use of {name}()" in str(failure(schema, sql))
    assert len(embed(schema, "a")) == 128


def test_a_trusted_schema_may_embed(schema):
    schema.execute("PRAGMA trusted_schema = ON")
    assert value(schema, "SELECT x FROM embeds") == embed(schema, "a")
    schema.execute("INSERT INTO b VALUES ('a')")
    assert value(schema, "SELECT x FROM log") == embed(schema, "a")


def test_vector_maths_works_in_an_expression_index(schema):
    schema.execute("CREATE INDEX i ON t(bge_dims(e))")
    assert value(schema, "SELECT count(*) FROM t WHERE bge_dims(e) = 32") == 1
    assert "USING INDEX i" in str(list(schema.execute("EXPLAIN QUERY PLAN SELECT e FROM t WHERE bge_dims(e) = 32")))


def test_a_vector_of_every_host_is_the_same(any_host):
    [[hexed]] = any_host.rows(f"SELECT hex(bge_embed('{TEXT}', '{TINY}'))")
    assert distance(bytes.fromhex(hexed), WANTED) < 1e-5
    assert floats(bytes.fromhex(hexed)) == floats(embed(connect(), TEXT))
