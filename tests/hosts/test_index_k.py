"""What `k` means, in every version of SQLite and whatever plan it chooses.

`k` is the k nearest rows of this MATCH and of this table's own constant filters: a literal, a parameter, an IN list, a subquery
that is the same for all rows, IS NULL. A value from another table, of a correlated column or computed is compared afterwards,
with the k rows. What cannot be applied before ranking is an error beside k. Without k every filter is plain SQL.
"""

import apsw
import pytest
from sessions import SESSIONS, OldestSession, literal
from support import TINY, HostError, blob, connect, failure, value

# Distances to `:q` grow with the rowid; languages alternate.
LANGUAGES = ["en", "de", "fr", "de", "en", "de", "fr", None]
Q = blob(1, 0)


def near(n):
    return blob(1, n / 10)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """An index `e` of eight rows, 1 the nearest, and tables beside it."""
    path = tmp_path_factory.mktemp("k") / "k.db"
    db = connect(database=path)
    db.execute(f"""
        CREATE VIRTUAL TABLE e USING bge(body, lang TEXT UNINDEXED, n INTEGER UNINDEXED, raw UNINDEXED,
                                         tag TEXT COLLATE NOCASE UNINDEXED, content='', model='{TINY}');
        CREATE TABLE d(id INTEGER PRIMARY KEY, lang TEXT, n INTEGER, far REAL);
        CREATE VIEW two AS SELECT rowid AS r, distance AS d, lang, n FROM e WHERE e MATCH x'{Q.hex()}' AND k = 2;
        CREATE VIEW two_by_limit AS SELECT rowid AS r, distance AS d, lang, n FROM e WHERE e MATCH x'{Q.hex()}' ORDER BY distance LIMIT 2;
        CREATE TABLE texts(id INTEGER PRIMARY KEY, body);
        CREATE VIRTUAL TABLE w USING bge(body, n UNINDEXED, model='{TINY}')""")
    for n, lang in enumerate(LANGUAGES, 1):
        db.execute("INSERT INTO e(rowid, lang, n, raw, tag, embedding) VALUES (?, ?, ?, ?, ?, ?)", (n, lang, n % 3, n, f"T{n % 2}", near(n)))
        db.execute("INSERT INTO d VALUES (?, ?, ?, ?)", (n, lang, n % 3, 0.001))
        db.execute("INSERT INTO w(rowid, body, n) VALUES (?, ?, ?)", (n, f"text {n}", n))
        db.execute("INSERT INTO texts VALUES (?, ?)", (n, f"text {n}"))
    value(db, "SELECT bge_sync('w')")
    db.close()
    return path


@pytest.fixture(params=SESSIONS)
def session(request, file):
    made = request.param(file)
    yield made
    made.close()


def ask(session, sql, **bound):
    [answer] = session.ask([(sql, {"q": Q, **bound})])
    if isinstance(answer, Exception):
        raise answer
    return answer


def ids(session, sql, **bound):
    return [row[0] for row in ask(session, sql, **bound)]


# --- values of other tables ----------------------------------------------------------------------

SIDES = ["d JOIN e", "e JOIN d", "d CROSS JOIN e", "e CROSS JOIN d", "d, e", "e, d"]
# From another table, k = 3, and the rows of 1, 2, 3 that pass.
ACROSS = [
    ("e.rowid = d.id", [1, 2, 3]), ("e.rowid = d.id AND d.id > 2", [3]), ("e.rowid = d.id AND d.id > 3", []), ("e.rowid = d.id + 4", []),
    ("e.rowid = d.id AND e.lang = 'de' AND d.id > 2", [4, 6]), ("e.lang = d.lang AND d.id > 6", [3]), ("e.lang IS d.lang AND d.id > 6", [3]),
    ("e.n = d.n AND d.id = 7 + 0", [1]), ("e.rowid < d.id AND d.id = abs(3)", [1, 2]),
    ("e.rowid BETWEEN d.id AND d.id + 1 AND d.id = abs(3)", [3]), ("e.distance < d.far AND d.id = abs(3)", []),
    ("e.score > 1 - d.far AND d.id = abs(3)", []), ("e.lang LIKE d.lang AND d.id = abs(7)", [3]), ("e.lang <> d.lang AND d.id = abs(4)", [1, 3]),
    ("e.rowid IS d.id AND d.id > 2", [3]), ("e.rowid NOT IN (d.id) AND d.id = abs(2)", [1, 3]), ("(e.rowid, e.n) = (d.id, d.n)", [1, 2, 3]),
    ("e.rowid = d.id AND e.rowid IN (SELECT id FROM d WHERE id > 4)", [5, 6, 7]),
]


