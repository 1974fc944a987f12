"""Queries of the semantic index: what is found, in which order, with which filters, and what is an error.

docs/SQL.md says so, under Searching. test_index_random.py compares random queries with brute force.
"""

import json
import os

import apsw
import pytest
from support import EXTENSION, TINY, HostError, Newest, Oldest, blob, connect, embed, failure, inferences, value

ROWS = [
    (1, "Hold the small button for ten seconds to reset the device", "en", 1, "Red", "a", 7),
    (2, "You can download last month's bill from the payments page", "en", 2, "red", "a ", "7"),
    (3, "Requests for days off go to your team lead", "de", 3, "RED ", "b", 7.5),
    (4, "Badges for the garage are handed out at the front desk", "DE", None, None, "B", None),
    (5, "machine learning", None, 5, "blue", None, b"7"),
    (6, "i love nlp", "en", 6, "Blue", "a   ", "x"),
    (7, "i love nlp", "fr", 7, "green", "c", 7),
]
COLUMNS = ("body, lang TEXT UNINDEXED, n INTEGER UNINDEXED, tag TEXT COLLATE NOCASE UNINDEXED, "
           "pad COLLATE RTRIM UNINDEXED, raw UNINDEXED")
NAMES = "body, lang, n, tag, pad, raw"
ORDINARY = "body, lang TEXT, n INTEGER, tag TEXT COLLATE NOCASE, pad COLLATE RTRIM, raw"


def literal(given):
    if given is None:
        return "NULL"
    if isinstance(given, bytes):
        return f"x'{given.hex()}'"
    return "'" + given.replace("'", "''") + "'" if isinstance(given, str) else repr(given)


def values(rows=ROWS):
    return ", ".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)


SETUP = {
    "own": [
        f"CREATE VIRTUAL TABLE t USING bge({COLUMNS}, model='{TINY}')",
        f"INSERT INTO t(rowid, {NAMES}) VALUES {values()}"],
    "table": [
        f"CREATE TABLE docs(id INTEGER PRIMARY KEY, {ORDINARY})",
        f"CREATE VIRTUAL TABLE t USING bge({COLUMNS}, content='docs', model='{TINY}')",
        f"INSERT INTO docs(id, {NAMES}) VALUES {values()}"],
    "view": [
        f"CREATE TABLE docs(id INTEGER PRIMARY KEY, {ORDINARY})",
        "CREATE VIEW seen AS SELECT * FROM docs WHERE id > 0",
        f"INSERT INTO docs(id, {NAMES}) VALUES {values()}",
        f"CREATE VIRTUAL TABLE t USING bge({COLUMNS}, content='seen', content_rowid='id', model='{TINY}')"],
    "nothing": [
        f"CREATE VIRTUAL TABLE t USING bge({COLUMNS}, content='', model='{TINY}')",
        f"INSERT INTO t(rowid, {NAMES}) VALUES {values()}"],
}
SYNC = "CREATE TABLE synced AS SELECT bge_sync('t') AS rows"
# The same rows in an ordinary table, with embeddings made by bge_embed.
BRUTE = [
    f"CREATE TABLE o(rowid INTEGER PRIMARY KEY, {ORDINARY}, embedding)",
    f"INSERT INTO o(rowid, {NAMES}) VALUES {values()}",
    f"UPDATE o SET embedding = bge_embed(body, '{TINY}')",
]
# A text's vector depends on the batch that it is in, by less than 1e-6: distances are compared for the same vectors.
SAME_VECTORS = "UPDATE o SET embedding = (SELECT t.embedding FROM t WHERE t.rowid = o.rowid)"
QUERY = "how do i reset my password"
BRUTE_ORDER = f"ORDER BY bge_cosine(embedding, bge_embed_query('{QUERY}', '{TINY}')) DESC, rowid"


@pytest.fixture(params=SETUP)
def kind(request):
    return request.param


def prepare(db, kind="own"):
    for sql in SETUP[kind] + [SYNC] + BRUTE + [SAME_VECTORS]:
        db.execute(sql)
    return db


@pytest.fixture
def index(db):
    return prepare(db)


def rows(db, sql, *arguments):
    return [tuple(row) for row in db.execute(sql, arguments)]


def ids(db, sql, *arguments):
    return [row[0] for row in db.execute(sql, arguments)]


def query_vector(db, text=QUERY):
    return value(db, "SELECT bge_embed_query(?, ?)", text, TINY)


def ranked(db, where="1", vector=None):
    """Brute force."""
    return ids(db, f"SELECT rowid FROM o WHERE {where} ORDER BY bge_cosine(embedding, ?) DESC, rowid",
               vector or query_vector(db))


# --- what is searched for ------------------------------------------------------------------------


def test_rows_come_by_distance_in_every_host(any_host, kind):
    found = any_host.rows(*SETUP[kind], SYNC, f"SELECT rowid FROM t WHERE t MATCH '{QUERY}' ORDER BY distance")
    wanted = any_host.rows(*BRUTE, f"SELECT rowid FROM o {BRUTE_ORDER}")
    assert found == wanted and len(found) == 7


def test_pending_rows_are_found_in_every_host(any_host, kind):
    if kind == "view":
        pytest.skip("a view has no notes; test_rows_that_no_sync_has_seen says what is found")
    found = any_host.rows(*SETUP[kind], f"SELECT rowid FROM t WHERE t MATCH '{QUERY}' ORDER BY distance")
    assert found == any_host.rows(*BRUTE, f"SELECT rowid FROM o {BRUTE_ORDER}")


@pytest.mark.parametrize("question", [
    f"t('{QUERY}', 3) AS s", f"t AS s WHERE t MATCH '{QUERY}' AND k = 3", f"t AS s WHERE t = '{QUERY}' AND k = 3",
    f"t AS s WHERE k = 3 AND t MATCH bge_embed_query('{QUERY}', '{TINY}')", f"t('{QUERY}') AS s LIMIT 3",
    f"t('{QUERY}') AS s WHERE s.k = 3", f"t AS s WHERE s.t MATCH '{QUERY}' LIMIT 3",
    f"(SELECT '{QUERY}' AS q) AS w JOIN t AS s ON t MATCH w.q AND k = 3",
    f"(SELECT '{QUERY}' AS q, 3 AS n) AS w, t(w.q, w.n) AS s",
    f"t AS s WHERE t MATCH '{QUERY}' AND k = '3'", f"t AS s WHERE t MATCH '{QUERY}' AND k = 3.0",
])
def test_ways_to_ask_for_three_rows(any_host, question):
    question = question.replace(" LIMIT", " ORDER BY distance LIMIT")
    order = "" if "LIMIT" in question else "ORDER BY distance"
    found = any_host.rows(*SETUP["own"], SYNC, f"SELECT s.rowid FROM {question} {order}")
    assert found == any_host.rows(*BRUTE, f"SELECT rowid FROM o {BRUTE_ORDER} LIMIT 3")


def test_a_text_is_embedded_as_a_query(index):
    [(score,)] = rows(index, "SELECT score FROM t('machine learning') WHERE rowid = 5")
    assert score == value(index, "SELECT bge_cosine(embedding, ?) FROM o WHERE rowid = 5",
                          query_vector(index, "machine learning"))


def test_a_vector_is_searched_for_as_it_is(index):
    vector = embed(index, "machine learning")
    [(row, distance)] = rows(index, "SELECT rowid, distance FROM t(?, 1)", vector)
    assert row == 5 and abs(distance) < 1e-6
    # Longer or shorter, its direction is the same.
    scaled = value(index, "SELECT bge_from_json(json_group_array(value * 3)) FROM json_each(bge_to_json(?))", vector)
    assert ids(index, "SELECT rowid FROM t(?)", scaled) == ids(index, "SELECT rowid FROM t(?)", vector)


@pytest.mark.parametrize("number,text", [(42, "42"), (1.5, "1.5"), (-7, "-7"), (1e20, "1.0e+20")])
def test_a_number_is_searched_for_as_its_text(index, number, text):
    assert rows(index, "SELECT rowid, score FROM t(?) ORDER BY distance", number) == \
        rows(index, "SELECT rowid, score FROM t(?) ORDER BY distance", text)


