"""`sqlite-bge evaluate`: the measures by hand, the files it reads, and what it says of those that do not fit."""

import contextlib
import json
import math
import random
import sqlite3

import pytest
import sqlite_bge
from sqlite_bge.comparing import compare, randomisation_test, sign_test
from sqlite_bge.evaluating import ndcg, read_judgements, read_questions, recall, reciprocal_rank
from support import sqlite_bge_command as command

RESET, BILL = "how do I reset my device?", "where is my bill?"


@pytest.fixture
def files(tmp_path):
    """Writes questions and judgements and gives the options that name them."""
    def write(questions, judgements):
        (tmp_path / "q").write_text(questions, encoding="utf-8")
        (tmp_path / "j").write_text(judgements, encoding="utf-8")
        return ["--queries", tmp_path / "q", "--qrels", tmp_path / "j"]
    return write


def order(path, question):
    with contextlib.closing(sqlite3.connect(path)) as db:
        sqlite_bge.load(db)
        return [row[0] for row in db.execute("SELECT rowid FROM desk_bge(?) ORDER BY distance LIMIT 3", [question])]


# --- the measures, by hand ----------------------------------------------------------------


def test_ndcg_is_the_textbooks_example():
    # Grades 3, 2, 3, 0, 1, 2 in this order and 3 and 2 not found: 6.861 of at most 8.740, to three decimals.
    grades = dict(enumerate([3, 2, 3, 0, 1, 2, 3, 2]))
    assert round(ndcg([0, 1, 2, 3, 4, 5], grades, 6), 3) == 0.785


def test_ndcg_looks_at_the_first_k_rows_and_takes_a_grade_below_0_for_0():
    assert ndcg([9, 1], {1: 2, 9: -1}, 10) == 1 / math.log2(3)
    assert ndcg([9, 1], {1: 2}, 1) == 0
    assert ndcg([1], {1: 1, 2: 1, 3: 1}, 1) == 1, "no order of one row is better"
    assert ndcg([], {1: 1}, 10) == 0


def test_recall_and_the_place_of_the_first():
    grades = {1: 1, 2: 3, 3: 0, 4: 1}
    assert recall([3, 2, 7], grades) == 1 / 3 and recall([], grades) == 0
    assert reciprocal_rank([3, 7, 4, 2], grades) == 1 / 3 and reciprocal_rank([3], grades) == 0


def test_the_sign_test_is_the_binomials():
    assert sign_test(8, 2) == sign_test(2, 8) == 2 * (1 + 10 + 45) / 1024
    assert sign_test(0, 0) == sign_test(3, 3) == 1 and sign_test(10, 0) == 2 / 1024


def test_the_randomisation_test_is_exact_for_few_questions():
    # All eight ways to sign 3, 2, 1 give 6, 4, 2, 0, 0, -2, -4, -6 as sums.
    for differences, p in (([3, 2, 1], 2 / 8), ([3, 2, -1], 4 / 8), ([-3, 0, 2, 1], 1), ([0.1, 0.2, -0.3], 1), ([0, 0], 1), ([0.5], 1)):
        assert randomisation_test(differences) == p
        assert randomisation_test([-d for d in differences]) == p
    many = [0.3] * 40 + [-0.1] * 20
    assert randomisation_test([1.0] * 30) == 1 / 10_001 and randomisation_test(many) == randomisation_test(many) < 0.01
    # Of 40 coins 26 heads or more, or 14 or fewer: p = .0807.
    assert abs(randomisation_test([1.0] * 26 + [-1.0] * 14) - sign_test(26, 14)) < 0.01


@pytest.mark.parametrize("count", [5, 6, 9, 13, 20])
def test_rankings_that_are_equally_good_are_seldom_said_to_differ(count):
    chance = random.Random(count)
    runs = 600 if count <= 13 else 30
    said = 0
    for _ in range(runs):
        said += count >= 6 and randomisation_test([chance.gauss(0, 1) for _ in range(count)]) <= 0.05
    assert said / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("count, said", [(1, None), (2, None), (5, None), (6, True), (30, True)])
def test_few_questions_tell_nothing(count, said):
    assert compare([1.0] * count, [0.5] * count).more_than_chance is said
    # Questions that do not differ are no evidence.
    assert compare([1.0] * count + [0.5] * 20, [0.5] * (count + 20)).more_than_chance is said