@pytest.mark.parametrize("where,wanted", ACROSS)
def test_another_table_s_value_never_cuts(session, where, wanted):
    for sides in SIDES:
        for asked in (f"{sides} WHERE e MATCH :q AND k = 3 AND {where}", f"{sides} ON {where} WHERE e MATCH :q AND e.k = 3"):
            if "," in sides and " ON " in asked:
                continue
            assert ids(session, f"SELECT e.rowid FROM {asked} ORDER BY e.distance, d.id") == wanted, asked


@pytest.mark.parametrize("where,wanted,behind", [
    ("e.rowid IN (d.id, -1) AND d.id > 2", [3], [3, 4, 5, 6, 7, 8]), ("e.n IN (d.n + 5, 0) AND +d.id = 5", [3], [3, 6]),
    ("e.lang IN (SELECT x.lang FROM d AS x WHERE x.id = d.id) AND +d.id = 7", [3], [3, 7]),
])
def test_a_list_of_another_table(session, where, wanted, behind):
    """Never cuts either, where SQLite may choose the order. Behind CROSS JOIN and LEFT JOIN it does not tell such a list from a
    constant one: there it counts as a constant, and docs/SQL.md says so."""
    for sides in SIDES:
        found = ids(session, f"SELECT e.rowid FROM {sides} WHERE e MATCH :q AND k = 3 AND {where} ORDER BY e.distance, d.id")
        assert found == (behind if sides == "d CROSS JOIN e" else wanted), sides
    found = ids(session, f"SELECT e.rowid FROM d LEFT JOIN e ON {where} AND e MATCH :q AND k = 3 ORDER BY e.distance, d.id")
    assert [row for row in found if row is not None] == behind


def test_rows_of_a_join_of_the_issue(session):
    """d has rows 1, 2, 3: the nearest row of e is one, whoever is read first."""
    for sides in SIDES:
        found = ids(session, f"SELECT e.rowid FROM {sides} WHERE e.rowid = d.id AND d.id <= 3 AND e MATCH :q AND k = 1")
        assert found == [1], sides


def test_outer_joins(session):
    left = "FROM d LEFT JOIN e ON e.rowid = d.id AND e MATCH :q AND k = 2"
    assert ask(session, f"SELECT d.id, e.rowid {left} WHERE d.id < 5 ORDER BY 1") == [[1, 1], [2, 2], [3, None], [4, None]]
    assert ask(session, f"SELECT d.id, e.rowid {left} AND e.lang = 'de' WHERE d.id < 5 ORDER BY 1") == [[1, None], [2, 2], [3, None], [4, 4]]
    assert ask(session, "SELECT e.rowid, d.id FROM e LEFT JOIN d ON d.id = e.rowid AND d.lang = 'de' WHERE e MATCH :q AND k = 3 ORDER BY 1") == [
        [1, None], [2, 2], [3, None]]


def test_exists_and_scalar_subqueries(session):
    inside = "SELECT 1 FROM e WHERE e MATCH :q AND k = 2 AND e.rowid = d.id"
    assert ids(session, f"SELECT id FROM d WHERE EXISTS ({inside}) ORDER BY 1") == [1, 2]
    assert ids(session, f"SELECT id FROM d WHERE NOT EXISTS ({inside}) ORDER BY 1") == [3, 4, 5, 6, 7, 8]
    scalar = "SELECT e.rowid FROM e WHERE e MATCH :q AND k = 2 AND e.lang = d.lang ORDER BY distance LIMIT 1"
    assert ask(session, f"SELECT id, ({scalar}) FROM d WHERE id < 4 ORDER BY 1") == [[1, 1], [2, 2], [3, None]]
    assert ids(session, "SELECT id FROM d WHERE id IN (SELECT e.rowid FROM e WHERE e MATCH :q AND k = 2) ORDER BY 1") == [1, 2]


# --- own constant filters ------------------------------------------------------------------------

