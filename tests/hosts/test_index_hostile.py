"""Files that somebody made to do harm: what looks like a shadow table is a view over the index, another module's table, or has
triggers that write the index. Every statement ends, with rows or an error; none takes the process with it, and no
foreign trigger runs. Under the default `trusted_schema = ON`.

Each case runs in a process of its own: a stack that overflows ends it.
"""

import json
import sqlite3

import pytest
from support import connect, run_python, value

COLUMNS = {
    "config": ["k", "v"], "log": ["seq", "id"], "rows": ["id", "hash", "problem", "c1"], "text": ["id", "c0", "c1"],
    "passages": ["slot", "row", "start", "stop", "vector"], "codes": ["chunk", "stamp", "used", "live", "codes"],
}
KEEPS = {"own": "config log rows text passages codes", "docs_bge": "config log rows passages codes"}
KINDS = {
    "own": ["CREATE VIRTUAL TABLE own USING bge(body, lang UNINDEXED, model='tiny-bert')",
            "INSERT INTO own(rowid, body, lang) VALUES (1, 'reset the device', 'en'), (2, 'machine learning', 'de'), (3, 'i love nlp', 'en')"],
    "docs_bge": ["CREATE TABLE docs(id INTEGER PRIMARY KEY, body, lang)",
                 "CREATE VIRTUAL TABLE docs_bge USING bge(body, lang UNINDEXED, content='docs', model='tiny-bert')",
                 "INSERT INTO docs VALUES (1, 'reset the device', 'en'), (2, 'machine learning', 'de'), (3, 'i love nlp', 'en')"],
}
STATEMENTS = {
    "search": "SELECT rowid FROM {t} WHERE {t} MATCH 'device'", "search by vector": "SELECT rowid FROM {t}(zeroblob(128), 2)",
    "scan": "SELECT * FROM {t}", "lookup": "SELECT * FROM {t} WHERE rowid = 2", "count": "SELECT count(*) FROM {t}",
    "status": "SELECT bge_status('{t}')", "check": "INSERT INTO {t}({t}) VALUES ('integrity-check')", "pragma": "PRAGMA integrity_check",
    "quick": "PRAGMA quick_check", "insert": "INSERT INTO {t}(rowid, body, lang) VALUES (9, 'new', 'en')", "update": "UPDATE {t} SET lang = 'fr' WHERE rowid = 1",
    "vector": "UPDATE {t} SET embedding = zeroblob(128) WHERE rowid = 2", "delete": "DELETE FROM {t} WHERE rowid = 3", "sync": "SELECT bge_sync('{t}')",
    "sync command": "INSERT INTO {t}({t}) VALUES ('sync')", "optimize": "INSERT INTO {t}({t}) VALUES ('optimize')",
    "rebuild": "INSERT INTO {t}({t}) VALUES ('rebuild')", "resync": "SELECT bge_sync('{t}')", "search again": "SELECT rowid FROM {t} WHERE {t} MATCH 'love'",
    "write content": "INSERT INTO docs(body) VALUES ('more')", "rename": "ALTER TABLE {t} RENAME TO renamed",
    "search renamed": "SELECT rowid FROM renamed WHERE renamed MATCH 'device'", "drop renamed": "DROP TABLE renamed", "drop": "DROP TABLE {t}",
}
CHILD = """
import json, apsw
from sessions import NewestSession, SystemSession
file, session, index, statements = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
host = {"newest": NewestSession, "system": SystemSession}[session](file)
for name, sql in statements.items():
    print(f"> {name}", flush=True)
    [answer] = host.ask([(sql.replace("{t}", index), {})])
    print(json.dumps([name, f"{answer}" if isinstance(answer, Exception) else None,
                      None if isinstance(answer, Exception) else [[str(cell) for cell in row] for row in answer]]), flush=True)
host.close()
"""


def make(path, kind):
    db = connect(database=path)
    for sql in KINDS[kind]:
        db.execute(sql)
    value(db, "SELECT bge_sync(?)", kind)
    for sql in {"own": ["INSERT INTO own(rowid, body) VALUES (4, 'pending')"], "docs_bge": ["INSERT INTO docs VALUES (4, 'pending', 'en')"]}[kind]:
        db.execute(sql)
    db.close()


def tamper(path, *statements):
    """By a program without the extension."""
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE evil_ran(what)")
    for sql in statements:
        db.execute(sql)
    db.commit()
    db.close()


def run(path, index, session="newest", statements=STATEMENTS):
    """name -> (error, rows) of each statement, in a process of its own."""
    printed = run_python(CHILD, path, session, index, json.dumps(statements), timeout=120)
    answers = [json.loads(line) for line in printed.splitlines() if line.startswith("[")]
    assert [name for name, *_ in answers] == list(statements)
    for name, error, _ in answers:
        assert error is None or ("panic" not in error and len(error) > 8), (name, error)
    return {name: (error, rows) for name, error, rows in answers}


