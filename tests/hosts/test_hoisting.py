"""A constant text is embedded once a statement, and what SQLite does not hoist comes from the cache.

Inferences and cache look-ups are counted through bge_info."""

import random

import pytest
from support import TINY, blob, embed, fresh_text, loaded, value

ROWS = 10_000
EMBED = f"bge_embed({{}}, '{TINY}')"


@pytest.fixture(scope="module")
def vectors():
    dice = random.Random(1)
    return [blob(*(dice.gauss(0, 1) for _ in range(32))) for _ in range(ROWS)]


@pytest.fixture
def table(db, vectors):
    db.execute("BEGIN; CREATE TABLE docs(id INTEGER PRIMARY KEY, e BLOB)")
    db.executemany("INSERT INTO docs VALUES (?, ?)", enumerate(vectors))
    db.execute("COMMIT")
    embed(db, "loads the model")
    return db


class Counted:
    """Runs a statement and counts what it cost the model."""

    def __init__(self, db, sql, *arguments):
        before = loaded(db)[TINY]
        self.rows = list(db.execute(sql, arguments))
        after = loaded(db)[TINY]
        self.inferences = after["inferences"] - before["inferences"]
        self.hits = after["cache"]["hits"] - before["cache"]["hits"]
        self.misses = after["cache"]["misses"] - before["cache"]["misses"]
        self.lookups = self.hits + self.misses


def ranked(db, text, limit):
    """The oracle: ids in the order of a vector that was made beforehand."""
    query = embed(db, text)
    return list(db.execute("SELECT id FROM docs ORDER BY bge_cosine(e, ?) DESC LIMIT ?", (query, limit)))


def literal():
    return fresh_text("what is a vector")


def test_order_by_over_ten_thousand_rows_runs_one_inference(table):
    text = literal()
    query = EMBED.format(f"'{text}'")
    ran = Counted(table, f"SELECT id FROM docs ORDER BY bge_cosine(e, {query}) DESC LIMIT 10")
    assert (ran.inferences, ran.lookups) == (1, 1)
    assert ran.rows == ranked(table, text, 10)


def test_a_bound_parameter_as_well(table):
    text = literal()
    sql = f"SELECT id FROM docs ORDER BY bge_cosine(e, {EMBED.format('?')}) DESC LIMIT 10"
    ran = Counted(table, sql, text)
    assert (ran.inferences, ran.lookups) == (1, 1)
    assert ran.rows == ranked(table, text, 10)


def test_a_bound_model_name_as_well(table):
    ran = Counted(table, "SELECT sum(bge_cosine(e, bge_embed(?, ?))) FROM docs", literal(), TINY)
    assert (ran.inferences, ran.lookups) == (1, 1)


def test_a_statement_run_again_with_another_text_gives_other_vectors(table):
    sql = f"SELECT id FROM docs ORDER BY bge_cosine(e, {EMBED.format('?')}) DESC LIMIT 10"
    for text in (literal(), literal()):
        assert Counted(table, sql, text).rows == ranked(table, text, 10)


def test_a_query_text_as_well(table):
    ran = Counted(table, f"SELECT sum(bge_cosine(e, bge_embed_query(?, '{TINY}'))) FROM docs", literal())
    assert ran.inferences == 1


def test_a_constant_expression_as_well(table):
    query = EMBED.format(f"upper('{literal()}') || ' please'")
    ran = Counted(table, f"SELECT sum(bge_cosine(e, {query})) FROM docs")
    assert (ran.inferences, ran.lookups) == (1, 1)


def test_the_same_call_in_select_and_where(table):
    score = f"bge_cosine(e, {EMBED.format('?1')})"
    ran = Counted(table, f"SELECT id, {score} AS s FROM docs WHERE {score} > 0.3 ORDER BY s DESC", literal())
    assert ran.inferences == 1 and ran.lookups <= 2
    assert ran.rows and all(score > 0.3 for _, score in ran.rows)


def test_a_text_from_a_joined_row(table):
    text = literal()
    table.execute("CREATE TABLE q(text)")
    table.execute("INSERT INTO q VALUES (?)", (text,))
    score = f"bge_cosine(e, {EMBED.format('q.text')})"
    ran = Counted(table, f"SELECT id FROM docs, q ORDER BY {score} DESC LIMIT 10")
    assert ran.inferences == 1
    assert ran.rows == ranked(table, text, 10)


def test_a_text_from_a_subquery(table):
    table.execute("CREATE TABLE q(text)")
    table.execute("INSERT INTO q VALUES (?)", (literal(),))
    ran = Counted(table, f"SELECT sum(bge_cosine(e, {EMBED.format('(SELECT text FROM q)')})) FROM docs")
    assert ran.inferences == 1


def test_a_text_from_a_common_table_expression(table):
    ran = Counted(table, f"WITH q(v) AS (SELECT {EMBED.format('?')}) "
                         "SELECT sum(bge_cosine(e, v)) FROM docs, q", literal())
    assert ran.inferences == 1


@pytest.mark.parametrize("text", ["'{}'", "?"], ids=["literal", "bound"])
def test_inside_case_where_sqlite_does_not_hoist(table, text):
    words = literal()
    query = EMBED.format(text.format(words))
    arguments = (words,) if text == "?" else ()
    ran = Counted(table, f"SELECT sum(CASE WHEN id % 2 THEN bge_cosine(e, {query}) ELSE 0 END) FROM docs",
                  *arguments)
    assert (ran.inferences, ran.lookups) == (1, 1)


def test_several_texts_in_one_statement_are_not_mixed_up(table):
    a, b = literal(), literal()
    columns = ", ".join(f"CASE WHEN id >= 0 THEN {EMBED.format(p)} END" for p in ("?1", "?2", "?1"))
    ran = Counted(table, f"SELECT {columns} FROM docs LIMIT 3", a, b)
    assert ran.rows == [(embed(table, a), embed(table, b), embed(table, a))] * 3
    assert ran.inferences == 2


def test_a_text_that_varies_is_embedded_for_each_value(table):
    words = literal()
    ran = Counted(table, f"SELECT {EMBED.format('? || (id % 5)')} FROM docs LIMIT 50", words)
    assert ran.inferences == 5
    assert [v for v, in ran.rows] == [embed(table, f"{words}{i % 5}") for i in range(50)]


def test_a_query_that_comes_again_comes_from_the_cache(table, connect):
    text = literal()
    first = embed(table, text)
    ran = Counted(connect(), f"SELECT {EMBED.format('?')}", text)
    assert (ran.inferences, ran.hits, ran.rows) == (0, 1, [(first,)])


def test_query_and_passage_are_not_confused_by_the_cache(db):
    """The model has an instruction: one text, two vectors, whichever is asked for first."""
    for first, second in [("bge_embed", "bge_embed_query"), ("bge_embed_query", "bge_embed")]:
        text = literal()
        got = {name: value(db, f"SELECT {name}(?)", text) for name in (first, second, first)}
        assert got["bge_embed"] != got["bge_embed_query"]
        assert got["bge_embed_query"] == value(
            db, "SELECT bge_embed('Represent this sentence for searching relevant passages: ' || ?)", text)
