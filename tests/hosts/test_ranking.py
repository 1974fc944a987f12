"""`rank`: what a ranking's text may be, what is refused and how, what is shown of each row, and that a ranking can be stopped.

What rankings give is compared with plain Python in test_ranking_random.py."""

import os
import random
import threading
import time

import apsw
import pytest
from oracle import sentence
from rankings import DAY, NOW, RERANKER, Library
from support import FIXTURES, READONLY, TINY, connect, failure, fresh_text, load, value

KNOWN = ("a ranking is one of meaning(depth), words(depth), hybrid(weight, depth) and then any of rerank(model, depth), "
         "mmr(lambda, depth), decay(column, half_life, now)")
QUESTION = "reset your device E-17"


@pytest.fixture(autouse=True)
def rerankers_are_found(monkeypatch):
    monkeypatch.setenv("BGE_MODELS", f"{FIXTURES}{os.pathsep}{FIXTURES / 'rerankers'}")


@pytest.fixture
def library(db):
    return Library(db, random.Random(18), options=", chunk_tokens=16, overlap=4")


def asked(db, ranking, question=QUESTION, more="", columns="rowid"):
    sql = f"SELECT {columns} FROM t WHERE t MATCH ? AND rank MATCH ?{more} ORDER BY rank"
    return list(db.execute(sql, (question, ranking)))


def refused(db, ranking, question=QUESTION):
    """The message; the connection works as before."""
    before = asked(db, "meaning")
    error = failure(db, "SELECT rowid FROM t WHERE t MATCH ? AND rank MATCH ? ORDER BY rank", question, ranking)
    assert type(error) is apsw.SQLError and asked(db, "meaning") == before
    return str(error)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("ranking, told", [
    ("", "character 1: no stage in it"),
    (" \n ", "character 4: no stage in it"),
    ("hybird", "character 1: no stage 'hybird'"),
    ("hybrid, rernk(5)", "character 9: no stage 'rernk'"),
    ("größe mmr", "character 1: no stage 'größe'"),
    ("hybrid,, mmr", "character 8: , where a stage was wanted"),
    ("mmr |", "character 6: the end where a stage was wanted"),
    ("rerank hybrid", "character 8: hybrid: it says where rows come from, so it stands first or nowhere"),
    ("mmr(2)", "mmr: lambda is 2, expected a number from 0 to 1"),
    ("mmr(-1)", "mmr: lambda is -1, expected a number from 0 to 1"),
    ("mmr('x')", "mmr: lambda is 'x', expected a number from 0 to 1"),
    ("mmr(0.5, 0)", "mmr: depth is 0, expected a whole number of candidates from 1 to 2000"),
    ("mmr(0.5, 2001)", "mmr: depth is 2001"),
    ("mmr(0.5, 10, 1)", "mmr: 3 arguments or more, expected 2 at most"),
    ("mmr(share = 0.5)", "mmr: no argument 'share'"),
    ("mmr(0.5", "mmr: a ) is missing at the end"),
    ("hybrid(7)", "hybrid: weight is 7, expected a number from 0 to 1"),
    ("words(100001)", "words: depth is 100001, expected a whole number of candidates from 1 to 100000"),
    ("meaning(2.5)", "meaning: depth is 2.5"),
    ("rerank(20)", "rerank: model is 20, expected a reranker's name"),
    ("rerank('m', 1001)", "rerank: depth is 1001, expected a whole number of candidates from 1 to 1000"),
    ("rerank('m)", "rerank: a ' is missing at the end"),
    ("decay(made)", "decay: half_life is missing, as in decay(created, '30 days')"),
    ("decay(made, 0)", "decay: half_life is 0, expected more than 0"),
    ("decay(made, '-3 days')", "decay: half_life is '-3 days', expected more than 0"),
    ("decay(made, 2 months)", "decay: half_life is '2 months', expected more than 0, and finite: a number of days, or a text with a unit "
                              "(seconds, minutes, hours, days, weeks, years)"),
    ("decay(made, 1, 'tomorrow')", "decay: now is 'tomorrow', expected a Unix time, or a date as in '2026-01-31'"),
    ("decay(made, 1, 2023-02-30)", "decay: now is '2023-02-30'"),
])
def test_what_is_no_ranking_is_told_with_what_is_known(library, ranking, told):
    message = refused(library.db, ranking)
    assert told in message and message.startswith("t: ") and message.endswith(KNOWN)
    # It is no default either, and leaves none.
    assert told in str(failure(library.db, "INSERT INTO t(t, rank) VALUES ('rank', ?)", ranking))
    assert value(library.db, "SELECT count(*) FROM t_config WHERE k = 'rank' AND v IS NOT NULL") == 0


