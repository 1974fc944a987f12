"""bge_batch: which SQL it takes, and tables that are written while they are read.

What is seen of the table: SQLite runs the SELECT as part of the statement around it. In a writing statement
(INSERT, UPDATE, DELETE, CREATE TABLE AS) all of it is read before the first row comes, so it sees the table
as it was. In a SELECT it is read window by window: rows that the same connection changes meanwhile are seen
as they are when their window is read; they may be old or new, never torn, and DROP TABLE is refused.
"""

import apsw
import pytest
from support import (TINY, CommandLine, HostError, connect, distance, embed, failure, floats, stopped_after, texts, value)


def batch(db, sql, *arguments, columns="key, text"):
    marks = ", ".join("?" * (1 + len(arguments or (TINY,))))
    return list(db.execute(f"SELECT {columns} FROM bge_batch({marks})", (sql, *(arguments or (TINY,)))))


def refused(db, sql):
    """The message about an SQL text, which is the same in a SELECT and in an INSERT; both leave no trace."""
    messages = {str(failure(db, f"{start} SELECT key, text FROM bge_batch(?, ?)", sql, TINY))
                for start in ("", "INSERT INTO docs(id, body)")}
    assert len(messages) == 1, messages
    assert not db.in_transaction
    assert value(db, "SELECT group_concat(id || body) FROM docs") == "1one,2two,3three"
    assert len(batch(db, "SELECT id, body FROM docs")) == 3
    [message] = messages
    assert message.startswith("bge_batch: ")
    return message.removeprefix("bge_batch: ")


@pytest.fixture
def docs(db):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs(body) VALUES ('one'), ('two'), ('three')")
    return db


# --- what is one read-only statement of two columns ----------------------------------------------