@pytest.mark.parametrize("question", ["t WHERE t MATCH NULL", "t(NULL)", "t(NULL, 3)", "t WHERE t MATCH NULL AND k = 2",
                                      "t WHERE t MATCH NULL AND distance < 3", "(SELECT NULL AS q) JOIN t ON t MATCH q"])
def test_nothing_is_found_for_null(any_host, question):
    assert any_host.rows(*SETUP["own"], SYNC, f"SELECT t.rowid FROM {question}") == []


def test_an_empty_text_is_searched_for(index):
    assert len(ids(index, "SELECT rowid FROM t('')")) == 7


@pytest.mark.parametrize("sql,words", [
    ("t MATCH x'0102'", "MATCH"), ("t MATCH x''", ""), ("t MATCH bge_from_json('[1,2,3]')", "3 dimensions"),
    ("t MATCH x'0000c07f' || x''", ""),
])
def test_what_is_no_vector_of_this_index(index, sql, words):
    assert words in str(failure(index, f"SELECT rowid FROM t WHERE {sql.split(' ||')[0]}"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_vector_that_is_not_finite_is_an_error(index, bad):
    for at in (0, 17, 31):
        vector = [0.1] * 32
        vector[at] = bad
        assert "MATCH" in str(failure(index, "SELECT rowid FROM t(?)", blob(*vector)))


def test_a_zero_vector_has_cosine_0_with_everything(index):
    assert rows(index, "SELECT rowid, score, distance FROM t(?)", blob(*[0.0] * 32)) == [
        (n, 0.0, 1.0) for n in range(1, 8)]


def test_two_things_to_search_for(any_host):
    for where in ("t MATCH 'a' AND t MATCH 'b'", "t MATCH 'a' AND t = 'b'"):
        with pytest.raises(HostError, match="one MATCH"):
            any_host.rows(*SETUP["own"], f"SELECT rowid FROM t WHERE {where}")
    with pytest.raises(HostError, match="one MATCH"):
        any_host.rows(*SETUP["own"], "SELECT rowid FROM t('a') WHERE t MATCH 'b'")


@pytest.mark.parametrize("column", ["body", "lang", "n", "rowid", "score", "k"])
def test_match_on_a_column_is_an_error(any_host, column):
    with pytest.raises(HostError):
        any_host.rows(*SETUP["own"], f"SELECT rowid FROM t WHERE {column} MATCH 'a'")


# --- hidden columns ------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["f32", "f16", "int8"])
@pytest.mark.parametrize("synced", [True, False])
def test_score_is_the_cosine_with_the_embedding_column(db, storage, synced):
    db.execute(f"CREATE VIRTUAL TABLE t USING bge({COLUMNS}, storage='{storage}', model='{TINY}')")
    db.execute(SETUP["own"][1])
    if synced:
        db.execute(SYNC)
    found = rows(db, "SELECT score, bge_cosine(embedding, ?1), distance, bge_dims(embedding) FROM t(?1)", query_vector(db))
    assert len(found) == 7
    for score, cosine, distance, dims in found:
        assert distance == 1 - score and dims == 32
        if storage == "f32":
            assert score == cosine
        else:
            assert abs(score - cosine) < 1e-6


def test_distances_do_not_jump_at_sync(db):
    for storage in ("f32", "f16", "int8"):
        db.execute(f"CREATE VIRTUAL TABLE s_{storage} USING bge({COLUMNS}, storage='{storage}', model='{TINY}')")
        db.execute(SETUP["own"][1].replace("INTO t(", f"INTO s_{storage}("))
        ask = f"SELECT rowid, distance, score, embedding FROM s_{storage}(?) ORDER BY distance"
        before = rows(db, ask, query_vector(db))
        value(db, f"SELECT bge_sync('s_{storage}')")
        # The batches differ, so the vectors may by their last bits; a storage may round those to its next step.
        step = {"f32": 1e-6, "f16": 1e-4, "int8": 1e-3}[storage]
        for (row, distance, score, vector), was in zip(rows(db, ask, query_vector(db)), before, strict=True):
            assert row == was[0]
            assert abs(distance - was[1]) < step and abs(score - was[2]) < step
            assert value(db, "SELECT bge_cosine(?, ?)", vector, was[3]) > 1 - step


def test_the_embedding_is_that_of_bge_embed(index):
    found = rows(index, "SELECT bge_cosine(embedding, bge_embed(body, ?1)), bge_l2(embedding, bge_embed(body, ?1)) FROM t(?2)",
                 TINY, QUERY)
    assert len(found) == 7 and all(cosine > 1 - 1e-6 and apart < 1e-5 for cosine, apart in found)


def test_passage_is_the_best_passage(db):
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(title, body, chunk_tokens=12, overlap=0, model='{TINY}')")
    body = "reset your password now. download the bill of last month. i love nlp and machine learning."
    db.execute("INSERT INTO t(title, body) VALUES ('Help', ?)", (body,))
    for sql in ("SELECT 1", "SELECT bge_sync('t')"):
        db.execute(sql)
        found = rows(db, "SELECT passage, score, bge_embed(passage, ?1), embedding FROM t(?2)", TINY, embed(db, "i love nlp"))
        assert len(found) == 1
        [(passage, score, vector, embedding)] = found
        assert passage in f"Help\n{body}" and passage != f"Help\n{body}"
        assert abs(value(db, "SELECT bge_cosine(?, ?)", vector, embedding) - 1) < 1e-6
        # No other passage of the text is nearer.
        chunks = ids(db, "SELECT chunk FROM bge_chunks(?, 12, 0, ?)", f"Help\n{body}", TINY)
        assert passage in chunks
        best = max(value(db, "SELECT bge_cosine(bge_embed(?, ?), ?)", c, TINY, embed(db, "i love nlp")) for c in chunks)
        assert abs(best - score) < 1e-6


def test_passage_is_null_where_no_text_is_kept_or_it_has_changed(db):
    prepare(db, "nothing")
    assert ids(db, "SELECT DISTINCT passage FROM t(?)", QUERY) == [None]


def test_passage_of_a_text_that_has_changed_is_null(db):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, content='docs', catchup=0, model='{TINY}')")
    db.execute("INSERT INTO docs VALUES (1, 'i love nlp'), (2, 'reset')")
    value(db, "SELECT bge_sync('t')")
    db.execute("UPDATE docs SET body = 'the bill' WHERE id = 1")
    assert dict(rows(db, "SELECT rowid, passage FROM t('nlp')")) == {1: None, 2: "reset"}


def test_the_query_column_gives_what_was_searched_for(index):
    assert ids(index, "SELECT t FROM t('nlp', 1)") == ["nlp"]
    assert ids(index, "SELECT t FROM t(?, 1)", query_vector(index)) == [query_vector(index)]
    assert ids(index, "SELECT t FROM t(42, 1)") == [42]


def test_star_gives_the_users_columns_only(index):
    [row] = index.execute("SELECT * FROM t('x', 1)").fetchall()
    assert len(row) == 6
    cursor = index.execute("SELECT * FROM t LIMIT 1")
    assert [name for name, *_ in cursor.get_description()] == NAMES.split(", ")


def test_columns_have_the_values_that_were_stored(any_host, kind):
    found = any_host.rows(*SETUP[kind], SYNC, "SELECT rowid, lang, n, tag, pad, typeof(raw), quote(raw) FROM t('x') ORDER BY rowid")
    wanted = any_host.rows(*BRUTE, "SELECT rowid, lang, n, tag, pad, typeof(raw), quote(raw) FROM o ORDER BY rowid")
    assert found == wanted


# --- k -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 6, 7, 8, 1000, 2**63 - 1])
def test_k_rows(index, k):
    found = rows(index, "SELECT rowid, k FROM t(?, ?)", QUERY, k)
    assert found == [(row, k) for row in ranked(index)[:k]]


@pytest.mark.parametrize("condition", [
    "k = 0", "k = -1", "k = 1.5", "k = 'x'", "k = NULL", "k = x'01'", "k = 1e300", "k IN (1, 2)", "k IN (SELECT 1)",
    "k < 3", "k <= 3", "k > 1", "k >= 1", "k <> 2", "k BETWEEN 1 AND 3", 
    "k = -9223372036854775808", "k = 9223372036854775808",
])
def test_a_k_that_is_an_error(any_host, condition):
    with pytest.raises(HostError, match="k "):
        any_host.rows(*SETUP["own"], f"SELECT rowid FROM t WHERE t MATCH 'a' AND {condition}")


@pytest.mark.parametrize("call", ["t('a', 0)", "t('a', NULL)", "t('a', 'x')", "t('a', 2) WHERE k = 3", "t('a', -1)"])
def test_a_k_of_a_call_that_is_an_error(any_host, call):
    with pytest.raises(HostError, match="k is"):
        any_host.rows(*SETUP["own"], f"SELECT rowid FROM {call}")


@pytest.mark.parametrize("call", ["t('a', 2, 3)", "t('a', 2, 0.5)", "t('a', 2, 3, 4)", "t('a', 2, NULL)", "t('a', 2, 'model')",
                                  "t('a', 2, 0.1, 0.2, 'p', x'00')"])
def test_a_third_argument_of_a_call_is_an_error(any_host, call):
    with pytest.raises(HostError, match="distance"):
        any_host.rows(*SETUP["own"], SYNC, f"SELECT rowid FROM {call}")


def test_k_without_match_is_an_error(any_host):
    with pytest.raises(HostError, match="MATCH"):
        any_host.rows(*SETUP["own"], "SELECT rowid FROM t WHERE k = 3")


def test_reading_k_without_one_gives_null(any_host):
    assert any_host.rows(*SETUP["own"], SYNC, "SELECT DISTINCT k FROM t('a')") == [[None]]
    assert any_host.rows(*SETUP["own"], "SELECT DISTINCT k FROM t") == [[None]]


def test_a_k_that_is_known_too_late_is_none(index):
    """`CROSS JOIN w WHERE k = w.n` keeps the order of the tables, and SQLite does not tell the index of such a k: it reads as NULL,
    which equals nothing."""
    index.execute("CREATE TABLE w(n); INSERT INTO w VALUES (2)")
    late = "SELECT t.rowid FROM t CROSS JOIN w WHERE t MATCH 'nlp' AND"
    assert ids(index, f"{late} k = w.n") == []
    assert len(ids(index, f"{late} k IS NULL AND w.n = 2")) == 7
    assert ids(index, "SELECT t.rowid FROM w CROSS JOIN t WHERE t MATCH 'nlp' AND k = w.n") == \
        ids(index, "SELECT t.rowid FROM t JOIN w WHERE t MATCH 'nlp' AND k = w.n") == ids(index, "SELECT rowid FROM t('nlp', 2)")


def test_k_from_another_table_is_k_rows_for_each(index):
    index.execute("CREATE TABLE w(q, n); INSERT INTO w VALUES ('nlp', 2), ('the bill', 1), ('garage', 3), (NULL, 2)")
    found = rows(index, "SELECT w.q, t.rowid FROM w JOIN t ON t MATCH w.q AND k = w.n")
    wanted = [(q, row) for q, n in (("nlp", 2), ("the bill", 1), ("garage", 3))
              for row in ids(index, "SELECT rowid FROM t(?, ?)", q, n)]
    assert sorted(found) == sorted(wanted) and len(found) == 6


def test_the_k_of_a_later_row_may_be_an_error(index):
    index.execute("CREATE TABLE w(n); INSERT INTO w VALUES (2), (0)")
    assert "k is 0" in str(failure(index, "SELECT t.rowid FROM w JOIN t('nlp') ON k = w.n"))


# --- filters -------------------------------------------------------------------------------------

FILTERS = [
    "rowid IN (1, 3, 5)", "rowid IN (SELECT n FROM o)", "rowid IN (NULL, 2)", "rowid IN (SELECT NULL)",
    "rowid IN (SELECT 1 WHERE 0)", "rowid IN ()", "rowid IN (1.0, 2.5, '3', 'x', NULL, x'34')", "rowid NOT IN (1, 2)",
    "rowid NOT IN (1, NULL)", "rowid IN (99, -1)", "rowid IN (1, 1, 1)",
    "rowid IN (SELECT rowid FROM o WHERE lang = 'en')", "rowid IN (9223372036854775807, 1e300, -1e300, 4)",
    "rowid = 3", "rowid = 99", "rowid = '3'", "rowid = 3.0", "rowid = 2.5", "rowid = 'x'", "rowid = NULL", "rowid = x'33'",
    "rowid > 3", "rowid >= 3", "rowid < 3", "rowid <= 3", "rowid <> 3", "rowid != '3'", "rowid > 2.5", "rowid < 2.5",
    "rowid > '2'", "rowid < 'x'", "rowid > 'x'", "rowid < NULL", "rowid > x'00'", "rowid < x'00'", "rowid BETWEEN 2 AND 5",
    "rowid > 1e300", "rowid < 1e300", "rowid > -9e18", "rowid IS 3", "rowid IS NULL", "rowid IS NOT NULL",
    "rowid > 2 AND rowid < 6", "rowid IN (1, 2, 3) AND rowid > 1", "rowid IN (1, 2) AND rowid IN (2, 3)", "3 < rowid",
    "rowid + 0 = 3", "rowid = 3 OR rowid = 4", "NOT rowid > 3",
    "lang = 'en'", "lang = 'EN'", "lang <> 'en'", "lang > 'en'", "lang < 'en'", "lang IN ('en', 'de')", "lang IN ('en', NULL)",
    "lang NOT IN ('en')", "lang IS NULL", "lang IS NOT NULL", "lang IS 'en'", "lang IS NOT 'en'", "lang = NULL",
    "lang = 'en' COLLATE NOCASE", "lang = 'de' COLLATE NOCASE", "lang COLLATE NOCASE IN ('DE')", "lang LIKE 'd%'", "lang GLOB 'd*'",
    "lang = 7", "lang > 7", "lang < x'00'", "lang BETWEEN 'de' AND 'en'", "'en' = lang", "lang || '' = 'en'",
    "n = 3", "n = '3'", "n = 3.0", "n = 3.5", "n = 'x'", "n > 3", "n > '3'", "n >= 2.5", "n < 'x'", "n IN (1, '2', 3.0, 'x', NULL)",
    "n IS NULL", "n IS NOT NULL", "n <> 3", "n < x''", "n = rowid", "n IN (SELECT rowid FROM o WHERE rowid < 4)", "n",
    "tag = 'RED'", "tag = 'red '", "tag IN ('BLUE', 'green')", "tag > 'blue'", "tag <> 'RED'", "tag = 'red' COLLATE BINARY",
    "tag COLLATE BINARY = 'red'", "tag COLLATE RTRIM = 'RED'", "tag IN ('x')", "tag < 'GREEN'", "tag COLLATE BINARY IN ('red')",
    "pad = 'a'", "pad = 'a    '", "pad IN ('a', 'c')", "pad <> 'a'", "pad > 'a'", "pad = 'A'", "pad COLLATE BINARY = 'a'",
    "raw = 7", "raw = '7'", "raw = x'37'", "raw = 7.0", "raw > 7", "raw < '7'", "raw IN (7, 'x')", "raw <> 7", "raw = +7",
    "raw = CAST('7' AS INTEGER)", "raw = (SELECT n FROM o WHERE rowid = 7)", "raw > '7'", "raw <> '7'",
    "lang = CAST(7 AS TEXT)", "raw IN (SELECT n FROM o)", "raw IN (SELECT raw FROM o)", "n IN (SELECT raw FROM o)",
    "body = 'i love nlp'", "body LIKE '%the%'", "body IN ('i love nlp', 'x')", "body > 'a'", "body IS NOT NULL",
    "length(body) > 20", "lang = 'en' AND n > 1", "lang = 'en' OR n = 3", "lang = 'en' AND rowid IN (1, 2, 3)",
    "NOT lang = 'en'", "lang = 'en' AND lang = 'EN'", "1", "0", "NULL", "lang IN (SELECT lang FROM o WHERE n = t_or_o.n)",
    "EXISTS (SELECT 1 FROM o AS w WHERE w.rowid = t_or_o.rowid AND w.n > 2)",
    "(lang, n) = ('en', 1)", "(lang, n) IN (SELECT lang, n FROM o WHERE n > 1)", "(rowid, n) > (3, 0)",
]


@pytest.fixture(scope="module", params=SETUP)
def each_kind(request):
    db = connect()
    prepare(db, request.param)
    yield request.param, db
    db.close()


def on(where, table):
    return where.replace("t_or_o", table)


@pytest.mark.parametrize("where", FILTERS)
def test_filters_keep_the_rows_that_an_ordinary_table_keeps(each_kind, where):
    kind, db = each_kind
    if "body" in where and kind == "nothing":
        pytest.skip("the texts are not kept, so they cannot be compared")
    wanted = ranked(db, on(where, "o"))
    assert ids(db, f"SELECT rowid FROM t('{QUERY}') WHERE {on(where, 't')} ORDER BY distance") == wanted
    assert ids(db, f"SELECT rowid FROM t('{QUERY}') WHERE {on(where, 't')} ORDER BY score DESC, rowid") == wanted
    assert ids(db, f"SELECT rowid FROM t('{QUERY}') WHERE {on(where, 't')} ORDER BY distance LIMIT 2 OFFSET 1") == wanted[1:3]
    assert ids(db, f"SELECT rowid FROM t WHERE {on(where, 't')} ORDER BY rowid") == sorted(wanted)


@pytest.mark.parametrize("where", FILTERS)
def test_filters_keep_those_rows_of_pending_ones_too(where):
    db = connect()
    for sql in SETUP["own"] + BRUTE:
        db.execute(sql)
    assert ids(db, f"SELECT rowid FROM t('{QUERY}') WHERE {on(where, 't')} ORDER BY distance") == ranked(db, on(where, "o"))
    db.close()


# Terms that are applied to the k rows, as docs/SQL.md says: SQLite does not offer them, or their value is no constant (or it does
# not say that it is one: a literal with COLLATE, which can stand at the column).
BEHIND_K = {
    "lang = 'en' COLLATE NOCASE", "lang = 'de' COLLATE NOCASE", "tag = 'red' COLLATE BINARY",
    "rowid NOT IN (1, 2)", "rowid NOT IN (1, NULL)", "rowid + 0 = 3", "lang NOT IN ('en')", "lang || '' = 'en'", "n",
    "lang = 'en' OR n = 3", "n = rowid", "length(body) > 20", "NOT lang = 'en'", "raw = (SELECT n FROM o WHERE rowid = 7)",
    "lang IN (SELECT lang FROM o WHERE n = t_or_o.n)", "EXISTS (SELECT 1 FROM o AS w WHERE w.rowid = t_or_o.rowid AND w.n > 2)",
}
# What depends on things that SQLite tells no virtual table: an error, since any count may be wrong.
UNCOUNTABLE = {"tag <> 'RED'", "pad <> 'a'", "raw = 7", "raw = 7.0", "raw > 7", "raw <> 7", "raw IN (7, 'x')", "raw = +7",
               "raw = CAST('7' AS INTEGER)", "raw IN (SELECT n FROM o)"}
# What SQLite counts as a literal is its own affair: test_index_k.py has the errors of text columns.
ELSEWHERE = {"lang = CAST(7 AS TEXT)"} | {where for where in FILTERS if where.startswith("body")}
# SQLite searches once for each value of a list of row values.
# They also become other terms, which the index is offered.
BOTH = {"lang LIKE 'd%'", "lang GLOB 'd*'", "(rowid, n) > (3, 0)"}
ONE_BY_ONE = {"(lang, n) IN (SELECT lang, n FROM o WHERE n > 1)"}


@pytest.mark.parametrize("where", [where for where in FILTERS if where not in UNCOUNTABLE | ONE_BY_ONE | BOTH | ELSEWHERE])
def test_k_counts_the_rows_that_pass(each_kind, where):
    kind, db = each_kind
    if "body" in where and kind == "nothing":
        pytest.skip("the texts are not kept, so they cannot be compared")
    wanted = ranked(db, on(where, "o"))
    for k in (1, 2, 7):
        found = ids(db, f"SELECT rowid FROM t('{QUERY}', {k}) WHERE {on(where, 't')} ORDER BY distance")
        if where in BEHIND_K:
            assert found == [row for row in wanted if row in ranked(db)[:k]]
        else:
            assert found == wanted[:k]


@pytest.mark.parametrize("where", sorted(UNCOUNTABLE))
def test_rows_that_k_cannot_count_are_an_error(each_kind, where):
    db = each_kind[1]
    wanted = ranked(db, where)
    for k in (1, 2, 7):
        try:
            found = ids(db, f"SELECT rowid FROM t('{QUERY}', {k}) WHERE {where} ORDER BY distance")
        except apsw.SQLError as error:
            assert "k " in str(error) and "LIMIT" in str(error)
        else:
            assert found == wanted[:k]


# --- distances -----------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "<>"])
@pytest.mark.parametrize("place", range(7))
def test_a_radius(each_kind, operator, place):
    db = each_kind[1]
    all_rows = rows(db, "SELECT rowid, distance, score FROM t(?) ORDER BY distance", QUERY)
    limit = all_rows[place][1]
    holds = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__, "<>": float.__ne__}[operator]
    wanted = [row for row, distance, _ in all_rows if holds(distance, limit)]
    assert ids(db, f"SELECT rowid FROM t(?) WHERE distance {operator} ? ORDER BY distance", QUERY, limit) == wanted
    if operator != "<>":
        assert ids(db, f"SELECT rowid FROM t(?, 2) WHERE distance {operator} ? ORDER BY distance", QUERY, limit) == wanted[:2]
    score = all_rows[place][2]
    wanted = [row for row, _, found in all_rows if holds(found, score)]
    assert ids(db, f"SELECT rowid FROM t(?) WHERE score {operator} ? ORDER BY score DESC", QUERY, score) == wanted
    assert ids(db, f"SELECT rowid FROM t(?) WHERE ? {operator} score ORDER BY distance", QUERY, score) == [
        row for row, _, found in all_rows if holds(score, found)]


