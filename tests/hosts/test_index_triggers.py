"""In step by itself: what is written to the content table, by whom and how ever, is noted, and nothing else is.

Most tests compare an index after some writes with what the content table says then: `in_step` embeds each text with
bge_embed. The statements run in every host where SQLite's versions could differ (`any_host`).
"""

import json
import sqlite3

import apsw
import pytest
from support import TINY, HostError, embed, failure, floats, fresh_text, inferences, run, value

DOCS = "CREATE TABLE docs(id INTEGER PRIMARY KEY, title TEXT, body TEXT, lang TEXT, hits INTEGER DEFAULT 0)"
INDEX = f"CREATE VIRTUAL TABLE idx USING bge(title, body, lang UNINDEXED, content = docs, model = '{TINY}')"
SYNC = "INSERT INTO idx(idx) VALUES ('sync')"
FILL = "INSERT INTO docs(id, title, body, lang) VALUES (1, 'Router', 'a button', 'en'), (2, 'Bill', 'a page', 'de'), (3, NULL, 'days off', 'en')"


def sync(db, name="idx"):
    return value(db, "SELECT bge_sync(?)", name)


def status(db, name="idx"):
    return json.loads(value(db, "SELECT bge_status(?)", name))


def found(db, name="idx"):
    return {row[0] for row in db.execute(f"SELECT rowid FROM {name} WHERE {name} MATCH 'router'")}


def noted(db, name="idx"):
    """The ids that are noted, in their order."""
    return [row[0] for row in db.execute(f"SELECT id FROM {name}_log ORDER BY seq")]


def in_step(db, texts, name="idx"):
    """After a sync, exactly these rows have vectors, those of these texts."""
    sync(db, name)
    assert status(db, name)["pending"] == 0
    assert found(db, name) == {rowid for rowid, text in texts.items() if text is not None}
    for rowid, text in texts.items():
        vector = value(db, f"SELECT embedding FROM {name} WHERE rowid = ?", rowid)
        assert (vector is None) == (text is None), rowid
        if text is not None:
            assert floats(vector) == pytest.approx(floats(embed(db, text)), abs=1e-6), (rowid, text)
    db.execute(f"INSERT INTO {name}({name}) VALUES ('integrity-check')")


TEXTS = "SELECT id, CASE WHEN title IS NULL AND body IS NULL THEN NULL ELSE concat_ws(char(10), title, body) END FROM docs"


def as_content(db, name="idx", texts=TEXTS):
    in_step(db, dict(db.execute(texts)), name)


@pytest.fixture
def filled(db):
    """A table of three rows with an index that is in step."""
    db.execute(f"{DOCS}; {INDEX}; {FILL}")
    assert sync(db) == 3
    assert noted(db) == []
    return db


# --- what is noted -------------------------------------------------------------------------------

NOTED = {
    "an insert": ("INSERT INTO docs(id, body) VALUES (9, 'x')", {9}),
    "inserts": ("INSERT INTO docs(body) VALUES ('x'), ('y')", {4, 5}),
    "default values": ("INSERT INTO docs DEFAULT VALUES", {4}),
    "from a select": ("INSERT INTO docs(body) SELECT body FROM docs WHERE id < 3", {4, 5}),
    "text": ("UPDATE docs SET body = 'x' WHERE id = 2", {2}),
    "to NULL": ("UPDATE docs SET body = NULL WHERE id = 2", {2}),
    "from NULL": ("UPDATE docs SET title = '' WHERE id = 3", {3}),
    "an UNINDEXED column": ("UPDATE docs SET lang = 'fr' WHERE id = 1", {1}),
    "case": ("UPDATE docs SET body = upper(body)", {1, 2, 3}),
    "the key": ("UPDATE docs SET id = 20 WHERE id = 2", {2, 20}),
    "rowid": ("UPDATE docs SET rowid = 20 WHERE id = 2", {2, 20}),
    "_rowid_ of all": ("UPDATE docs SET _rowid_ = id + 10", {1, 2, 3, 11, 12, 13}),
    "key and text": ("UPDATE docs SET id = 20, body = 'x' WHERE id = 2", {2, 20}),
    "another column": ("UPDATE docs SET hits = hits + 1", set()),
    "the same text": ("UPDATE docs SET body = body, title = title, lang = lang, id = id", set()),
    "no row": ("UPDATE docs SET body = 'x' WHERE id = 99", set()),
    "a delete": ("DELETE FROM docs WHERE id = 2", {2}),
    "all": ("DELETE FROM docs", {1, 2, 3}),
    "update from": ("UPDATE docs SET body = o.body FROM docs AS o WHERE o.id = docs.id + 1", {1, 2}),
    "a replacement": ("REPLACE INTO docs(id, body) VALUES (2, 'x')", {2}),
    "an upsert that inserts": ("INSERT INTO docs(id, body) VALUES (9, 'x') ON CONFLICT(id) DO UPDATE SET body = 'y'", {9}),
    "an upsert that updates": ("INSERT INTO docs(id, body) VALUES (2, 'x') ON CONFLICT(id) DO UPDATE SET body = excluded.body", {2}),
    "an upsert that changes nothing": ("INSERT INTO docs(id, body) VALUES (2, 'x') ON CONFLICT(id) DO UPDATE SET hits = 9", set()),
    "an upsert that does nothing": ("INSERT INTO docs(id, body) VALUES (2, 'x') ON CONFLICT DO NOTHING", set()),
}