ENDINGS = ["", ";", " ;\n", "\n;\n\n", "-- comment", " -- comment;", "\n-- comment\n", "; -- comment", ";\n-- comment",
           "; -- comment; with; semicolons", " /* comment */", "; /* comment */", " /* ; */ ", ";;", "; ;", " /* not closed",
           "; /* not closed", " -- it's", "; -- )", "\t\f\r\n;"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_statement_may_end_in_any_way(docs, ending):
    """In a SELECT, and where the same table is written. The second would have no end if it read its own rows."""
    sql = f"SELECT id, body FROM docs{ending}"
    assert batch(docs, sql) == [(1, "one"), (2, "two"), (3, "three")]
    with stopped_after(docs, 20):
        docs.execute("INSERT INTO docs(body) SELECT text || '!' FROM bge_batch(?, ?)", (sql, TINY))
    assert list(docs.execute("SELECT body FROM docs")) == [(b,) for b in ("one", "two", "three", "one!", "two!", "three!")]


@pytest.mark.parametrize("sql", [
    "VALUES (1, 'one'), (2, 'two')",
    "WITH x(a, b) AS (VALUES (1, 'one'), (2, 'two')) SELECT * FROM x",
    "WITH RECURSIVE q(k, t) AS (SELECT 1, 'one' UNION ALL SELECT k + 1, 'two' FROM q LIMIT 2) SELECT * FROM q",
    "SELECT id, body FROM docs WHERE id < 3 UNION ALL SELECT 0, '' WHERE 0 ORDER BY id",
    "SELECT * FROM docs LIMIT 2",
    "SELECT 1, 'one' UNION SELECT 2, 'two'",
    "-- first\nSELECT /* here */ id, body FROM docs WHERE body <> ';--' AND id < 3",
    "\ufeffSELECT id, body FROM docs LIMIT 2",
    "SELECT min(id), body FROM docs GROUP BY id HAVING id < 3 ORDER BY id",
    "SELECT id + 0 AS t, body AS t FROM docs WHERE id < 3",
])
def test_selects_of_every_form(docs, sql):
    assert batch(docs, sql) == [(1, "one"), (2, "two")]
    with stopped_after(docs, 20):
        docs.execute("INSERT INTO docs SELECT key + 10, text FROM bge_batch(?, ?)", (sql, TINY))
    assert list(docs.execute("SELECT * FROM docs WHERE id > 10")) == [(11, "one"), (12, "two")]


@pytest.mark.parametrize("name", ["q", "k", "t", "n", "key", "text", "bge_q", "BGE_Q", "bge_q_", "select", 'a "b"', "x;y", "--", "*/"])
def test_the_table_may_have_any_name(docs, name):
    """What is put around the SELECT of a writing statement must not take a user's name."""
    quoted = '"' + name.replace('"', '""') + '"'
    docs.execute(f"CREATE TABLE {quoted}(k, t); INSERT INTO {quoted} VALUES (1, 'one')")
    assert batch(docs, f"SELECT k, t FROM {quoted}") == [(1, "one")]
    docs.execute(f"INSERT INTO {quoted} SELECT key + 1, text FROM bge_batch(?, ?)", (f"SELECT k, t FROM {quoted}", TINY))
    assert list(docs.execute(f"SELECT * FROM {quoted}")) == [(1, "one"), (2, "one")]
    docs.execute(f"CREATE VIEW through AS SELECT k, t FROM {quoted}")
    docs.execute(f"INSERT INTO {quoted} SELECT key + 2, text FROM bge_batch('SELECT k, t FROM through', ?)", (TINY,))
    assert list(docs.execute(f"SELECT * FROM {quoted} WHERE k > 2")) == [(3, "one"), (4, "one")]


@pytest.mark.parametrize("sql", ["INSERT INTO docs VALUES (9, 'x')", "INSERT INTO docs VALUES (9, 'x') RETURNING id, body",
                                 "UPDATE docs SET body = 'x'", "UPDATE docs SET body = 'x' RETURNING id, body",
                                 "DELETE FROM docs", "DELETE FROM docs RETURNING id, body", "REPLACE INTO docs VALUES (1, 'x')",
                                 "WITH x AS (SELECT 1) DELETE FROM docs RETURNING id, body", "CREATE TABLE y(a, b)",
                                 "CREATE TEMP TABLE y AS SELECT 1, 2", "DROP TABLE docs", "ALTER TABLE docs ADD COLUMN z",
                                 "CREATE INDEX i ON docs(body)", "CREATE VIEW y AS SELECT 1, 2", "REINDEX", "ANALYZE", "VACUUM"])
def test_a_statement_that_writes_is_refused(docs, sql):
    assert "expected one SELECT of two columns" in refused(docs, sql)
    assert list(docs.execute("SELECT name FROM sqlite_schema")) == [("docs",)]


@pytest.mark.parametrize("sql", ["PRAGMA user_version = 7", "PRAGMA user_version", "PRAGMA table_info(docs)",
                                 "PRAGMA foreign_keys = ON", "PRAGMA journal_mode = OFF", "PRAGMA wal_checkpoint", "BEGIN",
                                 "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE s",
                                 "ATTACH ':memory:' AS other", "DETACH main", "EXPLAIN SELECT 1, 2", "EXPLAIN QUERY PLAN SELECT 1, 2",
                                 "EXPLAIN DELETE FROM docs"])
def test_a_statement_of_another_kind_is_refused(docs, sql):
    before = [value(docs, f"PRAGMA {name}") for name in ("user_version", "foreign_keys", "journal_mode")]
    assert "expected one SELECT of two columns" in refused(docs, sql)
    assert [value(docs, f"PRAGMA {name}") for name in ("user_version", "foreign_keys", "journal_mode")] == before
    assert value(docs, "SELECT count(*) FROM pragma_database_list WHERE name <> 'temp'") == 1


@pytest.mark.parametrize("sql", ["PRAGMA foreign_keys = ON", "EXPLAIN PRAGMA foreign_keys = ON", "SELECT 1, 2; PRAGMA foreign_keys = ON",
                                 "EXPLAIN QUERY PLAN PRAGMA foreign_keys = ON", ";;/* c */ -- c\n pragma foreign_keys = ON",
                                 "\ufeffPRAGMA foreign_keys = ON", " \ufeff PRAGMA foreign_keys = ON", "\fPRAGMA foreign_keys=ON",
                                 "SELECT 1, 2; \ufeff EXPLAIN PRAGMA foreign_keys = ON", "/*/ */PRAGMA/**/foreign_keys = ON"])
def test_a_pragma_that_acts_when_it_is_prepared_does_not_act(docs, sql):
    """SQLite sets some flags while it compiles, before anybody can see what the statement is."""
    refused(docs, sql)
    assert value(docs, "PRAGMA foreign_keys") == 0


@pytest.mark.parametrize("sql", ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE s"])
def test_a_transaction_under_way_is_left_alone(docs, sql):
    docs.execute("BEGIN; SAVEPOINT s; INSERT INTO docs VALUES (4, 'four')")
    failure(docs, "SELECT * FROM bge_batch(?, ?)", sql, TINY)
    assert docs.in_transaction and value(docs, "SELECT count(*) FROM docs") == 4
    docs.execute("RELEASE s; COMMIT")


@pytest.mark.parametrize("sql", ["SELECT 1, 'a'; SELECT 2, 'b'", "SELECT 1, 'a'; DROP TABLE docs", "SELECT 1, 'a';; DELETE FROM docs;",
                                 "SELECT 1, 'a'; x", "SELECT 1, 'a'; -- c\n DELETE FROM docs", "SELECT 1, 'a'; BEGIN"])
def test_two_statements_are_refused(docs, sql):
    refused(docs, sql)


@pytest.mark.parametrize("sql", [
    "SELECT id, body FROM docs) SELECT * FROM docs --", "SELECT id, body FROM docs) DELETE FROM docs --",
    "SELECT id, body FROM docs), x AS (SELECT 1, 2", "SELECT id, body FROM docs) --", ")", "("])
def test_sql_cannot_break_out_of_what_is_put_around_it(docs, sql):
    assert "error" in refused(docs, sql) or "incomplete" in refused(docs, sql)


@pytest.mark.parametrize("sql, count", [("SELECT 1", 1), ("SELECT 1, 2, 3", 3), ("SELECT *, 1 FROM docs", 3), ("VALUES (1)", 1),
                                        ("SELECT body FROM docs", 1)])
def test_a_wrong_number_of_columns_is_named(docs, sql, count):
    message = refused(docs, sql)
    assert f"{count} column" in message and "two columns" in message


@pytest.mark.parametrize("sql", ["", " ", "\n", ";", ";;", "-- comment", "/* comment */", "/* not closed", "-- a\n;-- b"])
def test_an_empty_statement_is_refused(docs, sql):
    refused(docs, sql)


@pytest.mark.parametrize("sql, words", [
    ("SELECT id, body FRM docs", 'near "docs": syntax error'), ("SELCT 1, 2", 'near "SELCT": syntax error'),
    ("SELECT 1, 2 FROM nowhere", "no such table: nowhere"), ("SELECT id, bdy FROM docs", "no such column: bdy"),
    ("SELECT id, nofunction(body) FROM docs", "no such function: nofunction"), ("SELECT id, 'open FROM docs", "unrecognized token"),
    ("SELECT 1, 2 FROM", "incomplete input"), ("SELECT id, %s FROM docs", 'near "%": syntax error')])
def test_sqlites_own_message_is_passed_on(docs, sql, words):
    assert words in str(failure(docs, sql)) or "'" in sql
    assert words in refused(docs, sql)


@pytest.mark.parametrize("bad_row", [1, 3])
def test_an_error_of_a_running_select_is_passed_on(docs, bad_row):
    sql = f"SELECT id, CASE id WHEN {bad_row} THEN abs(-9223372036854775808) ELSE body END FROM docs"
    assert "integer overflow" in refused(docs, sql)


def test_an_authorizer_is_asked_about_the_select(docs):
    deny = lambda action, table, *_: apsw.SQLITE_DENY if (action, table) == (apsw.SQLITE_READ, "docs") else apsw.SQLITE_OK
    docs.set_authorizer(deny)
    message = str(failure(docs, "SELECT key FROM bge_batch(?, ?)", "SELECT id, body FROM docs", TINY))
    docs.set_authorizer(None)
    assert "docs" in message and "prohibited" in message


def test_arguments_that_are_no_text(db):
    for argument in (None, 5, 1.5, b"SELECT 1, 2"):
        error = failure(db, "SELECT * FROM bge_batch(?)", argument)
        assert isinstance(error, apsw.MismatchError) and "bge_batch: argument 1" in str(error)
    for call in ("bge_batch", "bge_batch()"):
        assert "bge_batch(select_sql" in str(failure(db, f"SELECT * FROM {call}"))
    assert "bge_batch: " in str(failure(db, "SELECT * FROM bge_batch(CAST(x'53454c454354ff' AS TEXT))"))
    assert "bge_batch: " in str(failure(db, "SELECT * FROM bge_batch('SELECT 1, 2' || char(0) || '; DROP TABLE docs')"))


def test_views_and_triggers_may_not_use_it(docs):
    docs.execute("PRAGMA trusted_schema = ON")
    docs.execute(f"CREATE VIEW v AS SELECT key FROM bge_batch('SELECT 1, 2', '{TINY}')")
    assert 'unsafe use of virtual table "bge_batch"' in str(failure(docs, "SELECT * FROM v"))
    docs.execute("CREATE TABLE a(x); CREATE TRIGGER tr AFTER INSERT ON a BEGIN INSERT INTO docs(body) "
                 f"SELECT text FROM bge_batch('SELECT 1, 2', '{TINY}'); END")
    assert 'unsafe use of virtual table "bge_batch"' in str(failure(docs, "INSERT INTO a VALUES (1)"))
    assert value(docs, "SELECT count(*) FROM docs") == 3


def test_a_select_that_itself_calls_bge_batch(docs):
    inner = f"SELECT key, text || ''?'' FROM bge_batch(''SELECT id, body FROM docs WHERE id > ?1'', ''{TINY}'', 1)".replace("''?''", "'?'")
    sql = inner.replace("''", "'")
    assert batch(docs, sql) == [(2, "two?"), (3, "three?")]
    with stopped_after(docs, 20):
        docs.execute("INSERT INTO docs SELECT key + 10, text FROM bge_batch(?, ?)", (sql, TINY))
    assert value(docs, "SELECT group_concat(id || body) FROM docs WHERE id > 10") == "12two?,13three?"


def test_nested_very_deep_it_ends_in_an_error_or_a_result(db):
    """Each level is a statement of its own inside the one before."""
    sql = "SELECT 1, 'a'"
    for _ in range(12):
        sql = f"SELECT key, text FROM bge_batch('{sql.replace(chr(39), chr(39) * 2)}', '{TINY}')"
    assert batch(db, sql) == [(1, "a")]


# --- tables that are written while they are read -------------------------------------------------


def test_an_insert_into_the_table_that_is_read_ends_in_every_host(any_host):
    rows = any_host.rows(
        "CREATE TABLE docs(id INTEGER PRIMARY KEY, body)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) INSERT INTO docs(body) SELECT 'text ' || i FROM n",
        f"INSERT INTO docs(body) SELECT text FROM bge_batch('SELECT id, body FROM docs', '{TINY}')",
        f"INSERT INTO docs(body) SELECT text FROM bge_batch('SELECT id, body FROM docs ORDER BY id DESC;', '{TINY}') LIMIT 2",
        "SELECT count(*), (SELECT group_concat(body, ', ') FROM docs WHERE id > 1000) FROM docs")
    assert rows == [[1002, "text 500, text 499"]]


@pytest.mark.parametrize("sql, count, sum_of_ids", [
    ("UPDATE docs SET body = b.text || '!' FROM bge_batch('SELECT id, body FROM docs', ?) b WHERE docs.id = b.key", 500, 125250),
    ("UPDATE docs SET id = b.key + 1000 FROM bge_batch('SELECT id, body FROM docs', ?) b WHERE docs.id = b.key", 500, 625250),
    ("DELETE FROM docs WHERE id IN (SELECT key FROM bge_batch('SELECT id, body FROM docs WHERE id > 100', ?))", 100, 5050),
    ("REPLACE INTO docs SELECT key, text || '!' FROM bge_batch('SELECT id, body FROM docs', ?)", 500, 125250),
    ("INSERT INTO docs SELECT key, text FROM bge_batch('SELECT id, body FROM docs', ?) WHERE 1 "
     "ON CONFLICT DO UPDATE SET body = excluded.body || '!'", 500, 125250),
])
def test_statements_that_write_what_they_read(tmp_path, sql, count, sum_of_ids):
    db = connect(database=tmp_path / "docs.db")
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); CREATE INDEX i ON docs(body)")
    with db:
        db.executemany("INSERT INTO docs(body) VALUES (?)", [(text,) for text in texts(500, longest=8)])
    with stopped_after(db, 20):
        db.execute(sql, (TINY,))
    assert db.execute("SELECT count(*), sum(id) FROM docs").fetchall() == [(count, sum_of_ids)]
    if "!" in sql:
        assert value(db, "SELECT count(*) FROM docs WHERE body LIKE '%!' AND body NOT LIKE '%!!'") == count
    assert value(db, "PRAGMA integrity_check") == "ok"
    db.close(True)


def test_create_table_as(docs):
    docs.execute(f"CREATE TABLE emb AS SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs', '{TINY}')")
    assert value(docs, "SELECT group_concat(key || ':' || length(embedding)) FROM emb") == "1:128,2:128,3:128"


@pytest.mark.parametrize("change", ["UPDATE docs SET body = 'changed ' || id", "DELETE FROM docs WHERE id % 2",
                                    "INSERT INTO docs(body) SELECT 'new ' || id FROM docs", "DELETE FROM docs",
                                    "UPDATE docs SET id = id + 100000 WHERE id % 2", "CREATE INDEX i ON docs(body)",
                                    "ALTER TABLE docs ADD COLUMN more", "UPDATE docs SET body = NULL"])
@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_a_table_that_changes_while_a_cursor_is_open(tmp_path, change, journal):
    """Rows may be old or new; each embedding is that of the text beside it, and nothing is corrupt."""
    db = connect(database=tmp_path / "docs.db")
    assert value(db, f"PRAGMA journal_mode = {journal}") == journal.lower()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
    old = texts(2000, seed=6, longest=8)
    with db:
        db.executemany("INSERT INTO docs(body) VALUES (?)", [(text,) for text in old])
    rows = db.cursor().execute("SELECT key, embedding, text FROM bge_batch('SELECT id, body FROM docs', ?)", (TINY,))
    found = [next(rows) for _ in range(100)]
    try:
        db.cursor().execute(change)
    except apsw.LockedError:
        assert change.startswith(("CREATE", "ALTER"))
    with stopped_after(db, 30):
        found += list(rows)
    assert len(found) <= 8000
    for key, vector, text in found:
        assert text is None or text in (f"changed {key}", f"new {key - 2000}") or text == old[(key - 1) % 100000]
        assert (vector is None) == (text is None)
    for key, vector, text in found[:150] + found[-20:]:
        assert text is None or distance(vector, floats(embed(db, text))) < 1e-6
    assert [text for _, _, text in found[:100]] == old[:100]
    assert value(db, "PRAGMA integrity_check") == "ok"
    db.close(True)


def test_a_table_is_not_dropped_while_a_cursor_is_open(docs):
    rows = docs.cursor().execute("SELECT key FROM bge_batch('SELECT id, body FROM docs', ?)", (TINY,))
    assert next(rows) == (1,)
    try:
        docs.cursor().execute("DROP TABLE docs")
        dropped = True
    except apsw.LockedError:
        dropped = False
    assert list(rows) == [(2,), (3,)]
    if not dropped:
        docs.execute("DROP TABLE docs")
    assert value(docs, "PRAGMA integrity_check") == "ok"


# --- transactions, schemas and what is left behind -----------------------------------------------


def test_rows_that_are_not_committed_are_seen(tmp_path):
    db, other = connect(database=tmp_path / "docs.db"), connect(database=tmp_path / "docs.db")
    assert value(db, "PRAGMA journal_mode = WAL") == "wal"
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'one')")
    db.execute("BEGIN; INSERT INTO docs VALUES (2, 'two')")
    assert batch(db, "SELECT id, body FROM docs") == [(1, "one"), (2, "two")]
    assert batch(other, "SELECT id, body FROM docs") == [(1, "one")]
    db.execute("INSERT INTO docs SELECT key + 10, text FROM bge_batch('SELECT id, body FROM docs', ?)", (TINY,))
    assert value(db, "SELECT count(*) FROM docs") == 4
    db.execute("ROLLBACK")
    assert batch(db, "SELECT id, body FROM docs") == [(1, "one")]