# A filter, its parameter, and the first rows that pass. {v} is the value, as a literal or as a parameter.
OWN = [
    ("lang = {v}", "de", [2, 4]), ("lang IS {v}", "de", [2, 4]), ("lang IS NOT {v}", "en", [2, 3]), ("lang IS {v}", None, [8]),
    ("lang IS NOT {v}", None, [1, 2]), ("lang <> {v}", "en", [2, 3]), ("lang > {v}", "en", [3, 7]), ("lang BETWEEN {v} AND 'ez'", "e", [1, 5]),
    ("lang IN ({v}, 'x')", "fr", [3, 7]), ("lang LIKE {v}", "D%", [2, 4]), ("lang GLOB {v}", "f*", [3, 7]), ("n = {v}", 0, [3, 6]),
    ("n IS {v}", 0, [3, 6]), ("n IS NOT {v}", 1, [2, 3]), ("rowid IS {v}", 5, [5]), ("rowid = {v}", 5, [5]), ("rowid IS NOT {v}", 1, [2, 3]),
    ("rowid > {v}", 4, [5, 6]), ("rowid <> {v}", 1, [2, 3]), ("rowid IN ({v}, 7)", 5, [5, 7]), ("distance > {v}", 0.03, [3, 4]),
    ("score < {v}", 0.97, [3, 4]), ("raw = {v}", "5", []), ("tag = {v}", "t0", [2, 4]), ("{v} = lang", "fr", [3, 7]),
]


@pytest.mark.parametrize("where,given,wanted", OWN)
def test_a_constant_is_applied_before_the_cut(session, where, given, wanted):
    for text, bound in ((where.format(v=literal(given)), {}), (where.format(v=":v"), {"v": given})):
        for k in (1, 2):
            for asked in (f"e(:q, {k}) WHERE {text}", f"e WHERE {text} AND e MATCH :q AND k = {k}"):
                assert ids(session, f"SELECT rowid FROM {asked} ORDER BY distance", **bound) == wanted[:k], asked


@pytest.mark.parametrize("where,wanted", [
    ("lang IS NULL", [8]), ("lang IS NOT NULL", [1, 2]), ("lang ISNULL", [8]), ("rowid IN (SELECT id FROM d WHERE id > 4)", [5, 6]),
    ("lang IN (SELECT lang FROM d WHERE id = 3)", [3, 7]), ("n IN (0)", [3, 6]), ("rowid IN (9, 8, NULL)", [8]), ("rowid IN ()", []),
    ("(lang, n) = ('de', 1)", [4]), ("lang COLLATE NOCASE = 'DE'", [2, 4]), ("lang COLLATE NOCASE IN ('DE')", [2, 4]), ("rowid > 2.5", [3, 4]),
    ("lang = 'de' AND n = 0", [6]), ("lang = 'de' AND rowid > 2", [4, 6]), ("k = 2 AND lang = 'fr'", [3, 7]),
])
def test_other_constant_filters(session, where, wanted):
    if "k = 2" in where:
        assert ids(session, f"SELECT rowid FROM e WHERE e MATCH :q AND {where} ORDER BY distance") == wanted
        return
    for k in (1, 2):
        assert ids(session, f"SELECT rowid FROM e(:q, {k}) WHERE {where} ORDER BY distance") == wanted[:k]


def test_is_distinct_from(session):
    if isinstance(session, OldestSession):
        pytest.skip("SQLite 3.38 has no IS DISTINCT FROM")
    for bound in ({}, {"v": "de"}):
        v = ":v" if bound else "'de'"
        assert ids(session, f"SELECT rowid FROM e(:q, 2) WHERE lang IS NOT DISTINCT FROM {v} ORDER BY distance", **bound) == [2, 4]
        assert ids(session, f"SELECT rowid FROM e(:q, 2) WHERE lang IS DISTINCT FROM {v} ORDER BY distance", **bound) == [1, 3]