@pytest.mark.parametrize("where,count", [
    ("distance < 3", 7), ("distance < '0'", 0), ("distance > '0'", 7), ("distance > '0x'", 0), ("distance < '0x'", 7), ("score > '-1'", 7), ("distance < NULL", 0), ("distance < x''", 7),
    ("distance < -1", 0), ("distance < 0", 0), ("distance BETWEEN 0 AND 2", 7), ("score > -2", 7), ("score > 2", 0),
    ("score > '2'", 0), ("score < 'x'", 7), ("distance < 1e300", 7), ("distance < 9e999", 7), ("distance > -9e999", 7),
    ("distance IS NULL", 0), ("distance IS NOT NULL", 7), ("distance IN (1, 2)", 0), ("distance < 3 AND distance < 0", 0),
    ("+distance = 3", 0), ("score = 3", 0), ("distance < 9223372036854775807", 7), ("score IN (SELECT score FROM t('x'))", 0),
])
def test_a_radius_of_any_kind(each_kind, where, count):
    db = each_kind[1]
    assert len(ids(db, f"SELECT rowid FROM t('{QUERY}') WHERE {where}")) == count


def test_a_radius_from_another_table(index):
    index.execute("CREATE TABLE w(q, r); INSERT INTO w VALUES ('nlp', 0.5), ('bill', 0.4), ('nlp', NULL), ('bill', 9)")
    found = rows(index, "SELECT w.rowid, t.rowid FROM w JOIN t ON t MATCH w.q AND t.distance < w.r")
    wanted = [(w, row) for w, q, r in rows(index, "SELECT rowid, q, r FROM w") if r is not None
              for row in ids(index, f"SELECT rowid FROM t('{q}') WHERE +distance < ?", r)]
    assert sorted(found) == sorted(wanted) and len(found) > 7


