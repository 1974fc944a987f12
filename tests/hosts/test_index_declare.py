"""CREATE VIRTUAL TABLE ... USING bge: what can be declared, what cannot and how that is said, and what is left behind."""

import json

import apsw
import pytest
from support import ROOT, TINY, CommandLine, HostError, blob, failure, value

DOCS = "CREATE TABLE docs(id INTEGER PRIMARY KEY, title TEXT, body TEXT, lang TEXT)"


def create(db, arguments, name="idx", schema=None):
    db.execute(f"CREATE VIRTUAL TABLE {schema + '.' if schema else ''}{name} USING bge({arguments})")


def schema_of(db, schema="main"):
    """Everything that a schema has, but what SQLite adds by itself."""
    sql = f"SELECT type, name, tbl_name, sql FROM {schema}.sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
    return list(db.execute(sql))


def names_of(db, schema="main"):
    return [row[1] for row in schema_of(db, schema)]


def sync(db, name="idx"):
    return value(db, "SELECT bge_sync(?)", name)


def found(db, name="idx", query="reset the router"):
    """The rowids that a search gives, in the order of the rowids."""
    return sorted(row[0] for row in db.execute(f"SELECT rowid FROM {name} WHERE {name} MATCH ?", (query,)))


# --- arguments -----------------------------------------------------------------------------------

OPTIONS = ["content", "content_rowid", "model", "triggers", "catchup", "chunk_tokens", "overlap", "storage", "words", "words_tokenize"]