@pytest.mark.parametrize("where,wanted", [
    ("lang NOT IN ('en')", [2]), ("NOT (lang = 'en')", [2]), ("length(lang) = 2", [1, 2]), ("rowid + 0 > 1", [2]), ("rowid % 2 = 0", [2]),
    ("rowid NOT IN (1)", [2]), ("(lang = 'fr' OR n = 2)", [2]), ("rowid = (SELECT max(id) FROM d)", []), ("n = 1 + 1", [2]),
    ("lang || '' = 'de'", [2]), ("lang NOT LIKE 'e%'", [2]), ("lang = (SELECT lang FROM d WHERE id = 3)", []), ("n = rowid", [1, 2]),
    ("EXISTS (SELECT 1 FROM d WHERE d.id = e.rowid AND d.lang = 'de')", [2]), ("rowid = abs(2)", [2]),
    # SQLite offers an inequality of a column itself, not of one with a COLLATE behind it.
    ("lang COLLATE NOCASE <> 'EN'", [2]), ("lang COLLATE NOCASE IS NOT 'EN'", [2]),
    # SQLite does not say that this is a literal: COLLATE goes to the column.
    ("lang = 'DE' COLLATE NOCASE", [2]), ("lang = 'FR' COLLATE NOCASE", []),
])
def test_what_is_computed_or_not_offered_is_applied_to_the_k_rows(session, where, wanted):
    assert ids(session, f"SELECT rowid FROM e WHERE e MATCH :q AND k = 2 AND ({where}) ORDER BY distance") == wanted


# --- subqueries and views ------------------------------------------------------------------------

SUBQUERY = "(SELECT rowid AS r, distance AS d, lang, n FROM e WHERE e MATCH :q AND k = 2)"


@pytest.mark.parametrize("near", ["two", SUBQUERY])
def test_a_join_keeps_the_rows_of_a_view(session, near):
    assert ids(session, f"SELECT r FROM {near} ORDER BY d") == [1, 2]
    for sides in ("d JOIN {z}", "{z} JOIN d", "d CROSS JOIN {z}", "{z} CROSS JOIN d"):
        sides = sides.format(z=f"{near} AS z")
        for on, wanted in (("z.r = d.id", [1, 2]), ("z.r = d.id - 1", [1, 2]), ("z.lang = d.lang AND d.id > 3", [2, 1, 2]), ("z.n = d.n AND d.id > 6", [1, 2]),
                           ("z.r < d.id AND d.id = abs(2)", [1])):
            assert sorted(ids(session, f"SELECT z.r FROM {sides} ON {on}")) == sorted(wanted), (sides, on)
    assert ask(session, f"SELECT d.id, z.r FROM d LEFT JOIN {near} AS z ON z.r = d.id WHERE d.id < 4 ORDER BY 1") == [[1, 1], [2, 2], [3, None]]
    assert ids(session, f"SELECT id FROM d WHERE id IN (SELECT r FROM {near}) ORDER BY 1") == [1, 2]
    assert ids(session, f"SELECT id FROM d WHERE EXISTS (SELECT 1 FROM {near} AS z WHERE z.r = d.id) ORDER BY 1") == [1, 2]
    assert ask(session, f"SELECT count(*) FROM {near}") == [[2]]
    assert ids(session, f"SELECT r FROM {near} AS z WHERE r % 2 = 0") == [2]


def test_a_constant_outside_of_a_plain_subquery_is_merged_into_it(session):
    """By SQLite: docs/SQL.md says so, and how to keep the two rows."""
    for near in ("two", SUBQUERY):
        assert ids(session, f"SELECT r FROM {near} WHERE lang = 'fr' ORDER BY d") == [3, 7]
    bounded = SUBQUERY.replace("k = 2)", "k = 2 ORDER BY distance LIMIT 2)")
    for near in ("two_by_limit", bounded):
        assert ids(session, f"SELECT r FROM {near} WHERE lang = 'fr'") == []
        assert ids(session, f"SELECT r FROM {near} WHERE lang = 'de'") == [2]
    if isinstance(session, OldestSession):
        return  # SQLite 3.38 merges it into a MATERIALIZED one as well
    assert ids(session, f"WITH z AS MATERIALIZED {SUBQUERY} SELECT r FROM z WHERE lang = 'fr'") == []
    assert ids(session, f"WITH z AS MATERIALIZED {SUBQUERY} SELECT r FROM z WHERE lang = 'de'") == [2]


# --- what k cannot count -------------------------------------------------------------------------


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("where", ["body = {v}", "body LIKE {v}", "body > {v}", "body IN ({v}, 'x')", "body IS {v}", "body GLOB {v}", "body <> {v}",
                                   "body BETWEEN {v} AND 'z'", "body IS NOT {v}"])