@pytest.mark.parametrize("ranking", [5, 1.5, b"hybrid"])
def test_what_is_no_text_is_no_ranking(library, ranking):
    assert "a ranking is a text, as in rank MATCH 'hybrid'" in refused(library.db, ranking)
    assert "a ranking is a text" in str(failure(library.db, "INSERT INTO t(t, rank) VALUES ('rank', ?)", ranking))


@pytest.mark.parametrize("column", ["nope", "title", "distance", "rank", "made "])
def test_a_column_that_gives_no_times_is_told_with_those_that_there_are(library, column):
    for say in (lambda r: refused(library.db, r), lambda r: str(failure(library.db, "INSERT INTO t(t, rank) VALUES ('rank', ?)", r))):
        message = say(f"decay('{column}', 30)")
        assert f"'{column}' is no UNINDEXED column" in message and "known: lang, n, made" in message


@pytest.mark.parametrize("given", ["yesterday", "2023-02-29", "", b"2023-01-01", float("inf"), "1700000000"])
def test_a_value_that_is_no_time_is_named_with_its_row(library, given):
    db = library.db
    assert asked(db, f"decay(made, 30, {NOW})")
    db.execute("INSERT INTO docs(id, title, made) VALUES (7000, 'reset your device', ?)", (given,))
    message = refused(db, "hybrid, decay(made, 30)")
    assert "decay: made of row 7000 is" in message and "expected a Unix time, or a date" in message
    # A filter that the row does not pass, and it is not looked at.
    assert asked(db, "hybrid, decay(made, 30)", more=" AND n IS NOT NULL")


def test_words_are_wanted_where_there_are_none(db):
    library = Library(db, random.Random(1), count=30, words=None)
    for ranking in ("words", "hybrid", "hybrid(0.5, 20), mmr"):
        message = refused(db, ranking)
        assert "has no words" in message and "words = on" in message
        assert "has no words" in str(failure(db, "INSERT INTO t(t, rank) VALUES ('rank', ?)", ranking))
    assert len(asked(db, "mmr")) == len(library.nearest(QUESTION))


@pytest.mark.parametrize("ranking, told", [
    ("rerank", "no model 'bge-reranker-base' found"),
    ("rerank(nope)", "no model 'nope' found"),
    (f"rerank({TINY})", "is an embedding model"),
    ("rerank('../x')", "'../x' is not a model name"),
])
def test_a_reranker_that_is_none(library, ranking, told):
    assert told in refused(library.db, ranking)


def test_a_vector_has_no_words(library):
    db, vector = library.db, value(library.db, "SELECT bge_embed_query(?, ?)", QUESTION, TINY)
    assert "words' needs the text of a question" in refused(db, "words", vector)
    assert "rerank needs the text of a question" in refused(db, f"hybrid rerank('{RERANKER}')", vector)
    assert asked(db, "hybrid", vector, columns="rowid, distance, by_meaning, by_words, bm25") == [
        (*row, None, None) for row in asked(db, "meaning", vector, columns="rowid, distance, by_meaning")]


def test_a_list_of_rankings_is_refused(library):
    message = str(failure(library.db, "SELECT rowid FROM t WHERE t MATCH 'a' AND rank IN ('words', 'hybrid')"))
    assert "a query has one ranking" in message and "rank MATCH" in message
    one = list(library.db.execute("SELECT rowid FROM t WHERE t MATCH ? AND rank IN ('words') ORDER BY rank", (QUESTION,)))
    assert one == asked(library.db, "words")