def test_a_difference_by_hand():
    same = compare([0.5] * 30, [0.25] * 30)
    assert (same.mean, same.low, same.high, same.better, same.worse) == (0.25, 0.25, 0.25, 30, 0) and same.more_than_chance
    none = compare([0.5] * 30, [0.5] * 30)
    assert (none.mean, none.low, none.high, none.sign_p, none.p) == (0, 0, 0, 1, 1) and not none.more_than_chance
    # 60 coins, 38 heads: the mean of +1 and -1 is 16/60, its standard error sqrt((1 - mean^2) / 60).
    coins = [1.0] * 38 + [-1.0] * 22
    one = compare(coins, [0.0] * 60)
    error = math.sqrt((1 - (16 / 60) ** 2) / 60)
    assert abs(one.low - (16 / 60 - 1.96 * error)) < 0.04 and abs(one.high - (16 / 60 + 1.96 * error)) < 0.04
    uneven = [n * 37 % 61 / 61 - 0.4 for n in range(60)]
    assert compare(uneven, [0.0] * 60) == compare(uneven, [0.0] * 60), "the seed is fixed"
    other = compare([0.0] * 60, coins)
    assert (other.better, other.worse, other.mean) == (22, 38, -one.mean)


# --- the command --------------------------------------------------------------------------


def test_the_measures_of_an_index(indexed, files):
    first, second, third = order(indexed, RESET)
    # 1 + 0 + 2/log2(4) of 2 + 1/log2(3); and a question whose only row is the second: 1/log2(3), a half.
    _, best, _ = order(indexed, BILL)
    judgements = f"a 0 {first} 1\na 0 {second} 0\na 0 {third} 2\nb 0 {best} 1\n"
    said = command("evaluate", indexed, "desk", *files(f"a\t{RESET}\nb\t{BILL}\n", judgements), "--json")
    found = json.loads(said.stdout)
    by_hand = [2 / (2 + 1 / math.log2(3)), 1 / math.log2(3)]
    assert [one["meaning"]["ndcg"] for one in found["each"]] == pytest.approx(by_hand)
    assert found["rankings"] == [{"ranking": "meaning", "ndcg": pytest.approx(sum(by_hand) / 2), "recall": 1, "mrr": 0.75}]
    assert found["questions"] == 2 and found["left_out"] == [] and said.stderr == ""
    table = command("evaluate", indexed, "desk_bge", *files(f"a\t{RESET}\nb\t{BILL}\n", judgements)).stdout
    assert table == ("2 questions; nDCG@10 with the grade as gain, recall of relevant rows in 100, MRR@10\n"
                     "RANKING  NDCG@10  RECALL@100  MRR@10\n"
                     f"meaning  {sum(by_hand) / 2:.4f}   1.0000      0.7500\n")


def test_rankings_are_compared(tmp_path, files):
    def code(n):
        return f"0x8007{n * 40503 % 65536:04X}"

    causes = ["When the disk is full, the program ends with {}. Make room for it.", "{}: another session holds the lock.",
              "The certificate of the server has run out, see {}. Ask the administrator.", "A badge opens the garage ({})."]
    path = tmp_path / "codes.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        sqlite_bge.load(db)
        db.execute("CREATE TABLE codes(id INTEGER PRIMARY KEY, body TEXT)")
        db.executemany("INSERT INTO codes(body) VALUES (?)", [(causes[n % 4].format(code(n)),) for n in range(60)])
        db.execute("CREATE VIRTUAL TABLE codes_bge USING bge(body, content='codes', words=on)")
        sqlite_bge.sync(db, "codes_bge", progress=False)
        db.commit()
    asked = range(0, 60, 3)
    arguments = files("".join(f"{n}\t{code(n)}\n" for n in asked), "".join(f"{n} 0 {n + 1} 1\n" for n in asked))
    compared = ("--ranking", "words", "--against", "meaning", "--against", "hybrid, mmr(1)")
    found = json.loads(command("evaluate", path, "codes", *arguments, *compared, "--json").stdout)
    assert [one["ranking"] for one in found["rankings"]] == ["words", "meaning", "hybrid, mmr(1)"]
    words, meaning, spread = found["rankings"]
    assert words["mrr"] == spread["mrr"] == words["ndcg"] == 1 and meaning["ndcg"] < 1 and meaning["recall"] == 1
    against, same = found["first_against"]
    each = [one["words"]["ndcg"] - one["meaning"]["ndcg"] for one in found["each"]]
    assert against["ranking"] == "meaning" and against["mean"] == pytest.approx(sum(each) / 20) == words["ndcg"] - meaning["ndcg"]
    assert (against["better"], against["worse"]) == (sum(d > 0 for d in each), 0) and against["more_than_chance"]
    assert same["mean"] == 0 and same["more_than_chance"] is None
    said = command("evaluate", path, "codes", *arguments, *compared).stdout.splitlines()
    assert said[-2].startswith(f"words against meaning, nDCG@10: {against['mean']:+.4f}, more than chance (randomisation test p = 0.")
    assert f"; better on {against['better']} questions, worse on 0 (" in said[-2] and "; 95 % of bootstraps are within +0." in said[-2]
    assert "the ranking 'words' is given twice" in command("evaluate", path, "codes", *arguments, *compared, "--against", "words", code=1).stderr
    assert said[-1].startswith("words against hybrid, mmr(1), nDCG@10: +0.0000, too few questions differ to tell")
    assert "no stage 'hybird'" in command("evaluate", path, "codes", *arguments, "--ranking", "hybird", code=1).stderr