# --- order, LIMIT --------------------------------------------------------------------------------


def test_equal_distances_come_in_the_order_of_rowids(any_host):
    setup = [f"CREATE VIRTUAL TABLE t USING bge(body, model='{TINY}')",
             "INSERT INTO t(rowid, body) VALUES (9, 'same'), (-4, 'same'), (3, 'other'), (7, 'same'), (1, 'same')"]
    for more in ([], [SYNC]):
        found = any_host.rows(*setup, *more, "SELECT rowid FROM t('same', 4)")
        assert found == [[-4], [1], [7], [9]]
        found = any_host.rows(*setup, *more, "SELECT rowid FROM t('same') ORDER BY score DESC LIMIT 2")
        assert found == [[-4], [1]]


ORDERS = ["distance", "score DESC", "distance, rowid", "score DESC, rowid", "distance ASC", "distance DESC", "score", "rowid",
          "rowid DESC", "distance, rowid DESC", "score DESC, rowid DESC", "lang, distance", "distance, lang", "n DESC, rowid",
          "tag, rowid", "distance DESC, rowid", "score, rowid", "-distance", "distance + 0, rowid", "distance COLLATE NOCASE, rowid",
          "distance NULLS LAST, rowid", "score DESC NULLS FIRST, rowid", "lang NULLS LAST, rowid",
          "rowid, distance", "distance, distance, rowid", "1", "2, 1"]