def test_a_text_column_beside_k_is_an_error_that_says_so(session, where, given):
    bound = {"v": "text 2", "q": bytes(4 * 32)} if given else {"q": bytes(4 * 32)}
    where = where.format(v=":v" if given else "'text 2'")
    for asked in (f"w(:q, 2) WHERE {where}", f"w WHERE {where} AND w MATCH :q AND k = 2"):
        with pytest.raises(HostError, match=r"\bk\b.*|.*LIMIT"):
            ids(session, f"SELECT rowid FROM {asked}", **bound)
    # Without k it is plain SQL.
    assert ids(session, f"SELECT rowid FROM w(:q) WHERE {where} ORDER BY rowid", **bound) == \
        ids(session, f"SELECT id FROM texts WHERE {where} ORDER BY 1", **bound)


def test_a_text_column_and_another_table_s_value(session):
    """Compared afterwards, as any other."""
    bound = {"q": bytes(4 * 32)}
    for sides in ("texts JOIN w", "w JOIN texts", "texts CROSS JOIN w", "w CROSS JOIN texts"):
        assert ids(session, f"SELECT w.rowid FROM {sides} ON w.body = texts.body WHERE w MATCH :q AND k = 2 AND texts.id > 1", **bound) == [2]


@pytest.mark.parametrize("where,value_of", [("raw = {v}", 5), ("raw > {v}", 5), ("raw <> {v}", 5), ("tag <> {v}", "t1"), ("tag IS NOT {v}", "t1"),
                                            ("raw IN ({v}, 6)", 5)])
@pytest.mark.parametrize("given", [True, False])
def test_what_sqlite_alone_can_decide_is_right_or_an_error(session, where, value_of, given):
    """A number against a column without a type, an inequality under another collation: never a wrong number of rows."""
    bound = {"v": value_of} if given else {}
    where = where.format(v=":v" if given else literal(value_of))
    everything = ids(session, f"SELECT rowid FROM e(:q) WHERE {where} ORDER BY distance", **bound)
    assert everything
    for k in (1, 2):
        try:
            found = ids(session, f"SELECT rowid FROM e(:q, {k}) WHERE {where} ORDER BY distance", **bound)
        except HostError as error:
            assert "k " in str(error)
        else:
            assert found == everything[:k]


# --- comparisons of the host's own ---------------------------------------------------------------


def test_a_host_that_redefines_a_collation(connect):
    """Whatever NOCASE means there, the index keeps the rows that an ordinary table keeps."""
    db = connect()
    reverse = lambda a, b: (a[::-1] > b[::-1]) - (a[::-1] < b[::-1])  # noqa: E731
    db.create_collation("NOCASE", reverse)
    db.create_collation("RTRIM", reverse)
    db.execute("""CREATE VIRTUAL TABLE t USING bge(body, tag TEXT COLLATE NOCASE UNINDEXED, pad TEXT COLLATE RTRIM UNINDEXED, content='');
        CREATE TABLE o(id INTEGER PRIMARY KEY, tag TEXT COLLATE NOCASE, pad TEXT COLLATE RTRIM)""")
    for n, word in enumerate(["Red", "red", "ab", "ba", "a ", "a", "zz", None], 1):
        db.execute("INSERT INTO t(rowid, tag, pad, embedding) VALUES (?, ?, ?, ?)", (n, word, word, near(n)))
        db.execute("INSERT INTO o VALUES (?, ?, ?)", (n, word, word))
    for column in ("tag", "pad"):
        for test in ("= 'RED'", "= 'red'", "< 'ab'", ">= 'ab'", "<> 'red'", "IN ('RED', 'a')", "BETWEEN 'ba' AND 'ab'", "IS 'red'", "IS NOT 'RED'"):
            wanted = [n for n, in db.execute(f"SELECT id FROM o WHERE {column} {test} ORDER BY id")]
            assert [n for n, in db.execute(f"SELECT rowid FROM t(?) WHERE {column} {test} ORDER BY distance", (Q,))] == wanted, (column, test)
            try:
                found = [n for n, in db.execute(f"SELECT rowid FROM t(?, 2) WHERE {column} {test} ORDER BY distance", (Q,))]
            except apsw.SQLError as error:
                assert "k " in str(error)
            else:
                assert found == wanted[:2], (column, test)