def test_a_ranking_without_a_question_or_given_twice(library):
    db = library.db
    for sql in ("SELECT rowid FROM t WHERE rank MATCH 'hybrid'", "SELECT rowid FROM t WHERE rank = 'hybrid' ORDER BY rank"):
        assert "nothing is searched for: WHERE t MATCH '...' AND rank MATCH '...'" in str(failure(db, sql))
    twice = "SELECT rowid FROM t WHERE t MATCH 'a' AND rank MATCH ? AND rank MATCH ?"
    assert "rank is given twice" in str(failure(db, twice, "hybrid", "words"))
    assert list(db.execute(twice, ("hybrid", "hybrid")))


@pytest.mark.parametrize("given, told", [(0, "k is 0"), (-1, "k is -1"), ("x", "k is no number"), (1.5, "k is 1.5")])
def test_k_means_what_it_means_elsewhere(library, given, told):
    db = library.db
    assert told in str(failure(db, "SELECT rowid FROM t WHERE t MATCH 'a' AND rank MATCH 'hybrid' AND k = ?", given))
    # Two of them: SQLite sees that no number is both.
    sql = "SELECT rowid FROM t WHERE t MATCH 'a' AND rank MATCH 'hybrid' AND k = ? AND k = ?"
    assert list(db.execute(sql, (3, 4))) == [] and len(list(db.execute(sql, (3, 3)))) == 3
    assert "k is given beside a filter" in str(failure(db, "SELECT rowid FROM t WHERE t MATCH 'a' AND rank < 0.5 AND k = 3"))


# --- questions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ranking", ["meaning", "words", "hybrid", "hybrid, mmr", f"words rerank('{RERANKER}')", f"hybrid rerank('{RERANKER}') mmr decay(made, 9)"])
def test_any_text_is_a_question(library, ranking):
    db = library.db
    assert asked(db, ranking, None) == []
    for question in ["", " \t\n", "?!*\"'()", "AND OR NOT NEAR(", "title: {a b}: ^x -y +z", "device\0 your", 17, 1.5, "\u200b", "😀",
                     " ".join(f"w{n} device" for n in range(10_000)), "x" * 100_000, '"' * 999]:
        rows = asked(db, ranking, question, columns="rowid, by_words")
        assert ranking.startswith("words") or len(rows) >= 50, question
        has_words = any(word in str(question).lower() for word in ("device", "your"))
        if ranking.startswith("words") and has_words:
            assert rows and all(row[1] for row in rows), question
        if not any(c.isalnum() for c in str(question)):
            assert all(row[1] is None for row in rows), question


def test_words_are_found_as_a_question_writes_them(library):
    db = library.db
    for name, other in [("E-17", "E-18"), ("std::fs", "std-fsx"), ("3.40.1", "3.41.1")]:
        rows = {rowid for rowid, in asked(db, "words", name)}
        wanted = {rowid for rowid, row in library.rows.items() if name in row.joined}
        assert rows == wanted and rows, name
        assert asked(db, "words", other) == [(r,) for r, in asked(db, "words", other) if other in library.rows[r].joined]


# --- what is shown -------------------------------------------------------------------------------


def test_the_columns_say_why_a_row_stands_where_it_does(library):
    db = library.db
    columns = "rowid, rank, distance, by_meaning, by_words, bm25, rerank"
    plain = list(db.execute(f"SELECT {columns} FROM t WHERE t MATCH ? ORDER BY rank", (QUESTION,)))
    assert [row[3] for row in plain] == list(range(1, len(plain) + 1))
    assert all(row[1] == row[2] and row[4:] == (None, None, None) for row in plain)
    words = asked(db, "words", columns=columns)
    assert [row[4] for row in words] == list(range(1, len(words) + 1))
    assert all(row[1] == pytest.approx(row[5]) and row[5] < 0 and row[3] is None and row[6] is None for row in words)
    reranked = asked(db, f"hybrid rerank('{RERANKER}', 7)", columns=columns)
    logits = [row[6] for row in reranked]
    assert None not in logits[:7] and set(logits[7:]) == {None} and logits[:7] == sorted(logits[:7], reverse=True)
    assert [row[1] for row in reranked[:7]] == [pytest.approx(-logit) for logit in logits[:7]]
    fused = {row[0]: row for row in asked(db, "hybrid", columns=columns)}
    by_meaning, by_words = {row[0]: row[3] for row in plain}, {row[0]: row[4] for row in words}
    for rowid, row in fused.items():
        assert row[3] == by_meaning.get(rowid) and row[4] == by_words.get(rowid)
    types = "typeof(rank), typeof(by_meaning), typeof(by_words), typeof(bm25), typeof(rerank), typeof(start), typeof(stop)"
    found = asked(db, f"hybrid rerank('{RERANKER}', 500)", more=" AND by_words = 1", columns=types)
    assert found == [("real", "integer", "integer", "real", "real", "integer", "integer")]
    assert set(db.execute(f"SELECT {types} FROM t")) == {("null",) * 7}