LIMITS = ["", "LIMIT 3", "LIMIT 0", "LIMIT -1", "LIMIT 3 OFFSET 2", "LIMIT 3 OFFSET -2", "LIMIT -5 OFFSET 3", "LIMIT 100 OFFSET 6",
          "LIMIT 2 OFFSET 100", "LIMIT (SELECT 2)", "LIMIT (SELECT count(*) FROM o WHERE n = 1) OFFSET (SELECT 1)", "LIMIT '2'",
          "LIMIT 2, 3"]


def bring(db, vector):
    """o, with the distances to a vector; as an ordinary table."""
    db.execute("CREATE TABLE IF NOT EXISTS p(rowid INTEGER PRIMARY KEY, body, lang TEXT, n INTEGER, tag TEXT COLLATE NOCASE, "
               "pad COLLATE RTRIM, raw, distance, score)")
    db.execute("DELETE FROM p")
    db.execute(f"INSERT INTO p SELECT rowid, {NAMES}, 1 - bge_cosine(embedding, ?1), bge_cosine(embedding, ?1) FROM o", (vector,))


@pytest.mark.parametrize("order", ORDERS)
def test_orders_and_limits(each_kind, order):
    db = each_kind[1]
    bring(db, query_vector(db))
    full = order if "rowid" in order else f"{order}, rowid" if order in ORDERS[:5] else f"{order}, distance, rowid"
    for limit in LIMITS:
        for where in ("1", "lang = 'en'", "length(tag) = 4", "rowid IN (2, 3, 7)"):
            wanted = rows(db, f"SELECT rowid, distance FROM p WHERE {where} ORDER BY {full} {limit}")
            mine = order if order in ORDERS[:5] else full
            assert rows(db, f"SELECT rowid, distance FROM t('{QUERY}') WHERE {where} ORDER BY {mine} {limit}") == wanted, (limit, where)


def test_a_limit_that_is_bound_and_statements_that_are_run_again(index):
    """apsw keeps prepared statements: each of these is prepared once."""
    vectors = {text: query_vector(index, text) for text in ("nlp", QUERY, "the bill")}
    for text, vector in vectors.items():
        order = ranked(index, vector=vector)
        for limit, offset in ((2, 0), (7, 1), (-1, 3), (0, 0), (1, 6), (3, 3)):
            wanted = order[offset:][:limit if limit >= 0 else None]
            for asked in (text, vector):
                assert ids(index, "SELECT rowid FROM t WHERE t MATCH ? ORDER BY distance LIMIT ? OFFSET ?", asked, limit, offset) == wanted
        for k in (3, 1, 7):
            assert ids(index, "SELECT rowid FROM t WHERE t MATCH ? AND k = ?", text, k) == order[:k]
        for lang in ("en", "de", None, "none"):
            assert ids(index, "SELECT rowid FROM t(?) WHERE lang = ? ORDER BY distance", text, lang) == [
                row for row in order if value(index, "SELECT lang FROM o WHERE rowid = ?", row) == lang and lang]
    assert ids(index, "SELECT rowid FROM t WHERE t MATCH ? AND k = ?", None, 3) == []
    assert failure(index, "SELECT rowid FROM t WHERE t MATCH ? AND k = ?", "nlp", 0)
    assert ids(index, "SELECT rowid FROM t WHERE t MATCH ? AND k = ?", "nlp", 2) == ranked(index, vector=vectors["nlp"])[:2]
    assert "LIMIT" not in str(failure(index, "SELECT rowid FROM t('nlp') LIMIT ?", "x"))


# --- larger statements ---------------------------------------------------------------------------

# {t}: a search for QUERY, or the ordinary table p; {alias} its name. Each gives its rows in a full order.
LARGER = [
    "SELECT s.rowid, o.lang, s.distance FROM {t} AS s JOIN o ON o.rowid = s.rowid ORDER BY s.distance, s.rowid",
    "SELECT s.rowid, o.lang FROM o JOIN {t} AS s ON o.rowid = s.rowid ORDER BY s.distance, s.rowid LIMIT 3",
    "SELECT s.rowid, o.rowid FROM o CROSS JOIN {t} AS s WHERE o.lang = s.lang ORDER BY 1, 2",
    "SELECT s.rowid, o.rowid FROM {t} AS s CROSS JOIN o WHERE o.lang = s.lang ORDER BY s.distance, 1, 2 LIMIT 4",
    "SELECT s.rowid, o.rowid FROM o LEFT JOIN {t} AS s ON o.rowid = s.rowid AND s.lang = 'en' ORDER BY 2, 1",
    "SELECT s.rowid, o.rowid FROM o LEFT JOIN {t} AS s ON o.n = s.n + 3 ORDER BY 2, 1",
    "SELECT s.rowid, o.rowid FROM {t} AS s LEFT JOIN o ON o.n = s.n + 1 WHERE s.tag = 'red' ORDER BY 1, 2",
    "SELECT s.rowid, o.rowid FROM {t} AS s LEFT JOIN o ON o.lang = s.lang AND o.rowid > s.rowid ORDER BY s.distance, o.rowid LIMIT 5",
    "SELECT o.rowid, (SELECT s.rowid FROM {t} AS s WHERE s.lang = o.lang ORDER BY s.distance LIMIT 1) FROM o ORDER BY 1",
    "SELECT o.rowid FROM o WHERE EXISTS (SELECT 1 FROM {t} AS s WHERE s.rowid = o.rowid AND s.distance < 0.6) ORDER BY 1",
    "SELECT o.rowid FROM o WHERE o.rowid IN (SELECT s.rowid FROM {t} AS s ORDER BY s.distance LIMIT 3) ORDER BY 1",
    "SELECT o.rowid FROM o WHERE o.rowid NOT IN (SELECT s.rowid FROM {t} AS s ORDER BY s.distance LIMIT 3) ORDER BY 1",
    "SELECT DISTINCT lang FROM {t} AS s ORDER BY lang",
    "SELECT DISTINCT tag COLLATE BINARY FROM {t} AS s ORDER BY 1",
    "SELECT DISTINCT rowid FROM {t} AS s ORDER BY distance, rowid LIMIT 3",
    "SELECT DISTINCT distance FROM {t} AS s ORDER BY distance LIMIT 5",
    "SELECT count(DISTINCT distance), count(*), min(distance), max(score) FROM {t} AS s",
    "SELECT lang, count(*), min(distance) FROM {t} AS s GROUP BY lang ORDER BY lang",
    "SELECT tag, group_concat(rowid) FROM (SELECT * FROM (SELECT rowid, tag FROM {t} AS s ORDER BY rowid)) GROUP BY tag ORDER BY tag",
    "SELECT lang, max(score) FROM {t} AS s GROUP BY lang HAVING count(*) > 1 ORDER BY lang",
    "SELECT distance, count(*) FROM {t} AS s GROUP BY distance ORDER BY distance",
    "SELECT rowid, row_number() OVER (ORDER BY distance, rowid) FROM {t} AS s ORDER BY rowid",
    "SELECT rowid, rank() OVER (PARTITION BY lang ORDER BY distance) FROM {t} AS s ORDER BY rowid",
    "SELECT rowid, sum(n) OVER (ORDER BY distance, rowid ROWS 2 PRECEDING) FROM {t} AS s ORDER BY distance, rowid LIMIT 4",
    "SELECT rowid FROM {t} AS s UNION SELECT n FROM o ORDER BY 1",
    "SELECT * FROM (SELECT rowid, distance FROM {t} AS s ORDER BY distance, rowid LIMIT 2) UNION ALL SELECT n, 5 FROM o ORDER BY 2, 1",
    "SELECT rowid, distance FROM {t} AS s WHERE n < 4 UNION ALL SELECT rowid, distance FROM {t} AS s WHERE n >= 4 ORDER BY distance, 1 LIMIT 5",
    "SELECT rowid FROM {t} AS s EXCEPT SELECT 3 ORDER BY 1",
    "SELECT rowid FROM {t} AS s INTERSECT SELECT n FROM o ORDER BY 1",
    "WITH near AS (SELECT rowid, distance FROM {t} AS s ORDER BY distance, rowid LIMIT 4) SELECT * FROM near WHERE rowid > 2 ORDER BY 2, 1",
    "WITH near AS MATERIALIZED (SELECT rowid AS r, distance AS d FROM {t} AS s) SELECT a.r, b.r FROM near AS a JOIN near AS b ON a.d < b.d ORDER BY 1, 2",
    "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 4) SELECT x, rowid FROM c JOIN {t} AS s ON s.n = x ORDER BY 1, 2",
    "SELECT a.rowid, b.rowid FROM {t} AS a JOIN {t} AS b ON a.rowid = b.n + 1 ORDER BY 1, 2",
    "SELECT a.rowid, b.rowid FROM {t} AS a, {t} AS b WHERE a.distance < b.distance ORDER BY a.distance, 1, b.distance, 2",
    "SELECT rowid FROM {t} AS s WHERE lang = 'en' OR rowid = 3 OR n > 6 ORDER BY distance, rowid",
    "SELECT rowid FROM {t} AS s WHERE (lang = 'en' AND n = 1) OR (lang = 'de' AND rowid IN (3, 4)) ORDER BY distance, rowid LIMIT 2",
    "SELECT rowid FROM {t} AS s WHERE distance < (SELECT min(distance) + 0.05 FROM {t} AS s) ORDER BY distance, rowid",
    "SELECT rowid, CASE WHEN distance < 0.5 THEN 'near' ELSE lang END FROM {t} AS s ORDER BY distance, rowid",
    "SELECT s.rowid, o.rowid FROM o JOIN {t} AS s ON s.tag = o.tag ORDER BY 1, 2",
    "SELECT s.rowid, o.rowid FROM o JOIN {t} AS s ON s.raw = o.n ORDER BY 1, 2",
    "SELECT s.rowid, o.rowid FROM o JOIN {t} AS s ON s.n = o.raw ORDER BY 1, 2",
    "SELECT s.rowid, o.rowid FROM o JOIN {t} AS s ON s.pad > o.tag ORDER BY 1, 2",
    "SELECT s.rowid, o.rowid FROM o JOIN {t} AS s ON s.lang <> o.lang ORDER BY 1, 2",
    "SELECT s.rowid FROM (SELECT * FROM o WHERE n > 1 ORDER BY n LIMIT 3) AS w JOIN {t} AS s ON s.rowid = w.n ORDER BY s.distance, 1",
    "SELECT s.rowid FROM {t} AS s NATURAL JOIN (SELECT lang, n FROM o WHERE n > 2) ORDER BY s.distance, s.rowid",
    "SELECT count(*) FROM {t} AS a, {t} AS b, o WHERE a.rowid = o.rowid AND b.lang = o.lang",
    "SELECT s.lang, total(s.distance) > 0 FROM {t} AS s JOIN o USING (lang) GROUP BY 1 ORDER BY 1",
]