@pytest.mark.parametrize("case", NOTED)
def test_what_is_noted(any_host, case):
    sql, ids = NOTED[case]
    got = any_host.rows(DOCS, INDEX, SYNC, FILL, "DELETE FROM idx_log", sql, "SELECT DISTINCT id FROM idx_log ORDER BY id")
    assert [row[0] for row in got] == sorted(ids)


@pytest.mark.parametrize("recursive", ["on", "off"])
@pytest.mark.parametrize("case", NOTED)
def test_what_is_noted_comes_into_step(filled, case, recursive):
    filled.execute(f"PRAGMA recursive_triggers = {recursive}")
    filled.execute(NOTED[case][0])
    as_content(filled)
    filled.execute("UPDATE docs SET hits = hits + 1")
    assert noted(filled) == []


VALUES = ["NULL", "''", "'a'", "'A'", "'a '", "1", "'1'", "1.0", "'1.0'", "x'61'", "x'31'", "x''", "0", "-0.0"]


@pytest.mark.parametrize("declared", ["", "TEXT", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", "NUMERIC", "INTEGER", "REAL", "BLOB"])
def test_any_two_values_that_differ_are_noted(any_host, declared):
    """Value pairs in columns of each type: an UPDATE from one to the other is noted unless they are stored alike."""
    pairs = [(a, b) for a in VALUES for b in VALUES]
    both = ", ".join(f"({n}, {a}, {b})" for n, (a, b) in enumerate(pairs))
    update = "UPDATE docs SET body = (SELECT b FROM pairs WHERE n = docs.id)"
    differ = f"SELECT n FROM pairs WHERE quote(CAST(typeof(a) AS TEXT)) || quote(a) <> quote(typeof(b)) || quote(b) ORDER BY n"
    start = [f"CREATE TABLE docs(id INTEGER PRIMARY KEY, body {declared})",
             f"CREATE TABLE pairs(n INTEGER PRIMARY KEY, a {declared}, b {declared})",
             "CREATE VIRTUAL TABLE idx USING bge(body, content = docs)", SYNC, f"INSERT INTO pairs VALUES {both}",
             "INSERT INTO docs SELECT n, a FROM pairs", "DELETE FROM idx_log", update]
    assert any_host.rows(*start, "SELECT DISTINCT id FROM idx_log ORDER BY id") == any_host.rows(*start, differ)


def test_generated_columns(any_host):
    start = ["CREATE TABLE docs(id INTEGER PRIMARY KEY, a, b, body AS (a || ' ' || b), kept AS (a || '!') STORED)",
             f"CREATE VIRTUAL TABLE idx USING bge(body, kept, content = docs, model = '{TINY}')", SYNC,
             "INSERT INTO docs(a, b) VALUES ('x', 'y'), ('z', 'w')", "DELETE FROM idx_log"]
    log = "SELECT DISTINCT id FROM idx_log ORDER BY id"
    assert any_host.rows(*start, "UPDATE docs SET b = 'v' WHERE id = 2", log) == [[2]]
    assert any_host.rows(*start, "UPDATE docs SET a = a", log) == []
    assert any_host.rows(*start, "UPDATE docs SET a = 'v'", "INSERT INTO idx(idx) VALUES ('sync')",
                         "SELECT passage FROM idx WHERE idx MATCH 'x' ORDER BY rowid") == [["v y\nv!"], ["v w\nv!"]]


def test_a_change_of_case_in_a_nocase_column_is_embedded(db):
    db.execute(f"CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT COLLATE NOCASE); "
               f"CREATE VIRTUAL TABLE idx USING bge(body, content = docs, model = '{TINY}'); INSERT INTO docs VALUES (1, 'a b')")
    sync(db)
    db.execute("UPDATE docs SET body = 'A B'")
    assert sync(db) == 1
    assert list(db.execute("SELECT passage FROM idx WHERE idx MATCH 'x'")) == [("A B",)]


def test_a_change_of_type_alone_comes_into_step(db):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body, n); "
               f"CREATE VIRTUAL TABLE idx USING bge(body, n UNINDEXED, content = docs, model = '{TINY}'); INSERT INTO docs VALUES (1, 1, 1)")
    sync(db)
    for given in ("'1'", "1.0", "'1.0'", "1"):
        db.execute(f"UPDATE docs SET body = {given}, n = {given}")
        sync(db)
        assert list(db.execute(f"SELECT rowid FROM idx WHERE idx MATCH 'x' AND n IS {given}")) == [(1,)]
        texts = dict(db.execute("SELECT id, CAST(body AS TEXT) FROM docs"))
        in_step(db, texts)