def test_a_ranking_by_words_needs_an_index_with_words(indexed, files):
    done = command("evaluate", indexed, "desk", *files(f"a\t{RESET}\n", "a 0 1 1\n"), "--against", "hybrid", code=1)
    assert "words" in done.stderr and "desk_bge" in done.stderr


def test_k_is_how_many_rows_are_looked_at(indexed, files):
    first, second, _ = order(indexed, RESET)
    arguments = files(f"a\t{RESET}\n", f"a 0 {second} 1\n")
    found = json.loads(command("evaluate", indexed, "desk", *arguments, "--k", "1", "--json").stdout)
    assert found["rankings"] == [{"ranking": "meaning", "ndcg": 0, "recall": 1, "mrr": 0}] and found["k"] == 1


def test_the_forms_of_the_files(tmp_path):
    (tmp_path / "q").write_text('\ufeff{"_id": "a", "text": "one {x}", "metadata": {}}\n\n{"_id": 7, "text": "two"}\r\n', "utf-8")
    assert read_questions(tmp_path / "q") == {"a": "one {x}", "7": "two"}
    (tmp_path / "q").write_text("a\tone\ttab\nb b\ttwo\n", "utf-8")
    assert read_questions(tmp_path / "q") == {"a": "one\ttab", "b b": "two"}
    for text in ("query-id\tcorpus-id\tscore\na\tx\t1\na\ty\t0.5\n", "a 0 x 1\na 0 y 0.5\n", "a\tQ0\tx\t1\r\na\tQ0\ty\t.5\r\n", "a x 1\na x 1\na y .5"):
        (tmp_path / "j").write_text(text, "utf-8")
        assert read_judgements(tmp_path / "j") == {"a": {"x": 1.0, "y": 0.5}}


def test_rows_are_named_by_a_column(indexed, files):
    arguments = files(f"a\t{RESET}\n", "query-id\tcorpus-id\tscore\na\tRouter\t1\n")
    found = json.loads(command("evaluate", indexed, "desk", *arguments, "--id-column", "TITLE", "--json").stdout)
    assert found["rankings"][0]["ndcg"] == 1
    said = command("evaluate", indexed, "desk", *arguments, code=1).stderr
    assert "1 judged rows are not in desk: Router; if they are named by a column, say which: --id-column COLUMN, of id, title, body" in said
    said = command("evaluate", indexed, "desk", *arguments, "--id-column", "slug", code=1).stderr
    assert "desk has no column slug; it has id, title, body" in said
    with contextlib.closing(sqlite3.connect(indexed)) as db, db:
        db.execute("UPDATE desk SET title = 'Router' WHERE id = 2")
    said = command("evaluate", indexed, "desk", *arguments, "--id-column", "title", code=1).stderr
    assert "rows 1 and 2 of desk both have 'Router' in title" in said


def test_names_of_rows_may_be_blobs_numbers_and_missing(indexed, files):
    with contextlib.closing(sqlite3.connect(indexed)) as db, db:
        db.execute("ALTER TABLE desk ADD COLUMN slug")
        db.executemany("UPDATE desk SET slug = ? WHERE id = ?", [(b"reset-it", 1), (2.5, 2), (None, 3)])
        db.executemany("INSERT INTO desk(slug) VALUES (?)", [(None,), (b"\xff",)])
    arguments = files(f"a\t{RESET}\nb\t{BILL}\n", "a 0 reset-it 1\nb 0 2.5 1\n")
    found = json.loads(command("evaluate", indexed, "desk", *arguments, "--id-column", "slug", "--json").stdout)
    assert [one["meaning"]["ndcg"] for one in found["each"]] == [1, 1]
    said = command("evaluate", indexed, "desk", *files(f"a\t{RESET}\n", "a 0 None 1\n"), "--id-column", "slug", code=1).stderr
    assert "1 judged rows are not in desk: None" in said