@pytest.mark.parametrize("sql", LARGER)
def test_larger_statements_give_what_an_ordinary_table_gives(each_kind, sql):
    db = each_kind[1]
    bring(db, query_vector(db))
    assert rows(db, sql.replace("{t}", f"t('{QUERY}')")) == rows(db, sql.replace("{t}", "p"))


FILL = [
    f"CREATE TABLE p(rowid INTEGER PRIMARY KEY, {ORDINARY}, distance, score)",
    f"INSERT INTO p SELECT rowid, {NAMES}, 1 - bge_cosine(embedding, bge_embed_query('{QUERY}', '{TINY}')), "
    f"bge_cosine(embedding, bge_embed_query('{QUERY}', '{TINY}')) FROM o",
]


@pytest.mark.parametrize("sql", LARGER)
def test_larger_statements_in_every_host(any_host, sql):
    """SQLite 3.40 and 3.38 plan otherwise than the newest."""
    setup = SETUP["table"] + [SYNC] + BRUTE + [SAME_VECTORS] + FILL
    assert any_host.rows(*setup, sql.replace("{t}", f"t('{QUERY}')")) == any_host.rows(*setup, sql.replace("{t}", "p"))


def test_filters_in_every_host(any_host):
    def all_of(source, table, order):
        asked = (f"SELECT {n}, (SELECT group_concat(r) FROM (SELECT rowid AS r FROM {source} WHERE {on(where, table)} "
                 f"ORDER BY {order}))" for n, where in enumerate(FILTERS))
        return any_host.rows(*SETUP["own"], SYNC, *BRUTE, SAME_VECTORS, *FILL, " UNION ALL ".join(asked))

    found, wanted = all_of(f"t('{QUERY}')", "t", "distance"), all_of("p", "p", "distance, rowid")
    for where, mine, brute in zip(FILTERS, found, wanted, strict=True):
        assert mine == brute, where


def test_views_over_the_index(index):
    bring(index, query_vector(index))
    index.execute(f"CREATE VIEW near AS SELECT rowid AS id, lang, distance FROM t('{QUERY}')")
    index.execute("CREATE VIEW everything AS SELECT rowid AS id, * FROM t")
    assert rows(index, "SELECT id, distance FROM near WHERE lang = 'en' ORDER BY distance LIMIT 2") == \
        rows(index, "SELECT rowid, distance FROM p WHERE lang = 'en' ORDER BY distance LIMIT 2")
    assert ids(index, "SELECT id FROM everything WHERE n > 3 ORDER BY id") == [5, 6, 7]
    index.execute("CREATE TABLE copied AS SELECT id, distance FROM near")
    assert rows(index, "SELECT * FROM copied ORDER BY id") == rows(index, "SELECT rowid, distance FROM p ORDER BY rowid")


def test_or_beside_a_search(index):
    assert sorted(ids(index, "SELECT rowid FROM t WHERE t = 'nlp' AND (lang = 'en' OR n = 7)")) == [1, 2, 6, 7]
    assert sorted(ids(index, "SELECT rowid FROM t('nlp') WHERE lang = 'en' OR rowid = 3")) == [1, 2, 3, 6]
    # SQLite evaluates a MATCH that no plan takes, and cannot.
    assert "MATCH" in str(failure(index, "SELECT rowid FROM t WHERE NOT t MATCH 'nlp'"))
    assert "MATCH" in str(failure(index, "SELECT t MATCH 'nlp' FROM t"))


def test_searches_for_each_of_several_texts(index):
    found = rows(index, "SELECT t, rowid, distance FROM t WHERE t IN ('nlp', 'garage') ORDER BY distance, rowid")
    wanted = [("nlp", *row) for row in rows(index, "SELECT rowid, distance FROM t('nlp')")] + [
        ("garage", *row) for row in rows(index, "SELECT rowid, distance FROM t('garage')")]
    assert found == sorted(wanted, key=lambda row: (row[2], row[1])) and len(found) == 14


def test_a_search_for_each_row_of_a_table(index):
    index.execute("CREATE TABLE w(q); INSERT INTO w VALUES ('nlp'), ('the bill'), (NULL), ('garage')")
    found = rows(index, "SELECT w.q, (SELECT t.rowid FROM t(w.q) ORDER BY distance LIMIT 1) FROM w")
    assert found == [(q, (ids(index, "SELECT rowid FROM t(?, 1)", q) or [None])[0]) for q in ("nlp", "the bill", None, "garage")]
    found = rows(index, "SELECT w.q, t.rowid FROM w LEFT JOIN t ON t MATCH w.q AND k = 1")
    assert sorted(found, key=str) == sorted(
        ((q, (ids(index, "SELECT rowid FROM t(?, 1)", q) or [None])[0]) for q in ("nlp", "the bill", None, "garage")), key=str)


# --- rows that have changed ----------------------------------------------------------------------


def documents(db, *options, count=3):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body, lang)")
    more = "".join(f", {option}" for option in options)
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, lang UNINDEXED, content='docs'{more}, model='{TINY}')")
    for n in range(1, count + 1):
        db.execute("INSERT INTO docs VALUES (?, ?, 'en')", (n, f"text number {n}"))
    assert value(db, "SELECT bge_sync('t')") == count
    return db