# --- conflicts -----------------------------------------------------------------------------------

UNIQUE = f"""CREATE TABLE docs(id INTEGER PRIMARY KEY, slug UNIQUE, body TEXT NOT NULL);
CREATE VIRTUAL TABLE idx USING bge(body, content = docs, model = '{TINY}');
INSERT INTO docs VALUES (1, 'a', 'a router'), (2, 'b', 'a bill'), (3, 'c', 'a bird')"""
CLAUSES = ["ABORT", "FAIL", "ROLLBACK", "IGNORE", "REPLACE"]
CONFLICTING = {
    "insert, slug": "INSERT OR {} INTO docs VALUES (10, 'x', 'first'), (11, 'b', 'second'), (12, 'y', 'third')",
    "insert, id": "INSERT OR {} INTO docs VALUES (10, 'x', 'first'), (2, 'z', 'second'), (12, 'y', 'third')",
    "insert, two rows at once": "INSERT OR {} INTO docs VALUES (10, 'x', 'first'), (1, 'b', 'second')",
    "insert, NOT NULL": "INSERT OR {} INTO docs VALUES (10, 'x', 'first'), (11, 'z', NULL), (12, 'y', 'third')",
    "update, slug": "UPDATE OR {} docs SET slug = 'b', body = body || '!'",
    "update, id": "UPDATE OR {} docs SET id = 2, body = body || '!'",
    "update, to the next id": "UPDATE OR {} docs SET id = id + 1",
}


@pytest.mark.parametrize("recursive", ["on", "off"])
@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("case", CONFLICTING)
def test_conflicts_of_the_users_statements(db, case, clause, recursive):
    """The statement does what it does without an index, no row that is gone is found, and sync puts all in step."""
    db.execute(f"{UNIQUE}; CREATE TEMP TABLE plain(id INTEGER PRIMARY KEY, slug UNIQUE, body TEXT NOT NULL); "
               f"INSERT INTO plain SELECT * FROM docs; PRAGMA recursive_triggers = {recursive}")
    sync(db)

    def outcome(sql):
        try:
            db.execute(sql)
            return None
        except apsw.Error as error:
            return type(error), str(error).replace("plain.", "docs.")

    sql = CONFLICTING[case].format(clause)
    assert outcome(sql) == outcome(sql.replace("docs", "plain"))
    texts = dict(db.execute("SELECT id, body FROM docs"))
    assert list(db.execute("SELECT * FROM docs")) == list(db.execute("SELECT * FROM plain"))
    assert found(db) == set(texts)  # before any sync
    in_step(db, texts)
    assert value(db, "SELECT count(*) FROM idx_rows") == len(texts)


def test_a_displaced_row_is_never_found_and_removed_by_sync(any_host):
    start = [*UNIQUE.split(";"), "INSERT INTO idx(idx) VALUES ('sync')", "REPLACE INTO docs VALUES (9, 'b', 'a wire')"]
    search = "SELECT rowid FROM idx WHERE idx MATCH 'a bill' ORDER BY rowid"
    assert any_host.rows(*start, search) == [[1], [3], [9]]
    assert any_host.rows(*start, "SELECT rowid FROM idx WHERE idx MATCH 'a bill' AND k = 3 ORDER BY rowid") == [[1], [3], [9]]
    assert any_host.rows(*start, "SELECT bge_sync('idx')") == [[2]]
    assert any_host.rows(*start, "INSERT INTO idx(idx) VALUES ('sync')", "SELECT id FROM idx_rows ORDER BY id") == [[1], [3], [9]]


def test_a_unique_index_that_was_made_later_displaces_too(db):
    db.execute(f"{DOCS}; {INDEX}; {FILL}")
    sync(db)
    db.execute("CREATE UNIQUE INDEX u ON docs(lang, title); REPLACE INTO docs(id, title, lang) VALUES (8, 'Bill', 'de')")
    assert found(db) == {1, 3, 8}
    as_content(db)
    assert value(db, "SELECT count(*) FROM idx_rows") == 3


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
def test_foreign_keys(db, action):
    db.execute(f"""PRAGMA foreign_keys = on; CREATE TABLE users(id INTEGER PRIMARY KEY); INSERT INTO users VALUES (0), (1), (2), (3);
        CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT, user DEFAULT 0 REFERENCES users(id) ON DELETE {action} ON UPDATE {action});
        CREATE VIRTUAL TABLE idx USING bge(body, user UNINDEXED, content = docs, model = '{TINY}');
        INSERT INTO docs VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 2), (4, 'd', 3)""")
    sync(db)
    db.execute("DELETE FROM users WHERE id = 1; UPDATE users SET id = 20 WHERE id = 2")
    assert set(noted(db)) == {1, 2, 3}
    wanted = dict(db.execute("SELECT id, user FROM docs"))
    in_step(db, dict(db.execute("SELECT id, body FROM docs")))
    for user in {*wanted.values()} - {None}:
        assert {row[0] for row in db.execute("SELECT rowid FROM idx WHERE idx MATCH 'x' AND user = ?", (user,))} \
            == {rowid for rowid, its in wanted.items() if its == user}