# arguments -> what the message must name
WRONG = {
    "": ["column"],
    "lang UNINDEXED": ["column"],
    "body, contents = 'docs'": ["contents", *OPTIONS],
    "body, storage = 'f64'": ["storage", "f64", "f32", "f16", "int8"],
    "body, storage = ''": ["storage", "f32", "f16", "int8"],
    "body, triggers = 'perhaps', content = docs": ["triggers", "perhaps", "on", "off"],
    "body, catchup = -1": ["catchup", "-1"],
    "body, catchup = many": ["catchup", "many"],
    "body, catchup = 1.5": ["catchup", "1.5"],
    "body, chunk_tokens = 0": ["chunk_tokens", "0"],
    "body, chunk_tokens = 'x'": ["chunk_tokens", "x"],
    "body, overlap = 'x'": ["overlap", "x"],
    "body, chunk_tokens = 20, overlap = 20": ["overlap", "20", "chunk_tokens"],
    "body, model = ''": ["model"],
    "body, model = '../x'": ["../x"],
    "body, content = docs, content = docs": ["content", "twice"],
    "body, content_rowid = 'id'": ["content_rowid", "content"],
    "body, content = '', content_rowid = 'id'": ["content_rowid", "content"],
    "body, triggers = on": ["triggers", "content"],
    "body, content =": ["content"],
    "body, content = docs extra": ["content"],
    "body, content = nowhere": ["nowhere", "main"],
    "body, text, content = docs": ["text", "docs", "title", "body", "lang"],
    "body, content = docs, content_rowid = 'key'": ["docs", "key", "content_rowid"],
    "body, content = docs, content_rowid = 'lang'": ["lang", "docs", "integer"],
    "body, body": ["body", "twice"],
    "body, BODY UNINDEXED": ["BODY", "twice"],
    "body TEXT COLLATE NOCASE": ["body", "UNINDEXED"],
    "body INTEGER": ["body", "UNINDEXED"],
    "body, lang UNINDEXED TEXT": ["lang", "UNINDEXED"],
    "body, lang TEXT COLLATE UNINDEXED": ["lang"],
    "body, lang COLLATE dutch UNINDEXED": ["dutch", "BINARY", "NOCASE", "RTRIM"],
    "body, lang TEXT NOT NULL UNINDEXED": ["lang"],
    "body, a b c DEFAULT 3 UNINDEXED": ["DEFAULT"],
    "body, k": ["k"],
    "body, distance UNINDEXED": ["distance"],
    "body, \"Score\" UNINDEXED": ["Score"],
    "body, passage": ["passage"],
    "body, embedding": ["embedding"],
    "body, rowid": ["rowid"],
    "body, oid UNINDEXED": ["oid"],
    "body, _rowid_": ["_rowid_"],
    "body, idx": ["idx"],
    "body, Idx UNINDEXED": ["Idx"],
    "body, \"\"": ["name"],
    "body, 'open": [],
    "body, a-b": ["a-b"],
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_arguments_are_named_and_leave_nothing(db, arguments):
    db.execute(DOCS)
    before = schema_of(db)
    with pytest.raises(apsw.SQLError) as error:
        create(db, arguments)
    for word in WRONG[arguments]:
        assert word.lower() in str(error.value).lower(), f"{word}: {error.value}"
    assert schema_of(db) == before
    create(db, "body, content = docs")  # the name is free, the connection well
    assert "idx" in names_of(db)


@pytest.mark.parametrize("arguments", [
    "body", "body TEXT", "body, lang UNINDEXED", "body, lang TEXT COLLATE NOCASE UNINDEXED", "title, body, lang VARCHAR(10) UNINDEXED",
    "body, n DECIMAL(10, 2) UNINDEXED", "body, content=docs", "body, content = 'docs'", 'body, content="docs"', "body, content=[docs]",
    "body, content=`docs`", "body,content=DOCS,content_rowid=ID", "body, content=docs, content_rowid=rowid", "BODY, Lang unindexed, CONTENT=docs",
    "body, storage=f32", "body, storage='F16'", "body, storage=int8", "body, catchup=0", "body, chunk_tokens=16, overlap=4",
    "body, triggers=off, content=docs", "body, triggers='on', content=docs", "body, content=''", "content='docs', body, storage=f16, lang UNINDEXED",
    "/* what */ body -- here\n , lang UNINDEXED", "body, model='no-such-model'",
])
def test_what_can_be_declared(db, arguments):
    db.execute(DOCS)
    create(db, arguments)
    assert json.loads(value(db, "SELECT bge_status('idx')"))["wrong"] == []
    db.execute("DROP TABLE idx")
    assert names_of(db) == ["docs"]


@pytest.mark.parametrize("name", ["k", "distance", "Score", "rowid", "embedding"])
def test_an_index_cannot_be_called_like_its_hidden_columns(db, name):
    assert name in str(failure(db, f"CREATE VIRTUAL TABLE {name} USING bge(body)"))
    assert names_of(db) == []


def test_the_columns_of_an_index(db):
    create(db, "title, body, lang TEXT COLLATE NOCASE UNINDEXED")
    columns = [(row[1], row[2], row[6]) for row in db.execute("PRAGMA table_xinfo(idx)")]
    assert [c[0] for c in columns] == ["title", "body", "lang", "idx", "k", "distance", "score", "passage", "embedding",
                                        "rank", "by_meaning", "by_words", "bm25", "rerank", "start", "stop"]
    assert [c[2] for c in columns] == [0] * 3 + [1] * 13  # 1: hidden
    assert columns[2][1] == "TEXT"
    assert list(db.execute("SELECT * FROM idx")) == []


def test_the_catalogue_lists_the_names_of_the_index():
    lines = [line.split() for line in (ROOT / "sql" / "catalogue.txt").read_text().splitlines()]
    for wanted in (["module", "bge", "readonly"], ["function", "bge_sync", "1", "directonly"], ["function", "bge_sync", "2", "directonly"],
                   ["function", "bge_status", "1", "directonly", "readonly"]):
        assert wanted in lines


# --- content -------------------------------------------------------------------------------------

def test_content_that_does_not_exist(any_host):
    with pytest.raises(HostError, match="nowhere"):
        any_host.rows("CREATE VIRTUAL TABLE idx USING bge(body, content = nowhere)")


def test_content_of_another_schema_is_refused(db):
    db.execute("ATTACH ':memory:' AS other; CREATE TABLE other.docs(id INTEGER PRIMARY KEY, body)")
    error = str(failure(db, "CREATE VIRTUAL TABLE main.idx USING bge(body, content = docs)"))
    assert "docs" in error and "main" in error
    failure(db, "CREATE VIRTUAL TABLE main.idx USING bge(body, content = 'other.docs')")
    assert names_of(db) == [] and names_of(db, "other") == ["docs"]


def test_temporary_content_and_temporary_indexes_are_refused(db):
    db.execute("CREATE TEMP TABLE docs(id INTEGER PRIMARY KEY, body)")
    assert "docs" in str(failure(db, "CREATE VIRTUAL TABLE main.idx USING bge(body, content = docs)"))
    assert "temp" in str(failure(db, "CREATE VIRTUAL TABLE temp.idx USING bge(body, content = docs)"))
    assert "temp" in str(failure(db, "CREATE VIRTUAL TABLE temp.idx USING bge(body)"))
    assert names_of(db) == [] and names_of(db, "temp") == ["docs"]


KEYLESS = {
    "no key": "CREATE TABLE docs(body TEXT)",
    "a text key": "CREATE TABLE docs(id TEXT PRIMARY KEY, body TEXT)",
    "INT, not INTEGER": "CREATE TABLE docs(id INT PRIMARY KEY, body TEXT)",
    "descending in the column": "CREATE TABLE docs(id INTEGER PRIMARY KEY DESC, body TEXT)",
    "two columns": "CREATE TABLE docs(id INTEGER, n INTEGER, body TEXT, PRIMARY KEY(id, n))",
    "without rowid": "CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT) WITHOUT ROWID",
}


@pytest.mark.parametrize("kind", KEYLESS)
def test_a_table_without_a_lasting_rowid_is_refused_with_the_way_out(db, kind):
    db.execute(KEYLESS[kind])
    error = str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(body, content = docs)"))
    assert "docs" in error and "content_rowid" in error
    error = str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(body, content = docs, content_rowid = rowid)"))
    assert "content_rowid" in error
    assert names_of(db) == ["docs"]


KEYED = {
    "a table constraint": "CREATE TABLE docs(id INTEGER, body TEXT, PRIMARY KEY(id))",
    "a true alias in spite of DESC": "CREATE TABLE docs(id INTEGER, body TEXT, PRIMARY KEY(id DESC))",
    "lower case": "CREATE TABLE docs(id integer primary key autoincrement, body TEXT)",
    "strict": "CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT) STRICT",
}


@pytest.mark.parametrize("kind", KEYED)
def test_an_alias_of_the_rowid_is_found(db, kind):
    db.execute(KEYED[kind])
    create(db, f"body, content = docs, model = '{TINY}'")
    db.execute("INSERT INTO docs VALUES (7, 'a router'), (9, 'a bill')")
    assert sync(db) == 2
    assert found(db) == [7, 9]


UNIQUES = {
    "UNIQUE column": ("CREATE TABLE docs(id INTEGER UNIQUE, body TEXT)", True),
    "UNIQUE index": ("CREATE TABLE docs(id INTEGER, body TEXT); CREATE UNIQUE INDEX u ON docs(id)", True),
    "INT primary key": ("CREATE TABLE docs(id INT PRIMARY KEY, body TEXT)", True),
    "without rowid": ("CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT) WITHOUT ROWID", True),
    "descending": ("CREATE TABLE docs(id INTEGER PRIMARY KEY DESC, body TEXT)", True),
    "no index": ("CREATE TABLE docs(id INTEGER, body TEXT)", False),
    "an index that is not unique": ("CREATE TABLE docs(id INTEGER, body TEXT); CREATE INDEX u ON docs(id)", False),
    "a partial index": ("CREATE TABLE docs(id INTEGER, body TEXT); CREATE UNIQUE INDEX u ON docs(id) WHERE id > 0", False),
    "an index of two": ("CREATE TABLE docs(id INTEGER, body TEXT); CREATE UNIQUE INDEX u ON docs(id, body)", False),
    "an index of an expression": ("CREATE TABLE docs(id INTEGER, body TEXT); CREATE UNIQUE INDEX u ON docs(id + 0)", False),
}


@pytest.mark.parametrize("kind", UNIQUES)
def test_content_rowid_wants_a_total_unique_index(db, kind):
    table, fit = UNIQUES[kind]
    db.execute(table)
    sql = f"CREATE VIRTUAL TABLE idx USING bge(body, content = docs, content_rowid = id, model = '{TINY}')"
    if not fit:
        error = str(failure(db, sql))
        assert "content_rowid" in error and "UNIQUE" in error and "id" in error
        return
    db.execute(sql)
    db.execute("INSERT INTO docs VALUES (30, 'a router'), (20, 'a bill'), (10, NULL)")
    assert sync(db) == 3
    assert found(db) == [20, 30]
    db.execute("UPDATE docs SET id = 40 WHERE id = 30; DELETE FROM docs WHERE id = 20")
    sync(db)
    assert found(db) == [40]


def test_a_view_wants_its_key_named(db):
    db.execute(f"{DOCS}; CREATE VIEW v AS SELECT id AS i, title || ': ' || body AS text FROM docs")
    assert "content_rowid" in str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(text, content = v)"))
    assert "nothing" in str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(text, content = v, content_rowid = nothing)"))
    assert "triggers" in str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(text, content = v, content_rowid = i, triggers = on)"))
    assert names_of(db) == ["docs", "v"]
    create(db, f"text, content = v, content_rowid = i, model = '{TINY}'")
    db.execute("INSERT INTO docs VALUES (3, 'Router', 'Hold the button', 'en')")
    assert sync(db) == 1
    assert list(db.execute("SELECT rowid, text, passage FROM idx WHERE idx MATCH 'router'")) == [(3, "Router: Hold the button", "Router: Hold the button")]


def test_a_virtual_table_as_content(db):
    db.execute("CREATE VIRTUAL TABLE f USING fts5(body)")
    assert "content_rowid" in str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(body, content = f)"))


def test_an_index_is_not_its_own_content(db):
    assert "idx" in str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(body, content = idx)"))
    assert names_of(db) == []


# --- names ---------------------------------------------------------------------------------------

NAMES = ["t", "my index", 'a "quoted" one', "it's", "[b]", "a.b", "Übersicht", "目录", "select", "order", "🔥", "x;y", "a`b", "100", "old.", "%s{rows}"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_for_index_content_and_columns(db, name):
    def q(text):
        return '"' + text.replace('"', '""') + '"'

    index, table, column, other, key = (q(name + end) for end in ("", " table", " column", " other", " key"))
    db.execute(f"CREATE TABLE {table}({key} INTEGER PRIMARY KEY, {column} TEXT, {other})")
    arguments = f"{column}, {other} UNINDEXED, content = {table}, content_rowid = {key}, model = '{TINY}'"
    db.execute(f"CREATE VIRTUAL TABLE {index} USING bge({arguments})")
    db.execute(f"INSERT INTO {table} VALUES (1, 'a router', 'en'), (2, 'a bill', 'de'), (3, 'a bird', 'en')")
    for given in (index, f"main.{index}"):
        assert json.loads(value(db, "SELECT bge_status(?)", given))["index"] == name
    assert sync(db, index) == 3
    assert found(db, index) == [1, 2, 3]
    rows = f"SELECT rowid, {column} FROM {index} WHERE {index} MATCH 'a bird' AND {other} = 'en' AND k = 1"
    assert list(db.execute(rows)) == [(3, "a bird")]
    db.execute(f"DELETE FROM {table} WHERE {key} = 3; UPDATE {table} SET {column} = 'a wire' WHERE {key} = 1")
    assert sync(db, index) == 2
    assert found(db, index) == [1, 2]
    db.execute(f"INSERT INTO {index}({index}) VALUES ('integrity-check')")
    db.execute(f"ALTER TABLE {index} RENAME TO {q(name + ' new')}")
    assert found(db, q(name + " new")) == [1, 2]
    db.execute(f"DROP TABLE {q(name + ' new')}")
    assert names_of(db) == [name + " table"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_for_an_index_that_keeps_its_text(db, name):
    q = '"' + name.replace('"', '""') + '"'
    db.execute(f"CREATE VIRTUAL TABLE {q} USING bge({q[:-1]} column\", model = '{TINY}')")
    db.execute(f"INSERT INTO {q}({q[:-1]} column\") VALUES ('a router'), ('a bill')")
    assert sync(db, q) == 2
    assert found(db, q) == [1, 2]
    db.execute(f"DROP TABLE {q}")
    assert names_of(db) == []


def test_names_are_found_whatever_their_case(db):
    db.execute(DOCS)
    create(db, f"BODY, LANG UNINDEXED, content = DOCS, content_rowid = ID, model = '{TINY}'", "Idx")
    db.execute("INSERT INTO docs(body, lang) VALUES ('a router', 'en')")
    assert sync(db, "IDX") == 1
    assert list(db.execute("SELECT rowid, body, lang FROM iDX WHERE iDx MATCH 'a' AND LANG = 'en'")) == [(1, "a router", "en")]


def test_attached_schemas(db, tmp_path):
    db.execute("ATTACH ? AS \"the other\"", (str(tmp_path / "a.db"),))
    for schema, words in (("main", "a router"), ('"the other"', "a bill")):
        db.execute(f"CREATE TABLE {schema}.docs(id INTEGER PRIMARY KEY, body)")
        create(db, f"body, content = docs, model = '{TINY}'", schema=schema)
        db.execute(f"INSERT INTO {schema}.docs(body) VALUES (?)", (words,))
    assert [sync(db, name) for name in ("main.idx", '"the other".idx', "the other.idx", "idx")] == [1, 1, 0, 0]
    for schema, words in (("main", "a router"), ('"the other"', "a bill")):
        assert list(db.execute(f"SELECT body, passage FROM {schema}.idx WHERE idx MATCH 'x'")) == [(words, words)]
    assert json.loads(value(db, "SELECT bge_status('\"the other\".idx')"))["schema"] == "the other"
    assert "nowhere" in str(failure(db, "SELECT bge_sync('nowhere.idx')"))
    db.execute("DROP TABLE \"the other\".idx")
    assert found(db) == [1]
    assert names_of(db, '"the other"') == ["docs"]


def test_a_file_attached_under_another_name(connect, tmp_path):
    path = tmp_path / "x.db"
    first = connect(database=path)
    first.execute(DOCS)
    create(first, f"body, content = docs, model = '{TINY}'")
    first.execute("INSERT INTO docs(body) VALUES ('a router')")
    second = connect()
    second.execute("ATTACH ? AS elsewhere", (str(path),))
    second.execute("INSERT INTO elsewhere.docs(body) VALUES ('a bill')")
    assert sync(second, "elsewhere.idx") == 2
    assert found(first) == found(second) == [1, 2]
    second.execute("ALTER TABLE elsewhere.idx RENAME TO renamed; DELETE FROM elsewhere.docs WHERE id = 1")
    assert sync(first, "renamed") == 1
    assert found(first, "renamed") == [2]


# --- made and not made ---------------------------------------------------------------------------

def test_if_not_exists(db):
    db.execute(DOCS)
    create(db, f"body, content = docs, model = '{TINY}'")
    db.execute("INSERT INTO docs(body) VALUES ('a router')")
    assert sync(db) == 1
    before = schema_of(db)
    db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS idx USING bge(wrong, nonsense = 4)")
    assert "already exists" in str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(body)"))
    assert schema_of(db) == before and found(db) == [1]


@pytest.mark.parametrize("suffix", ["config", "rows", "passages", "codes", "log"])
def test_a_table_in_the_way_is_not_touched(db, suffix):
    db.execute(f"{DOCS}; CREATE TABLE idx_{suffix}(mine); INSERT INTO idx_{suffix} VALUES (42)")
    assert f"idx_{suffix}" in str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(body, content = docs)"))
    assert names_of(db) == ["docs", f"idx_{suffix}"]
    assert value(db, f"SELECT mine FROM idx_{suffix}") == 42


def test_a_text_table_in_the_way_is_not_touched(db):
    db.execute("CREATE TABLE idx_text(mine); INSERT INTO idx_text VALUES (42)")
    assert "idx_text" in str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(body)"))
    assert names_of(db) == ["idx_text"]
    assert list(db.execute("SELECT * FROM idx_text")) == [(42,)]


@pytest.mark.parametrize("ending", ["ai", "ad", "au"])
def test_a_trigger_in_the_way_is_not_touched(db, ending):
    db.execute(f"{DOCS}; CREATE TABLE other(a); CREATE TRIGGER idx_{ending} AFTER INSERT ON other BEGIN SELECT 1; END")
    before = schema_of(db)
    assert f"idx_{ending}" in str(failure(db, "CREATE VIRTUAL TABLE idx USING bge(body, content = docs)"))
    assert schema_of(db) == before


def test_a_failed_create_in_a_transaction_leaves_the_rest_of_it(db):
    db.execute(f"BEGIN; {DOCS}; INSERT INTO docs(body) VALUES ('a')")
    failure(db, "CREATE VIRTUAL TABLE idx USING bge(text, content = docs)")
    db.execute("INSERT INTO docs(body) VALUES ('b'); COMMIT")
    assert names_of(db) == ["docs"] and value(db, "SELECT count(*) FROM docs") == 2


@pytest.mark.parametrize("undo", ["ROLLBACK", "ROLLBACK TO s; COMMIT"])
def test_a_create_that_is_rolled_back(db, undo):
    db.execute(f"{DOCS}; BEGIN; SAVEPOINT s")
    create(db, "body, content = docs")
    db.execute("INSERT INTO docs(body) VALUES ('a')")
    db.execute(undo)
    assert names_of(db) == ["docs"]
    create(db, "body, content = docs")
    assert json.loads(value(db, "SELECT bge_status('idx')"))["pending"] == 0


@pytest.mark.parametrize("undo", ["ROLLBACK", "ROLLBACK TO s; COMMIT"])
def test_a_drop_that_is_rolled_back(db, undo):
    db.execute(DOCS)
    create(db, f"body, content = docs, model = '{TINY}'")
    db.execute("INSERT INTO docs(body) VALUES ('a router')")
    assert sync(db) == 1
    before = schema_of(db)
    db.execute("BEGIN; SAVEPOINT s; DROP TABLE idx")
    assert names_of(db) == ["docs"]
    db.execute(undo)
    assert schema_of(db) == before and found(db) == [1]
    db.execute("INSERT INTO docs(body) VALUES ('a bill')")
    assert sync(db) == 1 and found(db) == [1, 2]


def test_a_full_table_is_pending_as_a_whole(db):
    db.execute(DOCS)
    db.execute("INSERT INTO docs(body) VALUES ('a router'), ('a bill'), (NULL)")
    create(db, f"body, content = docs, model = '{TINY}'")
    assert json.loads(value(db, "SELECT bge_status('idx')"))["pending"] == 3
    assert sync(db) == 3
    assert found(db) == [1, 2]


GOLDEN = '''\
table docs: CREATE TABLE docs(id INTEGER PRIMARY KEY, title TEXT, body TEXT, lang TEXT)
table idx: CREATE VIRTUAL TABLE idx USING bge(title, body, lang TEXT COLLATE NOCASE UNINDEXED, content = docs)
table idx_config: CREATE TABLE "idx_config"(k TEXT PRIMARY KEY, v) WITHOUT ROWID
table idx_rows: CREATE TABLE "idx_rows"(id INTEGER PRIMARY KEY, hash, problem, c2 TEXT COLLATE "NOCASE")
table idx_passages: CREATE TABLE "idx_passages"(slot INTEGER PRIMARY KEY, row INTEGER, start, stop, vector, UNIQUE (row, slot))
table idx_codes: CREATE TABLE "idx_codes"(chunk INTEGER PRIMARY KEY, stamp, used, live, codes)
table idx_log: CREATE TABLE "idx_log"(seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER)
trigger idx_ai: CREATE TRIGGER "idx_ai" AFTER INSERT ON "docs" BEGIN INSERT INTO "idx_log"(id) VALUES (new."id"); END
trigger idx_ad: CREATE TRIGGER "idx_ad" AFTER DELETE ON "docs" BEGIN INSERT INTO "idx_log"(id) VALUES (old."id"); END
trigger idx_au: CREATE TRIGGER "idx_au" AFTER UPDATE ON "docs" WHEN old."id" IS NOT new."id" \
OR old."title" COLLATE BINARY IS NOT new."title" OR typeof(old."title") <> typeof(new."title") \
OR old."body" COLLATE BINARY IS NOT new."body" OR typeof(old."body") <> typeof(new."body") \
OR old."lang" COLLATE BINARY IS NOT new."lang" OR typeof(old."lang") <> typeof(new."lang") \
BEGIN INSERT INTO "idx_log"(id) SELECT old."id" WHERE old."id" IS NOT new."id"; INSERT INTO "idx_log"(id) VALUES (new."id"); END
'''

GOLDEN_TEXT = '''\
table idx_text: CREATE TABLE "idx_text"(id INTEGER PRIMARY KEY, c0 , c1 TEXT COLLATE "NOCASE")
'''


GOLDEN_LOG = '''\
table idx_log: CREATE TABLE "idx_log"(seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER)
'''


def as_golden(rows):
    return "".join(f"{kind} {name}: {' '.join(sql.split())}\n" for kind, name, _, sql in rows)


def test_the_schema_of_an_index(db):
    """The format of files: what changes here changes the format number."""
    db.execute(DOCS)
    create(db, "title, body, lang TEXT COLLATE NOCASE UNINDEXED, content = docs")
    # A dump goes on with CREATE TABLE and CREATE TRIGGER.
    assert as_golden(schema_of(db)) == GOLDEN[:GOLDEN.index("table idx_log")]
    assert json.loads(value(db, "SELECT bge_status('idx')"))["triggers"] == "due"
    assert sync(db) == 0  # no row, no model
    assert as_golden(schema_of(db)) == GOLDEN
    assert json.loads(value(db, "SELECT bge_status('idx')"))["triggers"] == "on"
    assert value(db, "SELECT v FROM idx_config WHERE k = 'format'") == 2


@pytest.mark.parametrize("content", ["", ", content=''"])
def test_the_schema_of_an_index_that_has_no_table(db, content):
    create(db, "body, lang TEXT COLLATE NOCASE UNINDEXED" + content)
    assert names_of(db) == ["idx", "idx_config", "idx_rows", "idx_passages", "idx_codes", "idx_text"]
    assert as_golden(schema_of(db)[-1:]) == GOLDEN_TEXT
    db.execute("INSERT INTO idx(body) VALUES ('a')")
    assert as_golden(schema_of(db)[-1:]) == GOLDEN_LOG


def test_nothing_in_the_schema_names_the_index(db):
    """A host without the extension must be able to write, ALTER and VACUUM the file."""
    db.execute(DOCS)
    create(db, "title, body, lang UNINDEXED, content = docs")
    assert sync(db) == 0
    named = [row for row in schema_of(db) if row[0] in ("trigger", "view")]
    assert [row[1] for row in named] == ["idx_ai", "idx_ad", "idx_au"]
    for _, name, _, sql in named:
        assert "idx_log" in sql and '"idx"' not in sql and "main." not in sql, name


def test_reading_an_index_on_every_host(any_host):
    rows = any_host.rows(
        DOCS,
        f"CREATE VIRTUAL TABLE idx USING bge(title, body, lang UNINDEXED, content = docs, model = '{TINY}')",
        "INSERT INTO docs(title, body, lang) VALUES ('Router', 'Hold the button.', 'en'), ('Bill', NULL, 'de')",
        "INSERT INTO idx(idx) VALUES ('sync')",
        "SELECT rowid, title, body, lang, passage FROM idx WHERE idx MATCH 'x' ORDER BY rowid")
    assert rows == [[1, "Router", "Hold the button.", "en", "Router\nHold the button."], [2, "Bill", None, "de", "Bill"]]


def test_the_shell_says_what_is_wrong():
    with pytest.raises(HostError, match="unknown option 'contents'"):
        CommandLine().rows("CREATE VIRTUAL TABLE idx USING bge(body, contents = docs)")


def test_names_that_are_no_index(db):
    db.execute(f"{DOCS}; CREATE VIRTUAL TABLE f USING fts5(body)")
    for name in ("docs", "f"):
        assert f"'{name}' is not a semantic index" in str(failure(db, "SELECT bge_sync(?)", name))
        assert f"'{name}' is not a semantic index" in str(failure(db, "SELECT bge_status(?)", name))
    for name in ("nothing", "main.nothing"):
        assert name in str(failure(db, "SELECT bge_sync(?)", name))
    for name in ("", '"open', "a.b.c", None, 5, blob(1.0)):
        failure(db, "SELECT bge_sync(?)", name)
        failure(db, "SELECT bge_status(?)", name)
    create(db, "body")
    for name in ("idx", " IDX ", '"idx"', "[idx]", "`idx`", "'idx'", "main.idx", '"main"."Idx"', "main . idx"):
        assert sync(db, name) == 0


def test_a_trigger_in_the_way_of_a_rename_is_not_touched(db):
    db.execute(f"{DOCS}; CREATE TABLE other(a); CREATE TRIGGER new_au AFTER INSERT ON other BEGIN SELECT 1; END")
    create(db, f"body, content = docs, model = '{TINY}'")
    before = schema_of(db)
    assert "new_au" in str(failure(db, "ALTER TABLE idx RENAME TO new"))
    assert schema_of(db) == before
    db.execute("INSERT INTO docs(body) VALUES ('a router')")
    assert sync(db) == 1 and found(db) == [1]