def brute(db, question, where="1"):
    return ids(db, f"SELECT id FROM docs WHERE body IS NOT NULL AND {where} ORDER BY bge_cosine(bge_embed(body, '{TINY}'), ?) DESC, id",
               query_vector(db, question))


def test_a_deleted_row_is_never_found(db):
    documents(db, "catchup=0", count=5)
    db.execute("DELETE FROM docs WHERE id = 2")
    for sql in ("SELECT 1", "DELETE FROM t_log", "DROP TRIGGER t_ad", "DELETE FROM docs WHERE id = 4"):
        db.execute(sql)
        left = ids(db, "SELECT id FROM docs ORDER BY id")
        assert sorted(ids(db, "SELECT rowid FROM t('text number 2')")) == left
        assert ids(db, "SELECT rowid FROM t('text number 2', 1)") == brute(db, "text number 2")[:1]
        assert ids(db, "SELECT rowid FROM t('text number 2') WHERE rowid IN (2, 3)") == [3]
        assert ids(db, "SELECT rowid FROM t ORDER BY rowid") == left
        assert ids(db, "SELECT rowid FROM t WHERE rowid = 2") == []


def test_pending_rows_are_as_if_embedded(db):
    documents(db, count=4)
    db.execute("UPDATE docs SET body = 'machine learning' WHERE id = 1")
    db.execute("INSERT INTO docs VALUES (9, 'learning machine', 'de'), (10, NULL, 'de')")
    db.execute("UPDATE docs SET id = 20 WHERE id = 3; DELETE FROM docs WHERE id = 4")
    db.execute("UPDATE docs SET body = NULL WHERE id = 2")
    for _ in range(2):
        assert ids(db, "SELECT rowid FROM t('learning') ORDER BY distance") == brute(db, "learning")
        assert ids(db, "SELECT rowid FROM t('learning', 2)") == brute(db, "learning")[:2]
        assert ids(db, "SELECT rowid FROM t('learning') WHERE lang = 'de'") == [9]
        assert ids(db, "SELECT rowid FROM t('learning') WHERE rowid IN (1, 2, 3, 4, 10)") == [1]
        value(db, "SELECT bge_sync('t')")


def test_catchup_rows_are_embedded_the_newest_first(db):
    documents(db, "catchup=2")
    db.execute("INSERT INTO docs VALUES (4, 'four', 'en'), (5, 'five', 'de'), (6, 'six', 'en'), (7, 'seven', 'en')")
    assert sorted(ids(db, "SELECT rowid FROM t('x')")) == [1, 2, 3, 6, 7]
    # What a query has embedded costs nothing now: the next two are had.
    assert sorted(ids(db, "SELECT rowid FROM t('x')")) == [1, 2, 3, 4, 5, 6, 7]


def test_filters_come_before_catchup(db):
    documents(db, "catchup=1")
    db.execute("INSERT INTO docs VALUES (4, 'fourth of them', 'en'), (5, 'fifth of them', 'de'), (6, 'sixth of them', 'en'), (7, 'seventh of them', 'en')")
    assert ids(db, "SELECT rowid FROM t('x') WHERE lang = 'de'") == [5]
    assert sorted(ids(db, "SELECT rowid FROM t('x') WHERE rowid < 5")) == [1, 2, 3, 4]


def test_without_catchup_nothing_is_embedded(db):
    documents(db, "catchup=0")
    db.execute("INSERT INTO docs VALUES (4, 'no cache has this text of four', 'en')")
    db.execute("UPDATE docs SET body = 'nor this text of one' WHERE id = 1")
    vector = query_vector(db, "text")
    before, old = inferences(db), rows(db, "SELECT rowid, score FROM t(?) WHERE rowid = 1", vector)
    assert sorted(ids(db, "SELECT rowid FROM t(?)", vector)) == [1, 2, 3]
    assert inferences(db) == before
    # Row 1 keeps its old vector.
    assert old == [(1, value(db, "SELECT bge_cosine(?, ?)", embed(db, "text number 1"), vector))]


def test_unchanged_text_keeps_its_vector_and_costs_nothing(db):
    documents(db, "catchup=1", count=8)
    db.execute("UPDATE docs SET body = body || '!'")
    db.execute("UPDATE docs SET body = rtrim(body, '!')")
    db.execute("UPDATE docs SET body = 'this one is not as it was' WHERE id = 1")
    db.execute("UPDATE docs SET lang = 'de' WHERE id > 4")
    vector = query_vector(db, "text")
    before = inferences(db)
    found = ids(db, "SELECT rowid FROM t(?) ORDER BY distance", vector)
    assert inferences(db) == before + 1  # the row that has changed
    assert found == brute(db, "text")
    assert sorted(ids(db, "SELECT rowid FROM t(?) WHERE lang = 'de'", vector)) == [5, 6, 7, 8]


def test_values_that_have_changed_are_compared_as_they_are(db):
    for catchup in (64, 0):
        db.execute("DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS docs")
        documents(db, f"catchup={catchup}", count=6)
        db.execute("UPDATE docs SET lang = 'de' WHERE id IN (2, 3)")
        db.execute("UPDATE docs SET lang = 'fr', body = 'text number 4!' WHERE id = 4")
        assert sorted(rows(db, "SELECT rowid, lang FROM t('x') WHERE lang = 'de'")) == [(2, "de"), (3, "de")]
        assert ids(db, "SELECT rowid FROM t('text number 2', 1) WHERE lang = 'en'") == brute(db, "text number 2", "lang = 'en'")[:1]
        assert sorted(ids(db, "SELECT rowid FROM t('x') WHERE lang <> 'en'")) == [2, 3, 4]
        assert ids(db, "SELECT rowid FROM t('x') WHERE lang = 'fr'") == [4]
        assert dict(rows(db, "SELECT rowid, lang FROM t('x')")) == dict(rows(db, "SELECT id, lang FROM docs"))


def test_long_pending_documents_are_left_out_whole(db):
    """At most 1,024 tokens a query, whole documents only."""
    documents(db, "chunk_tokens=16", "overlap=0")
    db.execute("INSERT INTO docs VALUES (4, ?, 'en')", ("reset the device now. " * 400,))
    db.execute("INSERT INTO docs VALUES (5, 'a short one', 'en')")
    assert sorted(ids(db, "SELECT rowid FROM t('reset')")) == [1, 2, 3, 5]
    value(db, "SELECT bge_sync('t')")
    assert sorted(ids(db, "SELECT rowid FROM t('reset')")) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("synced", [0, 1])
def test_rows_that_no_sync_has_seen(db, synced):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body, lang)")
    db.execute("INSERT INTO docs VALUES (-5, 'machine learning', 'en'), (1, 'the bill', 'de'), (2, NULL, 'de'), (9, 'i love nlp', 'fr')")
    db.execute("CREATE VIEW seen AS SELECT * FROM docs")
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, lang UNINDEXED, content='docs', model='{TINY}')")
    db.execute(f"CREATE VIRTUAL TABLE v USING bge(body, content='seen', content_rowid='id', model='{TINY}')")
    if synced:
        assert value(db, "SELECT bge_sync('t')") == 4 and value(db, "SELECT bge_sync('v')") == 4
    assert ids(db, "SELECT rowid FROM t('nlp') ORDER BY distance") == brute(db, "nlp")
    assert ids(db, "SELECT rowid FROM t('nlp', 2)") == brute(db, "nlp")[:2]
    assert ids(db, "SELECT rowid FROM t('nlp') WHERE lang IN ('de', 'fr')") == brute(db, "nlp", "lang IN ('de', 'fr')")
    assert ids(db, "SELECT rowid FROM v('nlp') ORDER BY distance") == (brute(db, "nlp") if synced else [])