def test_other_triggers_of_the_content_table(filled):
    filled.execute("""CREATE TRIGGER before_ BEFORE INSERT ON docs WHEN new.body = 'ignored' BEGIN SELECT raise(ignore); END;
        CREATE TRIGGER after_ AFTER INSERT ON docs WHEN new.title IS NULL BEGIN UPDATE docs SET title = 'made' WHERE id = new.id; END;
        CREATE TRIGGER gone AFTER UPDATE ON docs WHEN new.body = 'gone' BEGIN DELETE FROM docs WHERE id = new.id; END;
        INSERT INTO docs(id, body) VALUES (5, 'ignored'), (6, 'kept'); UPDATE docs SET body = 'gone' WHERE id = 1""")
    as_content(filled)
    assert found(filled) == {2, 3, 6}


# --- counts --------------------------------------------------------------------------------------

def test_a_text_that_comes_back_is_not_embedded_again(filled):
    before = inferences(filled)
    filled.execute("UPDATE docs SET body = ? WHERE id = 1; UPDATE docs SET body = 'a button' WHERE id = 1", (fresh_text(),))
    assert noted(filled) == [1, 1]
    assert sync(filled) == 0
    assert inferences(filled) == before and noted(filled) == []
    filled.execute("DELETE FROM docs WHERE id = 2; INSERT INTO docs(id, title, body, lang) VALUES (2, 'Bill', 'a page', 'nl')")
    assert sync(filled) == 1  # lang
    assert inferences(filled) == before
    assert list(filled.execute("SELECT rowid FROM idx WHERE idx MATCH 'router' AND lang = 'nl'")) == [(2,)]


def test_a_change_of_an_unindexed_value_embeds_nothing(filled):
    before = inferences(filled)
    filled.execute("UPDATE docs SET lang = 'nl'")
    assert sync(filled) == 3
    assert inferences(filled) == before
    assert [row[0] for row in filled.execute("SELECT rowid FROM idx WHERE lang = 'nl'")] == [1, 2, 3]


def test_several_indexes_on_one_table(filled):
    filled.execute(f"CREATE VIRTUAL TABLE two USING bge(body, content = docs, model = '{TINY}')")
    assert sync(filled, "two") == 3
    filled.execute("UPDATE docs SET title = 'x' WHERE id = 1")
    assert noted(filled, "two") == [] and noted(filled) == [1]
    filled.execute("UPDATE docs SET body = 'y' WHERE id = 2")
    assert noted(filled, "two") == [2]
    as_content(filled)
    in_step(filled, dict(filled.execute("SELECT id, body FROM docs")), "two")
    filled.execute("DROP TABLE idx")
    filled.execute("INSERT INTO docs(body) VALUES ('z')")
    in_step(filled, dict(filled.execute("SELECT id, body FROM docs")), "two")


def test_a_rolled_back_write_leaves_no_note(filled):
    filled.execute("BEGIN; UPDATE docs SET body = 'x'; DELETE FROM docs WHERE id = 1; ROLLBACK")
    assert noted(filled) == []
    filled.execute("BEGIN; SAVEPOINT s; UPDATE docs SET body = 'x' WHERE id = 2; ROLLBACK TO s; INSERT INTO docs(body) VALUES ('y'); COMMIT")
    assert noted(filled) == [4]
    as_content(filled)


def test_numbers_of_notes_are_never_used_again(filled):
    filled.execute("UPDATE docs SET body = body || '!'")
    last = value(filled, "SELECT max(seq) FROM idx_log")
    sync(filled)
    assert noted(filled) == []
    filled.execute("UPDATE docs SET body = body || '!'")
    assert value(filled, "SELECT min(seq) FROM idx_log") > last
    sync(filled)
    filled.execute("INSERT INTO idx(idx) VALUES ('rebuild')")
    filled.execute("UPDATE docs SET body = body || '!'")
    assert value(filled, "SELECT min(seq) FROM idx_log") > last + 3


# --- rebuilt, renamed, dropped -------------------------------------------------------------------