def test_start_and_stop_cut_the_best_passage(library):
    rows = asked(library.db, "hybrid", columns="rowid, start, stop, passage")
    assert len({row[0] for row in rows}) == len(rows) > 50 and sum(row[1] > 0 for row in rows) > 3
    for rowid, start, stop, passage in rows:
        assert library.rows[rowid].joined[start:stop] == passage


# --- plans ---------------------------------------------------------------------------------------


def plan(db, sql):
    return " / ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", ("hybrid",) * sql.count("?")))


@pytest.mark.parametrize("ranking", ["", " AND rank MATCH 'hybrid'", " AND rank MATCH ?", " AND rank = 'words'"])
def test_order_by_rank_sorts_nothing(library, ranking):
    search = f"SELECT rowid FROM t WHERE t MATCH 'a'{ranking}"
    for more in ("", " AND k = 5", " AND lang = 'en'"):
        for order in ("rank LIMIT 10", "rank", "rank ASC", "rank, rowid"):
            shown = plan(library.db, f"{search}{more} ORDER BY {order}")
            assert "order=rank" in shown and "B-TREE" not in shown, shown
        assert "USE TEMP B-TREE" in plan(library.db, f"{search}{more} ORDER BY rank DESC")
    join = plan(library.db, f"SELECT d.title FROM t JOIN docs AS d ON d.id = t.rowid WHERE t MATCH 'a'{ranking} ORDER BY t.rank LIMIT 3")
    assert "order=rank" in join and "B-TREE" not in join, join


@pytest.mark.parametrize("ranking", ["hybrid", "words", "hybrid(depth = 5)", "mmr(0.5)", f"rerank('{RERANKER}', 9)", f"decay(made, 30, {NOW})"])
def test_the_order_of_a_join_changes_no_rank(library, ranking):
    """A row of another table that picks rows picks them from the ranking; it does not make another one."""
    db = library.db
    columns = "t.rowid, t.rank, t.by_meaning, t.by_words"
    whole = {row[0]: row for row in asked(db, ranking, columns=columns)}
    for tables in ("docs AS d CROSS JOIN t ON t.rowid = d.id WHERE d.n = 3", "t CROSS JOIN docs AS d ON t.rowid = d.id WHERE d.n = 3",
                   "docs AS d CROSS JOIN t ON t.lang = d.lang WHERE d.id = (SELECT min(id) FROM docs WHERE lang = 'de')",
                   "t JOIN docs AS d ON t.rowid = d.id AND t.n = d.n WHERE d.lang = 'en'"):
        rows = list(db.execute(f"SELECT {columns} FROM {tables} AND t MATCH ? AND t.rank MATCH ? ORDER BY t.rank", (QUESTION, ranking)))
        assert rows and rows == sorted((whole[row[0]] for row in rows), key=lambda row: row[1]), tables


# --- the default ---------------------------------------------------------------------------------


