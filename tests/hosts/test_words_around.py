"""Words beside what users have around them: triggers of their own, names that are taken, a host without FTS5, questions without end."""

import apsw
import pytest
from support import TINY, connect, failure, value

OVER = f"CREATE VIRTUAL TABLE t USING bge(body, content='docs', words=on, model='{TINY}')"
TEXTS = "SELECT id, body FROM docs"


def check(db):
    db.execute("INSERT INTO t(t) VALUES ('integrity-check')")


def asked(db, question, ranking="words", index="t"):
    return [row for row, in db.execute(f'SELECT rowid FROM "{index}" WHERE "{index}" MATCH ? AND rank MATCH ? ORDER BY rank', (question, ranking))]


# --- triggers of the user's -----------------------------------------------------------------------

TRIGGERS = {
    "changes what is inserted": "AFTER INSERT ON docs BEGIN UPDATE docs SET body = lower(new.body) || ' seen' WHERE id = new.id; END",
    "changes what is updated": "AFTER UPDATE OF body ON docs WHEN new.body NOT LIKE '% seen' "
                               "BEGIN UPDATE docs SET body = new.body || ' seen' WHERE id = new.id; END",
    "deletes what is inserted": "AFTER INSERT ON docs WHEN new.body LIKE 'spam%' BEGIN DELETE FROM docs WHERE id = new.id; END",
    "keeps what is deleted": "AFTER DELETE ON docs BEGIN INSERT INTO docs VALUES (old.id, 'gone ' || old.body); END",
    "before": "BEFORE UPDATE ON docs BEGIN DELETE FROM docs WHERE id = old.id + 1; END",
}


@pytest.mark.parametrize("made", ["before the index", "after the index", "after a sync"])
@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS)
def test_a_trigger_of_the_user_s_changes_the_texts(db, trigger, made):
    """In whatever order SQLite fires it and ours, the next sync has the words of what is there; until then they are pending, not damaged."""
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'The FIRST'), (2, 'a second'), (3, 'Third')")
    steps = [("before the index", f"CREATE TRIGGER own {trigger}"), ("", OVER), ("after the index", f"CREATE TRIGGER own {trigger}"),
             ("", "SELECT bge_sync('t')"), ("after a sync", f"CREATE TRIGGER own {trigger}")]
    for when, sql in steps:
        if when in ("", made):
            db.execute(sql).fetchall()
    for sql in ("INSERT INTO docs VALUES (7, 'HELLO there')", "INSERT INTO docs VALUES (8, 'spam and eggs')", "UPDATE docs SET body = 'Changed' WHERE id = 1",
                "DELETE FROM docs WHERE id = 2", "UPDATE docs SET id = 20 WHERE id = 3", "INSERT OR REPLACE INTO docs VALUES (7, 'HELLO again')"):
        db.execute(sql)
        check(db)
    value(db, "SELECT bge_sync('t')")
    columns = "c0, tokenize='porter unicode61'"
    db.execute(f"CREATE VIRTUAL TABLE temp.anew USING fts5({columns}); INSERT INTO temp.anew(rowid, c0) {TEXTS}")
    assert list(db.execute("SELECT rowid, * FROM t_words ORDER BY 1")) == list(db.execute("SELECT rowid, * FROM anew ORDER BY 1"))
    db.execute("DROP TABLE temp.anew")
    check(db)
    for id, body in list(db.execute(TEXTS)):
        assert id in asked(db, body.split()[-1])


# --- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("taken", ["CREATE TABLE t_words(x)", "CREATE VIEW t_words AS SELECT 1 AS x", "CREATE VIRTUAL TABLE t_words USING fts5(mine)",
                                   "CREATE TABLE T_Words_Data(x)", "CREATE INDEX t_words_idx ON docs(body)"])