def test_two_names_of_one_row_are_one(indexed, files):
    found = json.loads(command("evaluate", indexed, "desk", *files(f"a\t{RESET}\n", "a 0 1 2\na 0 01 2\n"), "--json").stdout)
    assert found["rankings"][0]["ndcg"] == 1
    said = command("evaluate", indexed, "desk", *files(f"a\t{RESET}\n", "a 0 1 2\na 0 01 0\n"), code=1).stderr
    assert "question a gives row 1 the grades 2 and 0, the one of them as '01'" in said


def test_what_is_not_asked_is_said(indexed, files):
    arguments = files(f"a\t{RESET}\nb\tx\nc\ty\n", "a 0 1 1\nc 0 1 0\nd 0 1 1\n")
    done = command("evaluate", indexed, "desk", *arguments, "--json")
    left_out = ["1 questions without a judgement are left out: b", "1 questions without a grade above 0 are left out: c",
                "1 judged questions are not among the questions: d"]
    assert json.loads(done.stdout)["left_out"] == left_out
    assert done.stderr == "".join(f"note: {line}\n" for line in left_out)


def test_rows_that_wait_are_said(indexed, files):
    with contextlib.closing(sqlite3.connect(indexed)) as db, db:
        db.execute("INSERT INTO desk(title, body) VALUES ('New', 'not embedded yet')")
    assert "note: 1 rows are not embedded yet" in command("evaluate", indexed, "desk", *files(f"a\t{RESET}\n", "a 0 1 1\n")).stderr


@pytest.mark.parametrize("questions, judgements, said", [
    ("", "a 0 1 1", "q has no questions; expected lines of id<TAB>text"), ("a\tx", " \n\n", "j has no judgements"),
    ("a x", "a 0 1 1", "q, line 1: expected id<TAB>text, or a JSON object with _id and text; got 'a x'"),
    ('{"_id": "a"', "a 0 1 1", "q, line 1 is no JSON"), ('{"id": "a", "txt": "x"}', "a 0 1 1", "got the keys id, txt"),
    ("a\tx\na\ty", "a 0 1 1", "q, line 2: there are two questions with the id 'a'"), ("a\t \n", "a 0 1 1", "question 'a' has no text"),
    ("a\tx", "a 1 x", "j, line 1: the grade 'x' is no number"), ("a\tx", "a 0 1 good", "j, line 1: the grade 'good' is no number"),
    ("a\tx", "a 1 nan", "the grade 'nan' is no number"), ("a\tx", "a 1", "j, line 1: expected question, 0, row and grade"),
    ("a\tx", "a 0 1 1\na 0 1 2", "j, line 2: question a gives row 1 the grade 2, and 1 before"),
    ("a\tx", "a 0 99 1\na 0 x 1\na 0 1e3 1", "3 judged rows are not in desk: 1e3, 99, x"),
    ("a\tx", "b 0 1 1", "no question has a row to be found; 1 questions without a judgement are left out: a"),
    ('{"_id": "a", "text": "\\ud800"}', "a 0 1 1", "'\\ud800' is no text in UTF-8"),
    ("a\tx", "a 0 1 0", "no question has a row to be found; 1 questions without a grade above 0"),
])
def test_what_does_not_fit_is_said(indexed, files, questions, judgements, said):
    assert said in command("evaluate", indexed, "desk", *files(questions, judgements), code=1).stderr


def test_files_that_cannot_be_read(indexed, files, tmp_path):
    _, questions, _, judgements = files("a\tx", "a 0 1 1")
    assert "no such file" in command("evaluate", indexed, "desk", "--queries", tmp_path / "none", "--qrels", judgements, code=1).stderr.lower()
    assert "is a directory" in command("evaluate", indexed, "desk", "--queries", questions, "--qrels", tmp_path, code=1).stderr.lower()
    judgements.write_bytes(b"a 0 \xff 1")
    assert "j is no text in UTF-8" in command("evaluate", indexed, "desk", "--queries", questions, "--qrels", judgements, code=1).stderr
    for k in ("99999999999999999999", "-1"):
        assert f"--k is {k}, expected" in command("evaluate", indexed, "desk", "--queries", questions, "--qrels", judgements, f"--k={k}", code=1).stderr
    assert "--k is 0, expected" in command("evaluate", indexed, "desk", "--queries", questions, "--qrels", judgements, "--k", "0", code=1).stderr