def test_a_host_that_redefines_like(connect):
    db = connect()
    db.execute("CREATE VIRTUAL TABLE t USING bge(body, tag UNINDEXED, content='')")
    for n, tag in enumerate(["a", "b", "ab", None], 1):
        db.execute("INSERT INTO t(rowid, tag, embedding) VALUES (?, ?, ?)", (n, tag, near(n)))
    db.create_scalar_function("like", lambda pattern, text: text is not None and pattern in text, 2)
    assert [n for n, in db.execute("SELECT rowid FROM t(?) WHERE tag LIKE 'b' ORDER BY distance", (Q,))] == [2, 3]
    assert [n for n, in db.execute("SELECT rowid FROM t(?, 1) WHERE tag LIKE 'b'", (Q,))] == [2]


def test_a_utf_16_database(connect, tmp_path):
    """Three rows are there, three are found; greater and smaller are the database's."""
    for encoding in ("UTF-16le", "UTF-16be", "UTF-8"):
        db = connect(database=tmp_path / f"{encoding}.db")
        db.execute(f"PRAGMA encoding = '{encoding}'")
        db.execute("CREATE VIRTUAL TABLE t USING bge(body, tag UNINDEXED, content=''); CREATE TABLE o(id INTEGER PRIMARY KEY, tag)")
        for n, tag in enumerate(["a", "Ā", "\u0141", "ab", "😀", "\uffee", "", None], 1):
            db.execute("INSERT INTO t(rowid, tag, embedding) VALUES (?, ?, ?)", (n, tag, near(n)))
            db.execute("INSERT INTO o VALUES (?, ?)", (n, tag))
        for test in ("< 'b'", "> 'b'", "= 'Ā'", ">= 'ab'", "BETWEEN 'a' AND 'Ā'", "< '😀'", "IN ('ab', '😀')", "IS 'a'", "LIKE '%b'", "COLLATE NOCASE < 'B'"):
            wanted = [n for n, in db.execute(f"SELECT id FROM o WHERE tag {test} ORDER BY id")]
            assert [n for n, in db.execute(f"SELECT rowid FROM t(?) WHERE tag {test} ORDER BY distance", (Q,))] == wanted, (encoding, test)
            assert [n for n, in db.execute(f"SELECT rowid FROM t(?, 1) WHERE tag {test}", (Q,))] == wanted[:1], (encoding, test)


# --- hidden columns ------------------------------------------------------------------------------


def test_a_hidden_column_that_was_not_given_is_null(session):
    assert ask(session, "SELECT k, t, passage FROM (SELECT k, e AS t, passage FROM e LIMIT 1)") == [[None, None, None]]
    assert ask(session, "SELECT DISTINCT k FROM e(:q)") == [[None]]
    assert ask(session, "SELECT k, count(*) FROM e GROUP BY k") == [[None, 8]]
    assert ask(session, "SELECT k, count(*) FROM e WHERE e MATCH :q GROUP BY k") == [[None, 8]]
    assert ask(session, "SELECT DISTINCT k FROM e(:q, 2)") == [[2]]
    # What a tool makes of `SELECT *` with the hidden columns by name.
    assert ask(session, "SELECT distance, score, k, passage, embedding IS NULL FROM e WHERE rowid = 1") == [[None, None, None, None, 0]]
    assert len(ask(session, "SELECT e, k, distance, score, passage FROM e(:q) ORDER BY distance LIMIT 3")) == 3


def test_reading_k_is_no_condition_on_it(session):
    """A value of k that is compared still must be given."""
    with pytest.raises(HostError, match="k "):
        ask(session, "SELECT rowid FROM e WHERE e MATCH :q AND k > 1")
    with pytest.raises(HostError, match="MATCH"):
        ask(session, "SELECT rowid FROM e WHERE k = 2")


def test_errors_leave_the_connection_usable(connect):
    db = connect()
    db.execute("CREATE VIRTUAL TABLE t USING bge(body, content='')")
    db.execute("INSERT INTO t(rowid, embedding) VALUES (1, ?)", (near(1),))
    assert "k" in str(failure(db, "SELECT rowid FROM t(?, 1) WHERE body = 'x'", Q))
    assert value(db, "SELECT rowid FROM t(?, 1)", Q) == 1
