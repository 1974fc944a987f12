"""The recipe sql/evaluate.sql, run as it stands, with the real model; its measures are computed by hand."""

import math

import pytest
from support import ROOT

RECIPE = (ROOT / "sql" / "evaluate.sql").read_text(encoding="utf-8")
COFFEE = "my coffee tipped over the computer"


@pytest.fixture
def db(connect):
    """120 articles, their index, and the tables that the recipe reads, empty."""
    db = connect()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT)")
    kinds = ["Coffee ran into keyboard {}.", "Badge {} opens the garage.", "Bill {} is on the payments page."]
    db.executemany("INSERT INTO docs VALUES (?, ?)", [(n + 1, kinds[n % 3].format(n)) for n in range(120)])
    db.execute("CREATE VIRTUAL TABLE docs_bge USING bge(body, content='docs', words=on)")
    assert db.execute("SELECT bge_sync('docs_bge')").fetchone() == (120,)
    db.execute("CREATE TABLE questions(id PRIMARY KEY, text)")
    db.execute("CREATE TABLE judgements(question, row, grade)")
    return db


def order(db, question):
    return [row[0] for row in db.execute("SELECT rowid FROM docs_bge WHERE docs_bge MATCH ? AND k = 120", [question])]


def measured(db, ranking="meaning", **judgements):
    """The recipe's row for questions with the text COFFEE, each with its [(row, grade), ...]."""
    for name, graded in judgements.items():
        db.execute("INSERT INTO questions VALUES (?, ?)", [name, COFFEE])
        db.executemany("INSERT INTO judgements VALUES (?, ?, ?)", [(name, row, grade) for row, grade in graded])
    return list(db.execute(RECIPE, {"ranking": ranking}))[0]


def test_one_question_by_hand(db):
    rows = order(db, COFFEE)
    # Places 2, 4 and 101, and one that is no row: 3/log2(3) + 1/log2(5) of 3 + 2/log2(3) + 2/log2(4) + 1/log2(5).
    judged = [(rows[1], 3), (rows[3], 1), (rows[0], 0), (rows[100], 2), (999, 2)]
    best = 3 + 2 / math.log2(3) + 2 / 2 + 1 / math.log2(5)
    questions, ndcg, recall, mrr = measured(db, a=judged)
    assert questions == 1 and abs(ndcg - (3 / math.log2(3) + 1 / math.log2(5)) / best) < 1e-12
    assert recall == 0.5 and mrr == 0.5


def test_every_place_has_its_discount(db):
    rows = order(db, COFFEE)
    for place in range(1, 11):
        db.execute("DELETE FROM questions"), db.execute("DELETE FROM judgements")
        _, ndcg, recall, mrr = measured(db, a=[(rows[place - 1], 2)])
        assert abs(ndcg - 1 / math.log2(place + 1)) < 1e-15 and recall == 1 and mrr == 1 / place


def test_a_row_after_the_tenth_counts_for_recall_alone(db):
    rows = order(db, COFFEE)
    assert measured(db, a=[(rows[10], 1)], b=[(rows[99], 5)], c=[(rows[100], 5)]) == (3, 0, 2 / 3, 0)


def test_the_best_order_has_1_though_more_are_relevant_than_ten(db):
    questions, ndcg, recall, mrr = measured(db, a=[(row, 1) for row in order(db, COFFEE)[:40]], b=[(order(db, COFFEE)[0], 2)])
    assert (questions, recall, mrr) == (2, 1, 1) and abs(ndcg - 1) < 1e-12


def test_questions_with_nothing_to_find_are_left_out(db):
    best = order(db, COFFEE)[0]
    db.execute("INSERT INTO questions VALUES ('none', 'x'), ('empty', ' '), ('null', NULL)")
    db.execute("INSERT INTO judgements VALUES ('empty', 1, 1), ('null', 1, 1), ('unknown', 1, 1)")
    assert measured(db, a=[(best, 1)], zero=[(best, 0)]) == (1, 1, 1, 1)


def test_other_rankings_are_measured(db):
    db.execute("INSERT INTO questions VALUES ('bill', 'bill 62')")
    best = "SELECT rowid FROM docs_bge WHERE docs_bge MATCH 'bill 62' AND rank MATCH ? ORDER BY rank LIMIT 1"
    for ranking in ("meaning", "words", "hybrid", "hybrid, mmr(0.5)"):
        db.execute("DELETE FROM judgements")
        db.execute("INSERT INTO judgements VALUES ('bill', ?, 1)", list(db.execute(best, [ranking]))[0])
        assert list(db.execute(RECIPE, {"ranking": ranking})) == [(1, 1, 1, 1)]
    # The other kinds have no word of the question: words alone never find them, meaning has them behind the bills.
    other = next(row for row in order(db, "bill 62") if row % 3)
    db.execute("UPDATE judgements SET row = ?", [other])
    assert list(db.execute(RECIPE, {"ranking": "words"})) == [(1, 0, 0, 0)]
    assert list(db.execute(RECIPE, {"ranking": "meaning"}))[0][2] == 1


@pytest.mark.parametrize("text", [str, lambda value: value], ids=["as .import fills tables", "as numbers"])
def test_text_and_doubles_are_read_as_what_they_mean(db, text):
    rows = order(db, COFFEE)
    judged = [(rows[0], 0), (rows[1], 3), (rows[3], 1), (rows[100], 2)]
    db.execute("INSERT INTO questions VALUES (?, ?)", [7, COFFEE])
    for row, grade in judged + judged[1:]:
        db.execute("INSERT INTO judgements VALUES (?, ?, ?)", [text(7), text(row), text(grade)])
    best = 3 + 2 / math.log2(3) + 1 / 2
    questions, ndcg, recall, mrr = list(db.execute(RECIPE, {"ranking": "meaning"}))[0]
    assert (questions, recall, mrr) == (1, 2 / 3, 1 / 2)
    assert abs(ndcg - (3 / math.log2(3) + 1 / math.log2(5)) / best) < 1e-12


def test_a_row_given_two_grades_has_the_higher_and_what_is_no_number_names_no_row(db):
    best = order(db, COFFEE)[0]
    assert measured(db, a=[(best, 1), (f"0{best}", 2), (f"{best}x", 1)]) == (1, 2 / (2 + 1 / math.log2(3)), 1 / 2, 1)


def test_without_questions_there_is_no_mean(db):
    assert list(db.execute(RECIPE, {"ranking": "meaning"})) == [(0, None, None, None)]