@pytest.mark.parametrize("legacy", ["off", "on"])
def test_the_twelve_step_rebuild(filled, legacy):
    filled.execute(f"""PRAGMA legacy_alter_table = {legacy}; PRAGMA foreign_keys = off; BEGIN;
        CREATE TABLE new_docs(id INTEGER PRIMARY KEY, lang TEXT, body TEXT, title TEXT, hits, more TEXT);
        INSERT INTO new_docs(id, lang, body, title) SELECT id, lang, body || '!', title FROM docs WHERE id <> 2;
        DROP TABLE docs; ALTER TABLE new_docs RENAME TO docs; COMMIT""")
    assert status(filled)["triggers"] == "lost"
    # Answered from what is stored; no row that is gone.
    assert found(filled) == {1, 3}
    filled.execute("INSERT INTO docs(id, body) VALUES (9, 'while they were lost')")
    as_content(filled)
    assert status(filled)["triggers"] == "on"
    filled.execute("UPDATE docs SET body = 'x' WHERE id = 1")
    assert noted(filled) == [1]
    as_content(filled)


@pytest.mark.parametrize("ending", ["ai", "ad", "au"])
def test_one_lost_trigger_is_made_again(filled, ending):
    filled.execute(f"DROP TRIGGER idx_{ending}")
    filled.execute("INSERT INTO docs(body) VALUES ('x'); DELETE FROM docs WHERE id = 1; UPDATE docs SET body = 'y' WHERE id = 2")
    assert status(filled)["triggers"] == "lost" and status(filled)["pending"] >= 1
    as_content(filled)
    assert status(filled)["triggers"] == "on"
    assert value(filled, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") == 3


def test_lost_triggers_are_not_forgotten_over_a_rollback(filled):
    """The schema's number is used again after a ROLLBACK."""
    for _ in range(3):
        filled.execute("BEGIN; DROP TRIGGER idx_au")
        assert status(filled)["triggers"] == "lost"
        filled.execute("ROLLBACK")
        assert status(filled)["triggers"] == "on"
        filled.execute("BEGIN; CREATE TABLE other(a); UPDATE docs SET body = body || '!'")
        assert sync(filled) == 3
        filled.execute("ROLLBACK")
    filled.execute("DROP TRIGGER idx_au; UPDATE docs SET body = 'lost' WHERE id = 1")
    as_content(filled)


@pytest.mark.parametrize("legacy", ["off", "on"])
def test_renames_of_content_and_columns(filled, legacy):
    filled.execute(f"PRAGMA legacy_alter_table = {legacy}; ALTER TABLE docs RENAME TO \"my \"\"papers\"\"\"")
    filled.execute("INSERT INTO \"my \"\"papers\"\"\"(id, body) VALUES (4, 'x')")
    assert status(filled)["triggers"] == "on" and status(filled)["content"] == 'my "papers"'
    as_content(filled, texts=TEXTS.replace("docs", '"my ""papers"""'))
    filled.execute("ALTER TABLE \"my \"\"papers\"\"\" RENAME TO docs; ALTER TABLE docs RENAME COLUMN body TO \"the text\"")
    filled.execute("ALTER TABLE docs RENAME COLUMN title TO body; ALTER TABLE docs RENAME COLUMN id TO \"the old.key\"")
    filled.execute("UPDATE docs SET \"the text\" = 'y' WHERE \"the old.key\" = 1; INSERT INTO docs(body, \"the text\", lang) VALUES ('t', 'u', 'nl')")
    texts = {1: "Router\ny", 2: "Bill\na page", 3: "days off", 4: "x", 5: "t\nu"}
    in_step(filled, texts)
    # The index keeps its own names.
    assert list(filled.execute("SELECT title, body, lang FROM idx WHERE rowid = 5")) == [("t", "u", "nl")]
    assert list(filled.execute("SELECT rowid FROM idx WHERE idx MATCH 'x' AND lang = 'nl'")) == [(5,)]
    filled.execute("INSERT INTO idx(idx) VALUES ('rebuild')")
    in_step(filled, texts)
    filled.execute("ALTER TABLE idx RENAME TO renamed")
    in_step(filled, texts, "renamed")
    filled.execute("UPDATE docs SET body = 'z' WHERE \"the old.key\" = 1")
    in_step(filled, {**texts, 1: "z\ny"}, "renamed")


def test_names_are_still_known_when_triggers_are_lost_after_a_rename(filled):
    filled.execute("ALTER TABLE docs RENAME COLUMN body TO words; ALTER TABLE docs RENAME TO papers")
    sync(filled)
    filled.execute("DROP TRIGGER idx_ai")
    filled.execute("INSERT INTO papers(id, words) VALUES (7, 'x')")
    as_content(filled, texts=TEXTS.replace("docs", "papers").replace("body", "words"))


def test_columns_added_and_dropped(filled):
    filled.execute("ALTER TABLE docs ADD COLUMN more TEXT DEFAULT 'd'; ALTER TABLE docs DROP COLUMN hits")
    filled.execute("UPDATE docs SET more = 'x'")
    assert noted(filled) == []
    filled.execute("UPDATE docs SET body = 'x' WHERE id = 1")
    as_content(filled)
    failure(filled, "ALTER TABLE docs DROP COLUMN body")
    as_content(filled)


def test_content_dropped(filled):
    filled.execute("DROP TABLE docs")
    assert "docs" in str(failure(filled, "SELECT * FROM idx WHERE idx MATCH 'x'"))
    assert "docs" in str(failure(filled, "SELECT bge_sync('idx')"))
    assert any("docs" in wrong for wrong in status(filled)["wrong"])
    filled.execute(f"{DOCS}; INSERT INTO docs(id, body) VALUES (2, 'a page')")
    assert found(filled) <= {2}
    as_content(filled)
    filled.execute("DROP TABLE docs; DROP TABLE idx")
    assert value(filled, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%idx%'") == 0


def test_a_rebuild_without_content_leaves_everything(filled):
    filled.execute("DROP TABLE docs; BEGIN")
    tables = ("config", "rows", "passages", "codes", "log")
    before = [list(filled.execute(f"SELECT * FROM idx_{suffix}")) for suffix in tables]
    assert "docs" in str(failure(filled, "INSERT INTO idx(idx) VALUES ('rebuild')"))
    assert [list(filled.execute(f"SELECT * FROM idx_{suffix}")) for suffix in tables] == before
    filled.execute("COMMIT")
    filled.execute(f"{DOCS}; INSERT INTO docs(id, body) VALUES (2, 'a page')")
    as_content(filled)


def test_a_rebuild_of_an_index_that_forgot_its_content(filled):
    filled.execute("DELETE FROM idx_config WHERE k IN ('content', 'key', 'columns'); DROP TRIGGER idx_ai; INSERT INTO docs(body) VALUES ('x')")
    filled.execute("INSERT INTO idx(idx) VALUES ('rebuild')")
    # Declared anew: as after CREATE, every row is pending and the first sync makes the triggers.
    assert (status(filled)["triggers"], status(filled)["pending"], triggers(filled)) == ("due", 4, set())
    as_content(filled)
    assert status(filled)["triggers"] == "on" and len(triggers(filled)) == 3


def test_an_index_without_content_can_be_renamed_and_dropped(filled):
    filled.execute("DROP TABLE docs; ALTER TABLE idx RENAME TO renamed")
    assert "docs" in str(failure(filled, "SELECT * FROM renamed WHERE renamed MATCH 'x'"))
    filled.execute("DROP TABLE renamed")
    assert value(filled, "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'") == 0


def test_a_table_that_takes_the_place_of_a_renamed_one(filled):
    filled.execute(f"ALTER TABLE docs RENAME TO old; {DOCS}; INSERT INTO docs(id, body) VALUES (50, 'of another table')")
    assert found(filled) == {1, 2, 3} and noted(filled) == []
    as_content(filled, texts=TEXTS.replace("docs", "old"))


def test_vacuum(filled):
    filled.execute("DELETE FROM docs WHERE id = 1; VACUUM; INSERT INTO docs(body) VALUES ('x')")
    as_content(filled)


def test_a_table_without_rowid(any_host):
    rows = any_host.rows(
        "CREATE TABLE docs(name TEXT, id INTEGER NOT NULL UNIQUE, body TEXT, PRIMARY KEY(name)) WITHOUT ROWID",
        f"CREATE VIRTUAL TABLE idx USING bge(body, name UNINDEXED, content = docs, content_rowid = id, model = '{TINY}')",
        "INSERT INTO docs VALUES ('b', 10, 'a router'), ('a', 20, 'a bill'), ('c', 30, 'a bird')", "INSERT INTO idx(idx) VALUES ('sync')",
        "UPDATE docs SET name = 'z' WHERE id = 10", "UPDATE docs SET id = 21 WHERE id = 20", "DELETE FROM docs WHERE name = 'c'",
        "REPLACE INTO docs VALUES ('z', 40, 'a wire')",  # displaces id 10 through the primary key
        "INSERT INTO idx(idx) VALUES ('sync')", "SELECT rowid, name, passage FROM idx WHERE idx MATCH 'x' ORDER BY rowid")
    assert rows == [[21, "a", "a bill"], [40, "z", "a wire"]]


def test_a_key_that_is_no_integer_is_left_alone(db):
    db.execute("CREATE TABLE docs(id UNIQUE, body TEXT); "
               f"CREATE VIRTUAL TABLE idx USING bge(body, content = docs, content_rowid = id, model = '{TINY}')")
    db.execute("INSERT INTO docs VALUES (NULL, 'a'), ('x', 'b'), (1.5, 'c'), (x'01', 'd'), (7, 'e'), (NULL, 'f')")
    in_step(db, {7: "e"})
    db.execute("UPDATE docs SET id = NULL WHERE id = 7; UPDATE docs SET id = 8 WHERE id = 'x'; UPDATE docs SET body = 'g' WHERE id IS NULL")
    in_step(db, {8: "b"})


# --- triggers of the user's that are called like ours --------------------------------------------

def triggers(db):
    return {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")}


@pytest.mark.parametrize("index", ["bge(body)", "bge(body, content = '')", "bge(body, content = docs, triggers = off)",
                                   "bge(body, content = seen, content_rowid = id)"], ids=["own", "nothing", "off", "view"])
def test_triggers_of_the_users_are_not_dropped(db, index):
    db.execute(f"{DOCS}; {FILL}; CREATE VIEW seen AS SELECT id, body FROM docs; CREATE TABLE feed(a)")
    for ending in ("ai", "AD", "au"):
        db.execute(f"CREATE TRIGGER idx_{ending} AFTER INSERT ON feed BEGIN SELECT 1; END")
        db.execute(f"CREATE TRIGGER new_{ending} AFTER INSERT ON docs BEGIN SELECT 1; END")
    before = triggers(db)
    db.execute(f"CREATE VIRTUAL TABLE idx USING {index[:-1]}, model = '{TINY}')")
    sync(db)
    if "''" not in index:
        db.execute("INSERT INTO idx(idx) VALUES ('rebuild')")
    db.execute("ALTER TABLE idx RENAME TO new; DROP TABLE new")
    assert triggers(db) == before


@pytest.mark.parametrize("ending", ["ai", "AD", "au"])
def test_a_trigger_of_the_users_in_the_place_of_ours(filled, ending):
    """It is named, nothing is half done, and it is there afterwards."""
    filled.execute(f"DROP TRIGGER idx_{ending}; CREATE TABLE feed(a); CREATE TRIGGER idx_{ending} AFTER INSERT ON docs BEGIN INSERT INTO feed VALUES (1); END")
    assert status(filled)["triggers"] == "lost"
    before = list(filled.execute("SELECT * FROM sqlite_schema")), list(filled.execute("SELECT * FROM idx_passages"))
    for begin, end in (("", ""), ("BEGIN", "COMMIT")):
        filled.execute(begin)
        for sql in ("INSERT INTO idx(idx) VALUES ('rebuild')", "SELECT bge_sync('idx')", "INSERT INTO idx(idx) VALUES ('sync')"):
            assert f"'idx_{ending}'" in str(failure(filled, sql))
            assert (list(filled.execute("SELECT * FROM sqlite_schema")), list(filled.execute("SELECT * FROM idx_passages"))) == before, sql
        filled.execute(end)
    assert found(filled) == {1, 2, 3}
    filled.execute("INSERT INTO docs(body) VALUES ('x')")
    filled.execute("SAVEPOINT s; DROP TABLE idx")
    assert triggers(filled) == {f"idx_{ending}"}
    filled.execute(f"ROLLBACK TO s; RELEASE s; DROP TRIGGER idx_{ending}")
    as_content(filled)
    assert status(filled)["triggers"] == "on"


def test_a_trigger_of_the_users_called_as_a_new_index(filled):
    filled.execute("CREATE TABLE feed(a); CREATE TRIGGER new_ai AFTER INSERT ON feed BEGIN SELECT 1; END")
    before = list(filled.execute("SELECT * FROM sqlite_schema"))
    for begin, end in (("", ""), ("BEGIN", "COMMIT")):
        filled.execute(begin)
        for sql in ("ALTER TABLE idx RENAME TO new", INDEX.replace("idx", "new")):
            assert "new_ai" in str(failure(filled, sql))
            assert list(filled.execute("SELECT * FROM sqlite_schema")) == before
        filled.execute(end)
    filled.execute("INSERT INTO docs(body) VALUES ('x')")
    as_content(filled)


def test_our_triggers_are_dropped_whatever_was_renamed(filled):
    filled.execute("ALTER TABLE docs RENAME TO \"it's \"\"docs\"\"\"; ALTER TABLE \"it's \"\"docs\"\"\" RENAME COLUMN body TO \"INSERT INTO\"")
    filled.execute("ALTER TABLE idx RENAME TO \"an \"\"index\"\"\"")
    assert triggers(filled) == {'an "index"_ai', 'an "index"_ad', 'an "index"_au'}
    filled.execute("INSERT INTO \"an \"\"index\"\"\"(\"an \"\"index\"\"\") VALUES ('rebuild')")
    assert len(triggers(filled)) == 3
    filled.execute("DROP TABLE \"an \"\"index\"\"\"")
    assert triggers(filled) == set()


# --- views, and triggers that are off ------------------------------------------------------------

def test_a_view_is_compared_by_hash(db):
    db.execute(f"""{DOCS}; {FILL}; CREATE VIEW v AS SELECT id AS key, title || ' ' || body AS text, lang FROM docs WHERE hits >= 0;
        CREATE VIRTUAL TABLE idx USING bge(text, lang UNINDEXED, content = v, content_rowid = key, model = '{TINY}')""")
    texts = "SELECT key, text FROM v"
    assert status(db)["triggers"] == "off" and status(db)["pending"] == 3
    as_content(db, texts=texts)
    before = inferences(db)
    assert sync(db) == 0 and inferences(db) == before
    db.execute("UPDATE docs SET title = 'new' WHERE id = 1; UPDATE docs SET hits = -1 WHERE id = 2; INSERT INTO docs(id, title, body) VALUES (9, 'a', 'b')")
    assert 2 not in found(db)
    assert value(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") == 0
    as_content(db, texts=texts)
    db.execute("DROP VIEW v; CREATE VIEW v AS SELECT id AS key, body AS text, lang FROM docs")
    as_content(db, texts=texts)
    db.execute("DROP TABLE idx")


def test_triggers_off(db):
    db.execute(f"{DOCS}; {INDEX[:-1]}, triggers = off); {FILL}")
    assert value(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") == 0
    as_content(db)
    before = inferences(db)
    db.execute("UPDATE docs SET lang = 'nl' WHERE id = 1; DELETE FROM docs WHERE id = 2; INSERT INTO docs(id, body) VALUES (8, 'x')")
    assert status(db)["triggers"] == "off"
    assert 2 not in found(db)
    assert sync(db) == 3
    as_content(db)
    assert inferences(db) <= before + 3  # the new text, and two questions of this test
    db.execute("INSERT INTO idx(idx) VALUES ('rebuild')")
    assert value(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") == 0
    as_content(db)


# --- hosts without the extension -----------------------------------------------------------------

def without(path, *statements):
    """The machine's sqlite3 without the extension."""
    done = run(["sqlite3", "-batch", "-init", "/dev/null", path, *statements])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_process_without_the_extension(connect, tmp_path, mode):
    path = tmp_path / "x.db"
    db = connect(database=path)
    assert value(db, f"PRAGMA journal_mode = {mode}") == mode
    db.execute(f"{DOCS}; {INDEX}; {FILL}")
    sync(db)
    without(path, "INSERT INTO docs(id, body) VALUES (7, 'by another')", "UPDATE docs SET body = 'x' WHERE id = 1", "DELETE FROM docs WHERE id = 2",
            "REPLACE INTO docs(id, body) VALUES (3, 'y')")
    assert sorted(set(noted(db))) == [1, 2, 3, 7]
    assert found(db) == {1, 3, 7}
    as_content(db)
    without(path, "VACUUM", "ALTER TABLE docs ADD COLUMN more", "ALTER TABLE docs RENAME COLUMN title TO heading", "ALTER TABLE docs RENAME TO papers",
            "ALTER TABLE papers DROP COLUMN hits", "CREATE INDEX i ON papers(lang)", "UPDATE papers SET heading = 'z' WHERE id = 1",
            "INSERT INTO papers(id, body) VALUES (8, 'w')", "VACUUM", "PRAGMA integrity_check")
    as_content(db, texts=TEXTS.replace("docs", "papers").replace("title", "heading"))
    assert without(path, "SELECT count(*) FROM idx_passages").strip() == "4"


def test_python_without_the_extension(connect, tmp_path):
    path = tmp_path / "x.db"
    db = connect(database=path)
    db.execute(f"{DOCS}; {INDEX}; {FILL}")
    plain = sqlite3.connect(path)
    with plain:
        plain.executemany("INSERT INTO docs(body) VALUES (?)", [("a",), ("b",)])
    plain.execute("DROP TABLE IF EXISTS unrelated")
    plain.close()
    as_content(db)


def test_a_restored_dump(connect, tmp_path):
    """`.dump` writes the tables of an index like any others; their names are those of shadow tables."""
    path = tmp_path / "x.db"
    db = connect(database=path)
    db.execute(f"{DOCS}; {INDEX}; {FILL}")
    sync(db)
    dump = without(path, ".dump")
    assert "CREATE TRIGGER \"idx_ai\"" in dump and "'CREATE VIRTUAL TABLE idx" in dump
    copy = sqlite3.connect(tmp_path / "y.db")
    copy.executescript(dump)
    copy.close()
    restored = connect(database=tmp_path / "y.db")
    assert found(restored) == {1, 2, 3}
    restored.execute("UPDATE docs SET body = 'x' WHERE id = 1")
    as_content(restored)


def test_untrusted_schemas_note_too(connect, tmp_path):
    db = connect(database=tmp_path / "x.db")
    db.execute(f"{DOCS}; {INDEX}; PRAGMA trusted_schema = off; {FILL}")
    as_content(db)


def test_an_error_in_one_host_is_the_same_in_all(any_host):
    with pytest.raises(HostError, match="docs"):
        any_host.rows(DOCS, INDEX, "INSERT INTO idx(body) VALUES ('a')")