def test_a_failing_row_leaves_nothing_half_written(docs):
    docs.execute("CREATE TABLE emb(id, v)")
    docs.executemany("INSERT INTO docs(body) VALUES (?)", [(text,) for text in texts(3000, longest=8)])
    docs.execute("UPDATE docs SET body = x'ff' WHERE id = 2500")
    assert "2500" in str(failure(docs, "INSERT INTO emb SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs', ?)", TINY))
    assert value(docs, "SELECT count(*) FROM emb") == 0 and not docs.in_transaction


def test_temp_tables_and_attached_schemas(docs, tmp_path):
    docs.execute("CREATE TEMP TABLE notes(id, body); INSERT INTO notes VALUES (7, 'of temp')")
    docs.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    docs.execute("CREATE TABLE other.docs(id, body); INSERT INTO other.docs VALUES (8, 'of other'); CREATE TABLE other.emb(id, v)")
    assert batch(docs, "SELECT id, body FROM notes") == [(7, "of temp")]
    assert batch(docs, "SELECT id, body FROM other.docs") == [(8, "of other")]
    assert batch(docs, "SELECT o.id, m.body FROM other.docs o, main.docs m WHERE m.id = 1") == [(8, "one")]
    docs.execute("INSERT INTO other.emb SELECT key, embedding FROM other.bge_batch('SELECT id, body FROM main.docs', ?)"
                 .replace("other.bge_batch", "bge_batch"), (TINY,))
    assert value(docs, "SELECT count(*) FROM other.emb WHERE length(v) = 128") == 3
    docs.execute("DETACH other")