def test_a_default_is_kept_and_taken_away(tmp_path, connect):
    db = connect(database=tmp_path / "d.db")
    library = Library(db, random.Random(4))
    wanted, plain = asked(db, "hybrid(0.5) mmr(0.3)"), asked(db, "meaning")
    assert wanted != plain

    def unsaid(db):
        return list(db.execute("SELECT rowid FROM t WHERE t MATCH ? ORDER BY rank", (QUESTION,)))

    db.execute("INSERT INTO t(t, rank) VALUES ('rank', 'hybrid(0.5) mmr(0.3)')")
    assert unsaid(db) == wanted and asked(db, None) == wanted
    assert asked(db, "meaning") == plain, "what a query says wins"
    other = connect(database=tmp_path / "d.db")
    assert unsaid(other) == wanted
    db.execute("INSERT INTO t(t) VALUES ('rebuild')")
    value(db, "SELECT bge_sync('t')")
    assert unsaid(db) == wanted
    with pytest.raises(ZeroDivisionError), db:
        db.execute("INSERT INTO t(t, rank) VALUES ('rank', 'words')")
        assert unsaid(db) == asked(db, "words")
        raise ZeroDivisionError
    assert unsaid(db) == wanted
    db.execute("INSERT INTO t(t, rank) VALUES ('rank', 'words')")
    assert value(db, "SELECT bge_status('t') ->> '$.rank'") == "words"
    db.execute("INSERT INTO t(t, rank) VALUES ('rank', NULL)")
    assert unsaid(db) == plain == unsaid(other) and value(db, "SELECT bge_status('t') ->> '$.rank'") is None
    assert library.rows.keys() == {rowid for rowid, in plain}


def test_a_default_that_no_longer_holds_says_how_to_take_it_away(library):
    db = library.db
    db.execute("INSERT INTO t(t, rank) VALUES ('rank', ?)", (f"rerank('{RERANKER}')",))
    db.execute("UPDATE t_config SET v = 'of a later version' WHERE k = 'rank'")
    message = str(failure(db, "SELECT rowid FROM t WHERE t MATCH 'a'"))
    assert "the default ranking" in message and "VALUES ('rank', NULL)" in message
    assert asked(db, "hybrid")
    db.execute("INSERT INTO t(t, rank) VALUES ('rank', NULL)")
    assert list(db.execute("SELECT rowid FROM t WHERE t MATCH 'a'"))


def test_rank_is_written_with_its_command_alone(library):
    db = library.db
    assert "with the command 'rank' alone" in str(failure(db, "INSERT INTO t(t, rank) VALUES ('sync', 'hybrid')"))
    for column in ("rank", "by_meaning", "by_words", "bm25", "rerank", "start", "stop"):
        assert column in str(failure(db, f"INSERT INTO t({column}) VALUES (1)"))


def test_a_default_is_of_texts_where_it_reads_them(library):
    """A vector has no words: of the default, stages that need some are left out, so that `MATCH (SELECT embedding ...)` goes on."""
    db = library.db
    vector = value(db, "SELECT bge_embed_query(?, ?)", QUESTION, TINY)

    def unsaid():
        return list(db.execute("SELECT rowid, rerank FROM t WHERE t MATCH ? ORDER BY rank", (vector,)))

    plain, spread = asked(db, "meaning", vector, columns="rowid, rerank"), asked(db, "mmr(0.3)", vector, columns="rowid, rerank")
    assert plain != spread
    for default, wanted in [("words", plain), (f"words, rerank('{RERANKER}')", plain), (f"hybrid, rerank('{RERANKER}'), mmr(0.3)", spread),
                            (f"rerank('{RERANKER}', 10), mmr(0.3)", spread)]:
        db.execute("INSERT INTO t(t, rank) VALUES ('rank', ?)", (default,))
        assert unsaid() == wanted, default
        if "rerank" in default or default == "words":
            assert "MATCH was given a vector" in refused(db, default, vector), "what the query says itself is not bent"


def test_what_goes_wrong_with_a_default_says_that_it_is_one(library):
    db = library.db
    for default, told in [("rerank('nope')", "no model 'nope' found"), ("decay(lang, 30)", "decay: lang of row")]:
        db.execute("INSERT INTO t(t, rank) VALUES ('rank', ?)", (default,))
        message = str(failure(db, "SELECT rowid FROM t WHERE t MATCH ?", QUESTION))
        assert told in message and "the default ranking of this index" in message and "rank MATCH 'meaning'" in message
        assert "the default ranking" not in refused(db, default)
    db.execute("UPDATE t_config SET v = 'garbage' WHERE k = 'rank'")
    assert "no stage 'garbage'" in str(failure(db, "INSERT INTO t(t) VALUES ('integrity-check')"))


def test_a_reranker_needs_texts(db):
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, content='', model='{TINY}')")
    db.execute("INSERT INTO t(rowid, body) VALUES (1, 'reset your device')")
    for sql in ("SELECT rowid FROM t WHERE t MATCH 'a' AND rank MATCH ?", "INSERT INTO t(t, rank) VALUES ('rank', ?)"):
        assert "this index keeps none (content='')" in str(failure(db, sql, f"rerank('{RERANKER}')"))