def test_a_view_follows_its_rows_at_sync(db):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs VALUES (1, 'one'), (2, 'two'), (3, 'three')")
    db.execute("CREATE VIEW seen AS SELECT id, body || ' of them' AS body FROM docs WHERE id <> 3")
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, content='seen', content_rowid='id', model='{TINY}')")
    value(db, "SELECT bge_sync('t')")
    assert ids(db, "SELECT rowid FROM t(bge_embed('two of them', ?), 1)", TINY) == [2]
    db.execute("DELETE FROM docs WHERE id = 2; INSERT INTO docs VALUES (4, 'four'); UPDATE docs SET body = 'uno' WHERE id = 1")
    assert ids(db, "SELECT rowid FROM t('x')") == [1]
    value(db, "SELECT bge_sync('t')")
    assert ids(db, "SELECT rowid FROM t(bge_embed('four of them', ?))", TINY)[0] == 4
    assert rows(db, "SELECT rowid, round(score, 5) FROM t(bge_embed('uno of them', ?), 1)", TINY) == [(1, 1.0)]


# --- without MATCH -------------------------------------------------------------------------------


def test_a_plain_scan_and_a_lookup(each_kind):
    kind, db = each_kind
    everything = rows(db, "SELECT rowid, lang, n, tag, distance, score, passage, k, t FROM t")
    assert [row[0] for row in everything] == list(range(1, 8))
    assert {row[4:6] + row[7:] for row in everything} == {(None,) * 4}
    assert rows(db, "SELECT rowid, distance, lang FROM t WHERE rowid = 3") == [(3, None, "de")]
    assert ids(db, "SELECT rowid FROM t WHERE rowid IN (5, 2, 99, NULL)") in ([2, 5], [5, 2])
    assert ids(db, "SELECT rowid FROM t WHERE rowid > 2 AND rowid <= 5 ORDER BY rowid DESC") == [5, 4, 3]
    assert value(db, "SELECT count(*) FROM t") == 7
    assert ids(db, "SELECT rowid FROM t WHERE distance < 5") == []
    assert ids(db, "SELECT rowid FROM t ORDER BY distance") == list(range(1, 8))
    assert value(db, "SELECT count(*) FROM t JOIN o ON o.rowid = t.rowid WHERE bge_l2(t.embedding, bge_embed(o.body, ?)) < 1e-5",
                 TINY) == 7
    texts = [None] * 7 if kind == "nothing" else ids(db, "SELECT body FROM o ORDER BY rowid")
    assert ids(db, "SELECT body FROM t ORDER BY rowid") == texts
    assert ids(db, "SELECT a.rowid FROM t AS a JOIN t AS b ON a.rowid = b.rowid + 1") == list(range(2, 8))


PLANS = [
    ("t WHERE t MATCH 'x'", "match"), ("t('x', 5)", "match k"), ("t('x', 5) ORDER BY distance", "match k order=distance"),
    ("t('x') ORDER BY score DESC LIMIT 3", "match order=score"), ("t('x') ORDER BY distance, rowid", "match order=distance"),
    ("t('x') WHERE rowid IN (1, 2)", "match rowid-in"), ("t('x') WHERE rowid < 5", "match rowid<"),
    ("t('x') WHERE lang = 'en' AND k = 5 ORDER BY distance", "match k col1= order=distance"),
    ("t('x') WHERE tag IN ('a', 'b')", "match col3:NOCASE-in"), ("t('x') WHERE pad >= 'a'", "match col4:RTRIM>="),
    ("t('x') WHERE lang IS NULL", "match col1-null"), ("t('x') WHERE n IS NOT NULL", "match col2-not-null"),
    ("t('x') WHERE distance < 0.5", "match distance<"), ("t('x') WHERE score > 0.5", "match score>"),
    ("t WHERE rowid = 3", "lookup rowid="), ("t", "scan"), ("t WHERE rowid > 3 ORDER BY rowid", "scan rowid> order=rowid"),
    ("t WHERE k = 3", "k-alone"), ("t('x', 2, 3)", "third-argument"), ("t('x') WHERE t MATCH 'y'", "match match"),
    ("t('x') WHERE k < 2", "bad-k"), ("t('x') WHERE body LIKE 'a%'", "match"), ("t WHERE body MATCH 'x'", "match-column"),
    ("t('x', 5) WHERE body LIKE 'a%'", "k-uncut"), ("t('x', 5) WHERE body = (SELECT body FROM o)", "match k uncut"),
    ("o CROSS JOIN t('x') AS s WHERE s.lang = o.lang", "match col1=?"), ("t('x') WHERE lang IS NOT 'en'", "match col1-is-not"),
    ("t('x', 5) WHERE k IS NOT NULL", "match k"),
]


@pytest.mark.parametrize("question,plan", PLANS)
def test_plans_can_be_read(index, question, plan):
    [(*_, detail)] = [row for row in rows(index, f"EXPLAIN QUERY PLAN SELECT 1 FROM {question}") if "VIRTUAL TABLE" in row[3]]
    assert detail.split("INDEX 0:")[1] == plan


@pytest.mark.parametrize("order", ["distance", "score DESC", "distance, rowid", "score DESC, rowid"])
@pytest.mark.parametrize("version", [Newest, Oldest])
def test_orders_that_are_consumed(version, order):
    plan = version().rows(*SETUP["own"], f"EXPLAIN QUERY PLAN SELECT rowid FROM t('x') ORDER BY {order} LIMIT 3")
    assert len(plan) == 1 and "TEMP B-TREE" not in str(plan) and "order=" in str(plan)


# --- reading writes nothing ----------------------------------------------------------------------

READS = ["SELECT rowid, distance, passage, embedding FROM t('x')", "SELECT rowid FROM t('nlp', 2)", "SELECT * FROM t",
         "SELECT * FROM t WHERE rowid = 2", "SELECT rowid FROM t('x') WHERE lang = 'en' ORDER BY distance LIMIT 1",
         "SELECT bge_status('t')"]


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_query_never_writes(connect, tmp_path, kind, pending, journal):
    file = tmp_path / "index.db"
    db = connect(database=file)
    db.execute(f"PRAGMA journal_mode = {journal}")
    for sql in SETUP[kind] + ([] if pending else [SYNC]):
        db.execute(sql)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before, changes = file.read_bytes(), db.total_changes()
    for sql in READS:
        assert rows(db, sql) or kind == "view" and pending
        assert db.get_autocommit()
    assert db.total_changes() == changes
    assert file.read_bytes() == before
    wal = file.with_name("index.db-wal")
    assert not wal.exists() or wal.stat().st_size == 0


def test_a_file_that_cannot_be_written(tmp_path, kind):
    file = tmp_path / "index.db"
    db = connect(database=file)
    for sql in SETUP[kind] + [SYNC] + BRUTE:
        db.execute(sql)
    if kind in ("own", "nothing"):
        db.execute("INSERT INTO t(rowid, body, lang) VALUES (8, 'pending', 'en')")
    elif kind == "table":
        db.execute("INSERT INTO docs(id, body, lang) VALUES (8, 'pending', 'en')")
    wanted = rows(db, "SELECT rowid, distance FROM t('nlp')")
    assert len(wanted) == (7 if kind == "view" else 8)
    db.close()
    os.chmod(file, 0o444)
    db = apsw.Connection(f"file:{file}?mode=ro&immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    db.enable_load_extension(True)
    db.load_extension(str(EXTENSION))
    assert rows(db, "SELECT rowid, distance FROM t('nlp')") == wanted
    assert len(rows(db, "SELECT * FROM t")) == (7 if kind == "view" else 8)
    assert json.loads(value(db, "SELECT bge_status('t')"))["pending"] == (0 if kind == "view" else 1)
    assert "readonly" in str(failure(db, "SELECT bge_sync('t')")).replace(" ", "").replace("-", "")
    db.close()


def test_a_read_transaction_stays_one(connect, tmp_path):
    """A query takes no write lock: another connection writes meanwhile."""
    file = tmp_path / "index.db"
    db, other = connect(database=file), connect(database=file)
    db.execute("PRAGMA journal_mode = wal")
    for sql in SETUP["own"]:
        db.execute(sql)
    with db:
        db.execute("SELECT 1 FROM t")
        before = ids(db, "SELECT rowid FROM t('nlp') ORDER BY distance")
        assert db.txn_state("main") == apsw.SQLITE_TXN_READ
        other.execute("DELETE FROM t WHERE rowid < 4")
        assert ids(db, "SELECT rowid FROM t('nlp') ORDER BY distance") == before
    assert ids(db, "SELECT rowid FROM t('nlp') ORDER BY rowid") == [4, 5, 6, 7]