def nothing_ran(path):
    db = sqlite3.connect(path)
    assert db.execute("SELECT * FROM evil_ran").fetchall() == []
    db.close()


CASES = [(kind, suffix) for kind in KINDS for suffix in KEEPS[kind].split()]
# What looks at the table in question: it must be an error there. (`drop` and `rename` may go either way, they must end.)
READERS = {"config": ["search", "insert", "sync", "check"], "rows": ["search", "check", "sync"], "passages": ["search", "check"],
           "text": ["search", "insert", "sync"], "codes": ["check", "vector"], "log": ["sync", "search"]}


def refused(answers, kind, suffix):
    for name in READERS[suffix]:
        if name == "insert" and kind == "docs_bge":
            continue
        error, _ = answers[name]
        assert error is not None, f"{name} took {suffix} for a table of the index: {answers[name]}"
    error, rows = answers["status"]
    assert error is None and json.loads(rows[0][0])["wrong"], "bge_status says nothing"


@pytest.mark.parametrize("kind,suffix,session", [(*case, "newest") for case in CASES] + [("own", "rows", "system"), ("docs_bge", "log", "system")])
def test_a_view_over_the_index_in_the_place_of_a_shadow_table(tmp_path, kind, suffix, session):
    path = tmp_path / "h.db"
    make(path, kind)
    columns = ", ".join(f"rowid AS {column}" for column in COLUMNS[suffix])
    tamper(path, f"DROP TABLE {kind}_{suffix}", f"CREATE VIEW {kind}_{suffix} AS SELECT {columns} FROM {kind}",
           f"CREATE TRIGGER evil INSTEAD OF INSERT ON {kind}_{suffix} BEGIN INSERT INTO evil_ran VALUES (1); INSERT INTO {kind}(body) VALUES ('x'); END",
           f"CREATE TRIGGER evil_2 INSTEAD OF DELETE ON {kind}_{suffix} BEGIN INSERT INTO evil_ran VALUES (2); DELETE FROM {kind}; END",
           f"CREATE TRIGGER evil_3 INSTEAD OF UPDATE ON {kind}_{suffix} BEGIN INSERT INTO evil_ran VALUES (3); UPDATE {kind} SET body = 'x'; END")
    statements = {name: sql for name, sql in STATEMENTS.items() if not (suffix == "log" and name == "write content")}
    answers = run(path, kind, session, statements)
    refused(answers, kind, suffix)
    nothing_ran(path)


@pytest.mark.parametrize("kind,suffix", CASES)
def test_a_view_that_searches_the_index(tmp_path, kind, suffix):
    path = tmp_path / "h.db"
    make(path, kind)
    columns = ", ".join(f"rowid AS {column}" for column in COLUMNS[suffix])
    tamper(path, f"DROP TABLE {kind}_{suffix}", f"CREATE VIEW {kind}_{suffix} AS SELECT {columns} FROM {kind} WHERE {kind} MATCH zeroblob(128)")
    refused(run(path, kind), kind, suffix)


@pytest.mark.parametrize("kind,suffix,when", [(*case, "AFTER") for case in CASES] + [("own", "rows", "BEFORE"), ("docs_bge", "log", "BEFORE")])
def test_a_trigger_on_a_shadow_table(tmp_path, kind, suffix, when):
    """It may write the index, so that it recurses, or anything else: it is not of the index, and does not run."""
    path = tmp_path / "h.db"
    make(path, kind)
    event = {"INSERT": f"INSERT INTO {kind}({kind}) VALUES ('sync'); INSERT INTO {kind}(body) VALUES ('x')", "DELETE": f"DELETE FROM {kind}",
             "UPDATE": f"UPDATE {kind} SET lang = 'x'; SELECT count(*) FROM {kind}('x')"}
    tamper(path, *(f"CREATE TRIGGER evil_{name} {when} {name} ON {kind}_{suffix} BEGIN INSERT INTO evil_ran VALUES ('{name}'); {body}; END"
                   for name, body in event.items()))
    # The triggers of the content table write the log by themselves, whoever runs them.
    statements = {name: sql for name, sql in STATEMENTS.items() if not (suffix == "log" and name == "write content")}
    answers = run(path, kind, "newest", statements)
    nothing_ran(path)
    writers = {"config": ["sync"], "log": ["sync"], "rows": ["sync"], "passages": ["sync"], "codes": ["optimize"], "text": ["insert"]}[suffix]
    for name in writers:
        assert answers[name][0] is not None, f"{name} wrote {suffix} as if the trigger were not there"
    assert json.loads(answers["status"][1][0][0])["wrong"]