# --- rows without a vector -----------------------------------------------------------------------


@pytest.fixture
def late(db):
    """30 rows that are embedded, and five that only words find: all the same, and with the question's words."""
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
    db.executemany("INSERT INTO docs VALUES (?, ?)", [(n, f"reset the device with button {n} " + "and wait " * (n % 5)) for n in range(1, 31)])
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, content='docs', words=on, catchup=0, model='{TINY}')")
    value(db, "SELECT bge_sync('t')")
    db.execute("INSERT INTO docs SELECT id + 100, 'reset your cake' FROM docs WHERE id <= 5")
    return db


@pytest.mark.parametrize("order", ["distance", "score DESC"])
@pytest.mark.parametrize("more", ["", " AND k = 33", " AND rowid > 20"])
def test_rows_without_a_distance_come_where_sqlite_has_null(late, order, more):
    sql = f"SELECT rowid, distance FROM t WHERE t MATCH 'reset cake' AND rank MATCH 'hybrid'{more} ORDER BY "
    wanted = list(late.execute(f"{sql} +{order}, rowid"))
    assert any(distance is None for _, distance in wanted)
    assert list(late.execute(sql + order)) == wanted
    assert list(late.execute(f"{sql}{order} LIMIT 7")) == wanted[:7]


def test_mmr_does_not_bring_up_what_nobody_has_looked_at(late):
    plain, spread = (asked(late, ranking, "reset the device") for ranking in ("hybrid", "hybrid mmr(0.7)"))
    assert {rowid for rowid, in plain[:9]} & {101, 102, 103, 104, 105} == set()
    assert {rowid for rowid, in spread[:9]} & {101, 102, 103, 104, 105} == set()
    assert sorted(plain) == sorted(spread) and len(plain) == 35


@pytest.mark.parametrize("content", ["docs", "seen"])
def test_places_count_every_row_once_whatever_the_content_is(db, content):
    """Of a view many rows are looked up at once."""
    chance = random.Random(3)
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); CREATE VIEW seen AS SELECT * FROM docs")
    db.executemany("INSERT INTO docs VALUES (?, ?)", [(n, sentence(chance, 2, 9)) for n in range(1, 201)])
    db.execute("CREATE VIRTUAL TABLE f USING fts5(body, content='docs', content_rowid='id'); INSERT INTO f(f) VALUES ('rebuild')")
    rowid = ", content_rowid='id'" if content == "seen" else ""
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, content='{content}'{rowid}, words='f', model='{TINY}')")
    value(db, "SELECT bge_sync('t')")
    question = value(db, "SELECT body FROM docs WHERE id = 7")
    places = {rowid: n + 1 for n, (rowid,) in enumerate(asked(db, "meaning", question))}
    for order in ("rank", "distance"):
        got = list(db.execute(f"SELECT rowid, by_meaning FROM t WHERE t MATCH ? AND rank MATCH 'hybrid(depth = 5)' ORDER BY {order}", (question,)))
        assert len(got) == 200 and sum(place is not None for _, place in got) >= 190
        assert all(place in (places[rowid], None) for rowid, place in got)


# --- names ---------------------------------------------------------------------------------------


def test_a_column_of_the_users_wins(db):
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, rank UNINDEXED, Start INTEGER UNINDEXED, model='{TINY}')")
    db.execute("INSERT INTO t(rowid, body, rank, start) VALUES (1, 'a device', 'first', 7), (2, 'a page', 'second', 8)")
    assert list(db.execute("SELECT rank, start FROM t WHERE t MATCH 'device' AND rank = 'first' ORDER BY distance")) == [("first", 7)]
    assert "MATCH" in str(failure(db, "SELECT rank FROM t WHERE t MATCH 'device' AND rank MATCH 'mmr'"))
    for values in ("'rank', 'mmr'", "'rank', NULL"):
        assert "has a column 'rank' of its own" in str(failure(db, f"INSERT INTO t(t, rank) VALUES ({values})"))
    assert value(db, "SELECT by_meaning FROM t WHERE t MATCH 'device' AND rowid = 1") == 1
    for column in ("rank", "BM25", "rerank", "by_words", "stop"):
        message = str(failure(db, f"CREATE VIRTUAL TABLE u USING bge(body, {column} UNINDEXED, model='{TINY}', words=on)"))
        assert column in message and value(db, "SELECT count(*) FROM sqlite_master WHERE name LIKE 'u%'") == 0