def test_no_lock_is_left_when_a_statement_ends_early(tmp_path):
    db, other = connect(database=tmp_path / "docs.db"), connect(database=tmp_path / "docs.db")
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs(body) VALUES ('a'), ('b'), ('c')")
    assert len(list(db.execute("SELECT key FROM bge_batch('SELECT id, body FROM docs', ?) LIMIT 1", (TINY,)))) == 1
    failure(db, "SELECT key FROM bge_batch('SELECT id, x''ff'' FROM docs', ?)", TINY)
    other.execute("INSERT INTO docs(body) VALUES ('d')")
    db.execute("DROP TABLE docs")
    db.close()
    other.close()


def test_the_applications_counters_do_not_change(docs):
    docs.execute("INSERT INTO docs VALUES (77, 'x')")
    changes = docs.total_changes()
    batch(docs, "SELECT id, body FROM docs")
    assert docs.last_insert_rowid() == 77 and docs.total_changes() == changes


def test_a_read_only_database(tmp_path):
    plain = connect(database=tmp_path / "docs.db")
    plain.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs(body) VALUES ('a')")
    plain.close()
    db = apsw.Connection(str(tmp_path / "docs.db"), flags=apsw.SQLITE_OPEN_READONLY)
    db.enable_load_extension(True)
    from support import EXTENSION
    db.load_extension(str(EXTENSION))
    assert batch(db, "SELECT id, body FROM docs") == [(1, "a")]


def test_errors_in_the_oldest_and_the_shell(any_host):
    with pytest.raises(HostError) as error:
        any_host.rows(f"SELECT key FROM bge_batch('DELETE FROM sqlite_schema', '{TINY}')")
    assert "bge_batch: " in str(error.value) or "may not be modified" in str(error.value)
    if isinstance(any_host, CommandLine):
        with pytest.raises(HostError, match="the SQL writes"):
            any_host.rows("CREATE TABLE t(x)", f"SELECT key FROM bge_batch('DELETE FROM t', '{TINY}')")