@pytest.mark.parametrize("kind,suffix", CASES)
def test_another_module_in_the_place_of_a_shadow_table(tmp_path, kind, suffix):
    """An index over the index, or FTS5."""
    columns = [c for c in COLUMNS[suffix] if c != "id"]
    for module in (f"bge({', '.join(columns)}, model='tiny-bert')", f"fts5({', '.join(columns)})", f"bge(body, content='{kind}', content_rowid='rowid')"):
        path = tmp_path / f"{module[:5]}{len(module)}.db"
        make(path, kind)
        tamper(path, f"DROP TABLE {kind}_{suffix}")
        db = connect(database=path)
        db.execute("PRAGMA writable_schema = ON")
        db.execute("INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) VALUES ('table', ?1, ?1, 0, ?2)",
                   (f"{kind}_{suffix}", f"CREATE VIRTUAL TABLE {kind}_{suffix} USING {module}"))
        db.close()
        refused(run(path, kind), kind, suffix)


def test_two_indexes_that_are_each_other_s_shadow(tmp_path):
    path = tmp_path / "h.db"
    db = connect(database=path)
    db.execute("CREATE VIRTUAL TABLE a USING bge(body, content=''); CREATE VIRTUAL TABLE b USING bge(body, content='')")
    db.execute("INSERT INTO a(rowid, embedding) VALUES (1, zeroblob(128)); INSERT INTO b(rowid, embedding) VALUES (1, zeroblob(128))")
    db.close()
    tamper(path, "DROP TABLE a_rows", "DROP TABLE b_rows", "CREATE VIEW a_rows AS SELECT rowid AS id, x'' AS hash, NULL AS problem FROM b",
           "CREATE VIEW b_rows AS SELECT rowid AS id, x'' AS hash, NULL AS problem FROM a")
    statements = {name: sql for name, sql in STATEMENTS.items() if name != "write content"}
    answers = run(path, "a", statements=statements)
    assert answers["scan"][0] and answers["search by vector"][0]


@pytest.mark.parametrize("name", ["a_rows", "a_config"])
def test_two_indexes_whose_triggers_write_each_other(tmp_path, name):
    path = tmp_path / "h.db"
    db = connect(database=path)
    db.execute("CREATE VIRTUAL TABLE a USING bge(body, content=''); CREATE VIRTUAL TABLE b USING bge(body, content='')")
    db.close()
    tamper(path, f"CREATE TRIGGER evil AFTER INSERT ON {name} BEGIN INSERT INTO evil_ran VALUES (1); INSERT INTO b(embedding) VALUES (zeroblob(128)); END",
           f"CREATE TRIGGER evil_2 AFTER INSERT ON {name.replace('a_', 'b_')} BEGIN INSERT INTO a(embedding) VALUES (zeroblob(128)); END")
    answers = run(path, "a", statements={"one": "INSERT INTO a(embedding) VALUES (zeroblob(128))", "two": "INSERT INTO b(embedding) VALUES (zeroblob(128))",
                                         "status": STATEMENTS["status"], "drop": STATEMENTS["drop"]})
    assert answers["one"][0] and answers["two"][0]
    nothing_ran(path)


def test_nested_use_of_an_index_from_its_own_statements_is_an_error(tmp_path):
    """A view as content that searches the index it is the content of, and one that syncs it."""
    path = tmp_path / "h.db"
    db = connect(database=path)
    db.execute("""CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'a'), (2, 'b');
        CREATE VIEW seen AS SELECT id, body FROM docs;
        CREATE VIRTUAL TABLE t USING bge(body, content='seen', content_rowid='id', model='tiny-bert')""")
    value(db, "SELECT bge_sync('t')")
    db.close()
    tamper(path, "DROP VIEW seen", "CREATE VIEW seen AS SELECT id, body || (SELECT count(*) FROM t('x')) AS body FROM docs")
    statements = {name: sql for name, sql in STATEMENTS.items() if name != "write content"}
    answers = run(path, "t", statements=statements)
    assert answers["search"][0] and answers["sync"][0]


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_file_answers_all_of_these(tmp_path, kind):
    """The same statements on the file before anybody touched it, and with a trigger of the user's on the content."""
    path = tmp_path / "h.db"
    make(path, kind)
    tamper(path, *(["CREATE TRIGGER mine AFTER UPDATE ON docs BEGIN SELECT count(*) FROM docs_bge; END"] if kind == "docs_bge" else []))
    answers = run(path, kind)
    refusals = {name for name, (error, _) in answers.items() if error}
    expected = {"own": {"write content", "drop"}, "docs_bge": {"insert", "update", "delete", "drop"}}[kind]
    assert refusals == expected, {name: answers[name] for name in refusals}
    assert json.loads(answers["status"][1][0][0])["wrong"] == []