# --- stopping ------------------------------------------------------------------------------------

STAGES = {
    "words": "words",
    "hybrid": "hybrid(depth = 1000)",
    "rerank": f"meaning rerank('{RERANKER}', 300)",
    "mmr": "hybrid(depth = 1000) mmr(0.5, 1000)",
    "decay": "words decay(made, 30)",
}


@pytest.fixture(scope="module")
def many():
    """2,000 rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BGE_MODELS", f"{FIXTURES}{os.pathsep}{FIXTURES / 'rerankers'}")
        db = connect()
        library = Library(db, random.Random(9), count=1)
        with db:
            for rowid in range(1000, 3000):
                library.insert(rowid)
        value(db, "SELECT bge_sync('t')")
        yield library
        db.close(True)


@pytest.mark.parametrize("stage", STAGES)
def test_a_progress_handler_stops_each_stage_anywhere(many, stage):
    """A call of the handler each 200 steps of SQLite; some of them say stop."""
    db, ranking, calls = many.db, STAGES[stage], [0]
    wanted = asked(db, ranking)

    def count(stop_at=None):
        calls[0] += 1
        return calls[0] == stop_at

    try:
        db.set_progress_handler(count, 200)
        assert asked(db, ranking) == wanted
        whole = calls[0]
        assert whole > 20
        for stop_at in random.Random(stage).sample(range(1, whole), 10):
            calls[0] = 0
            db.set_progress_handler(lambda: count(stop_at), 200)  # noqa: B023
            error = failure(db, "SELECT rowid FROM t WHERE t MATCH ? AND rank MATCH ? ORDER BY rank", QUESTION, ranking)
            assert isinstance(error, apsw.InterruptError), error
    finally:
        db.set_progress_handler(None)
    assert asked(db, ranking) == wanted


@pytest.mark.parametrize("stage", ["rerank", "mmr", "decay"])
def test_an_interrupt_stops_a_long_stage_at_once(many, stage):
    """So many of one stage that nothing else takes time."""
    db = many.db
    ranking = {"rerank": f"meaning {f'rerank({RERANKER}, 1000) ' * 30}", "mmr": f"meaning {'mmr(0.5, 2000) ' * 60}",
               "decay": f"meaning(2000) {'decay(made, 30) ' * 100}"}[stage]
    asked(db, "meaning")
    stopper = threading.Timer(0.1, db.interrupt)
    stopper.start()
    start = time.monotonic()
    error = failure(db, "SELECT rowid FROM t WHERE t MATCH ? AND rank MATCH ? ORDER BY rank", QUESTION, ranking)
    took = time.monotonic() - start
    stopper.join()
    assert isinstance(error, apsw.InterruptError), error
    assert 0.05 < took < 1.5
    assert len(asked(db, "meaning")) > 1900


# --- connections ---------------------------------------------------------------------------------


def test_a_reader_ranks_and_sets_no_default(tmp_path, connect, name):
    writer = connect(database=tmp_path / "r.db")
    Library(writer, random.Random(6))
    load(writer, name, FIXTURES / "rerankers" / RERANKER)
    reader = connect(database=tmp_path / "r.db", entry=READONLY)
    for ranking in ("hybrid", f"words rerank('{name}') mmr decay(made, 30, {NOW + DAY})"):
        assert asked(reader, ranking) == asked(writer, ranking)
    unknown = fresh_text("reranker").replace(" ", "-")
    assert unknown in str(failure(reader, "SELECT rowid FROM t WHERE t MATCH 'a' AND rank MATCH ?", f"rerank({unknown})"))
    failure(reader, "INSERT INTO t(t, rank) VALUES ('rank', 'hybrid')")
    assert value(writer, "SELECT count(*) FROM t_config WHERE k = 'rank' AND v IS NOT NULL") == 0