def test_a_name_that_the_words_would_have_is_taken(db, taken):
    """It is the user's, and not a damaged index's: at CREATE and at RENAME."""
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'reset your device')")
    db.execute(taken)
    before = list(db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name"))
    error = failure(db, OVER)
    assert "already" in str(error) and "t_words" in str(error).lower() and "damaged" not in str(error) and "DROP" not in str(error)
    assert list(db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name")) == before
    db.execute(OVER.replace("TABLE t ", "TABLE u "))
    error = failure(db, "ALTER TABLE u RENAME TO t")
    assert "already" in str(error) and "t_words" in str(error).lower()
    assert asked(db, "device", index="u") == [1]
    db.execute("DROP TABLE u")
    assert list(db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name")) == before


def test_a_stranger_in_the_place_of_the_words_is_not_dropped(db):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'reset your device')")
    db.execute(OVER)
    db.execute("DROP TABLE t_words; CREATE VIRTUAL TABLE t_words USING fts5(mine); INSERT INTO t_words VALUES ('precious')")
    db.execute("DROP TABLE t")
    assert value(db, "SELECT mine FROM t_words") == "precious"


def test_a_wrong_version_of_fts5_is_mended(tmp_path):
    db = connect(database=tmp_path / "d.db")
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'reset your device')")
    db.execute(OVER)
    value(db, "SELECT bge_sync('t')")
    db.execute("UPDATE t_words_config SET v = 99 WHERE k = 'version'")
    db.close()
    db = connect(database=tmp_path / "d.db")
    assert "rebuild" in str(failure(db, "SELECT rowid FROM t WHERE t MATCH 'device' AND rank MATCH 'words'"))
    db.execute("INSERT INTO t(t) VALUES ('rebuild')")
    value(db, "SELECT bge_sync('t')")
    assert asked(db, "device") == [1]
    check(db)
    db.close()


# --- hosts -----------------------------------------------------------------------------------------


def without_fts5(db):
    db.drop_modules([name for name, in db.execute("SELECT name FROM pragma_module_list") if not name.startswith("fts")])
    return db


def test_a_host_without_fts5(tmp_path):
    """CREATE says so, and so does whatever needs words; the rest goes on."""
    db = connect(database=tmp_path / "d.db")
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'reset your device')")
    db.execute(OVER)
    value(db, "SELECT bge_sync('t')")
    db.close()
    db = without_fts5(connect(database=tmp_path / "d.db"))
    assert not list(db.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'"))
    for words in ("on", "'t_words'"):
        assert "built without" in str(failure(db, OVER.replace("TABLE t ", "TABLE u ").replace("words=on", f"words={words}")))
    assert list(db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'u%'")) == []
    message = str(failure(db, "SELECT rowid FROM t WHERE t MATCH 'device' AND rank MATCH 'words'"))
    assert "built without FTS5" in message and "rank MATCH 'meaning'" in message and "damaged" not in message
    assert asked(db, "device", "meaning") == [1]
    failure(db, "DROP TABLE t")  # SQLite passes on no message of a DROP
    assert asked(db, "device", "meaning") == [1]
    assert "fts5" in str(failure(db, "INSERT INTO docs VALUES (2, 'x')")), "as docs/SQL.md says"
    db.close()
    db = connect(database=tmp_path / "d.db")
    assert asked(db, "device") == [1]
    db.execute("DROP TABLE t")
    db.close()


# --- questions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranking", ["words", "hybrid"])
def test_a_question_of_thousands_of_common_words_is_answered_soon(db, ranking):
    """Each of them is in every row: they are not all counted to the end."""
    names = [f"w{n}" for n in range(2_000)]
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
    with db:
        db.executemany("INSERT INTO docs(body) VALUES (?)", ((f"{names[n % 40]} " * 3 + "common usual plain",) for n in range(30_000)))
    db.execute(OVER)
    marks = ".,;:!?()"
    spellings = [marks[n % 8] + word + marks[n // 8 % 8] * (n % 5) for n in range(3_000) for word in ("common", "usual", "plain")]
    counted = []
    db.set_profile(lambda sql, took: counted.append(sql))
    rows = list(db.execute("SELECT rowid FROM t WHERE t MATCH ? AND rank MATCH ? ORDER BY rank LIMIT 3", (" ".join(spellings), ranking)))
    assert len(rows) == 3
    assert sum("count(*) FROM (SELECT 1 FROM" in sql and "MATCH" in sql for sql in counted) < 50


def test_what_fts5_takes_no_word_of_is_told(db):
    """A trigram table without places knows no word of more than three letters."""
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'reset your device')")
    db.execute("CREATE VIRTUAL TABLE f USING fts5(body, content='docs', content_rowid='id', tokenize='trigram', detail=none); INSERT INTO f(f) VALUES ('rebuild')")
    db.execute(OVER.replace("words=on", "words='f'"))
    message = str(failure(db, "SELECT rowid FROM t WHERE t MATCH 'device' AND rank MATCH 'words'"))
    assert "FTS5 table 'f'" in message and "phrase queries are not supported" in message
    assert asked(db, "dev") == [1]


# --- what a connection may change ------------------------------------------------------------------


def test_like_means_what_the_host_says_and_an_index_is_whole(db):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'reset your device')")
    db.execute("PRAGMA case_sensitive_like = ON")
    db.create_scalar_function("like", lambda *_: 0, 2)
    db.limit(apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 3)
    db.execute(OVER)
    assert value(db, "SELECT bge_sync('t')") == 1 and asked(db, "device") == [1]
    assert value(db, "SELECT bge_status('t') ->> '$.wrong'") == "[]"
    check(db)


@pytest.mark.parametrize("table", ["t_rows", "t_passages", "t_config", "t_log", "t_words_data", "t_words_docsize", "t_words_config"])
def test_a_missing_table_is_damage_that_rebuild_mends(tmp_path, table):
    db = connect(database=tmp_path / "d.db")
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'reset your device')")
    db.execute(OVER)
    value(db, "SELECT bge_sync('t')")
    db.execute("PRAGMA writable_schema = ON")
    db.execute("DELETE FROM sqlite_schema WHERE name = ? OR tbl_name = ? AND type = 'index'", (table, table))
    db.execute("PRAGMA writable_schema = RESET")
    db.close()
    db = connect(database=tmp_path / "d.db")
    assert value(db, "SELECT bge_status('t') ->> '$.wrong'") != "[]"
    if table == "t_log":
        value(db, "SELECT bge_sync('t')")
    else:
        for sql in ("INSERT INTO t(t) VALUES ('integrity-check')", "SELECT rowid FROM t WHERE t MATCH 'device' AND rank MATCH 'hybrid'"):
            error = failure(db, sql)
            assert isinstance(error, apsw.CorruptError) and "'rebuild'" in str(error), sql
    db.execute("INSERT INTO t(t) VALUES ('rebuild')")
    db.execute("INSERT INTO docs VALUES (2, 'another device')")
    value(db, "SELECT bge_sync('t')")
    assert sorted(asked(db, "device")) == [1, 2] and value(db, "SELECT bge_status('t') ->> '$.wrong'") == "[]"
    check(db)
    db.close()


def test_a_default_ranking_that_cannot_be_read_is_told_and_goes_with_a_rebuild(db):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'reset your device')")
    db.execute(OVER)
    value(db, "SELECT bge_sync('t')")
    for kept in ("hybrid", "meaning, mmr(0.5, 9)"):
        db.execute("INSERT INTO t(t, rank) VALUES ('rank', ?)", (kept,))
        db.execute("INSERT INTO t(t) VALUES ('rebuild')")
        assert value(db, "SELECT bge_status('t') ->> '$.rank'") == kept
    db.execute("UPDATE t_config SET v = 'nope' WHERE k = 'rank'")
    assert "no stage 'nope'" in value(db, "SELECT bge_status('t') ->> '$.wrong'")
    db.execute("INSERT INTO t(t) VALUES ('rebuild')")
    assert value(db, "SELECT bge_status('t') ->> '$.rank'") is None and value(db, "SELECT bge_status('t') ->> '$.wrong'") == "[]"


def test_a_full_disk_is_called_so(tmp_path):
    db = connect(database=tmp_path / "d.db")
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
    db.executemany("INSERT INTO docs(body) VALUES (?)", ((f"a text of some length with the number {n}",) for n in range(2_000)))
    db.execute(f"PRAGMA max_page_count = {value(db, 'PRAGMA page_count') + 30}")
    assert isinstance(failure(db, OVER), apsw.FullError)
    assert value(db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 't%'") == 0 and value(db, "SELECT count(*) FROM docs") == 2_000
    db.close()
