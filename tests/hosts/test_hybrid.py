"""The recipes of hybrid search, run as they stand, with the real model: sql/hybrid.sql over an index with words, and
sql/hybrid-fts5.sql over one without, beside an FTS5 table. They must rank alike."""

import pytest
from sessions import OldestSession
from support import ROOT

RECIPES = {name: (ROOT / "sql" / f"{name}.sql").read_text(encoding="utf-8") for name in ("hybrid", "hybrid-fts5")}

DOCS = [
    (1, "Stock system codes", "Message E-17 means that two people have the same item open."),
    (2, "Keyboard", "Turn the laptop upside down at once and take the battery out if liquid got in."),
    (3, "Parking", "Badges for the garage are handed out at the front desk."),
    (4, "Holidays", "Requests for days off go to your team lead two weeks ahead."),
    (5, "Invoices", "Last month's bill is on the payments page, E-17 forms are not."),
]
QUESTIONS = ["my coffee tipped over the computer", "where do I find the bill", "days off", "the garage, please",
             "what does the message mean?", "forms of two people"]
NAMES = ["E-17", "what is E-17", "\"E-17\" forms: what?", "a QX_9 or an E-17", "help!"]


def database(connect, name, docs=DOCS, file=":memory:"):
    """docs and docs_bge, in step, as the recipe of this name expects them."""
    db = connect(database=file)
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
    db.executemany("INSERT INTO docs VALUES (?, ?, ?)", docs)
    words = ", words=on" if name == "hybrid" else ""
    db.execute(f"CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs', catchup=0{words})")
    if name == "hybrid-fts5":
        db.execute("CREATE VIRTUAL TABLE docs_fts USING fts5(title, body, content='docs', content_rowid='id', "
                   "tokenize='porter unicode61')")
        db.execute("INSERT INTO docs_fts(docs_fts) VALUES ('rebuild')")
    assert db.execute("SELECT bge_sync('docs_bge')").fetchone() == (len(docs),)
    return db


def ranked(db, name, question, rows=10):
    """(id, title, score, by_meaning, by_words) of the best rows."""
    return list(db.execute(RECIPES[name].replace("\nLIMIT 10", f"\nLIMIT {rows}"), {"question": question}))


def many():
    """Each list names 100 candidates: 95 rows are in both, 10 have the words and another meaning, and one has the meaning
    and a single common word. Without others, words that most rows have would count nothing."""
    both = [(n, "Coffee", f"Coffee was spilled over computer number {n}.") for n in range(300, 395)]
    words = [(n, "Ledger", f"Tax form E-17, over a year, was filed by the notary, {n}.") for n in range(60, 70)]
    meaning = (80, "Laptop", "Hot coffee ran into keyboards: turn them upside down and let notebooks dry for two days.")
    return [*DOCS, *both, *words, meaning, *((n, "Parking", f"Badge {n}") for n in range(100, 250))]


@pytest.fixture(params=RECIPES)
def recipe(request):
    return request.param


def test_meaning_finds_what_words_do_not(connect, recipe):
    best = ranked(database(connect, recipe), recipe, "my coffee tipped over the computer")[0]
    assert best[0] == 2 and best[3] == 1


def test_words_find_a_code_that_means_nothing(connect, recipe):
    rows = ranked(database(connect, recipe), recipe, "days off E-17")
    by_id = {row[0]: row for row in rows}
    assert by_id[4][3] is not None and by_id[1][4] is not None and by_id[5][4] is not None
    assert by_id[3][4] is None, "the parking article has none of the words"
    scores = [row[2] for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_names_are_found_first(connect, recipe):
    """Every twelfth passage of the bench: meaning alone, and with the share of words, has another first for many."""
    folder = ROOT / "benches" / "exact_names"
    passages = enumerate((folder / "passages.txt").read_text(encoding="utf-8").splitlines(), 1)
    db = database(connect, recipe, [(n, "", passage) for n, passage in passages if n % 12 == 0])
    questions = dict(line.split("\t") for line in (folder / "questions.tsv").read_text(encoding="utf-8").splitlines())
    answers = [line.split() for line in (folder / "judgements.qrels").read_text(encoding="utf-8").splitlines()]
    asked = [(questions[name], int(row)) for name, _, row, _ in answers if int(row) % 12 == 0]
    assert len(asked) >= 20
    firsts = [(question, row, ranked(db, recipe, question)[0][0]) for question, row in asked]
    assert [first for first in firsts if first[1] != first[2]] == []
    by_meaning = "SELECT rowid FROM docs_bge WHERE docs_bge MATCH ? AND k = 1"
    missed = [question for question, row in asked if db.execute(by_meaning, [question]).fetchone() != (row,)]
    assert len(missed) > 5


def test_the_recipes_rank_alike(connect):
    """Without a name to the last digit; with one the root is near enough, so that scores differ a little."""
    docs = many()
    new, old = (database(connect, name, docs) for name in RECIPES)
    for question in QUESTIONS:
        assert ranked(new, "hybrid", question, 50) == ranked(old, "hybrid-fts5", question, 50), question
    for question in NAMES:
        ours, theirs = ranked(new, "hybrid", question, 50), ranked(old, "hybrid-fts5", question, 50)
        assert [row[0] for row in ours[:3]] == [row[0] for row in theirs[:3]], question
        places = {row[0]: row[3:] for row in theirs}
        assert all(places.get(row[0], row[3:]) == row[3:] for row in ours), question


def test_the_oldest_sqlite_ranks_as_the_newest(connect, recipe, tmp_path):
    file = tmp_path / "docs.db"
    db = database(connect, recipe, file=file)
    questions = [*QUESTIONS, *NAMES, "a\tb"]
    answers = OldestSession(file).ask([(RECIPES[recipe], {"question": question}) for question in questions])
    assert [[tuple(row) for row in answer] for answer in answers] == [ranked(db, recipe, question) for question in questions]


def test_the_score_is_what_the_recipe_says(connect):
    db = database(connect, "hybrid-fts5", many())
    question = "coffee was spilled over a computer E-17"
    rows = ranked(db, "hybrid-fts5", question, 1000)
    by_id = {row[0]: row for row in rows}
    cosines = dict(db.execute("SELECT rowid, score FROM docs_bge WHERE docs_bge MATCH ?", [question]))
    assert any(row[3] is None and row[4] is not None for row in rows), "one is a candidate by words alone"
    assert by_id[80][3] is not None and by_id[80][4] is None
    b, n = bm25s(db, question.split()), bm25s(db, ["E-17"])
    assert b[80] > 0.1, "a candidate has its words counted whichever list names it"
    fifth = sorted(n.values(), reverse=True)[4]
    share = 4 / sum(map(len, question.split()))
    for rowid, _, score, _, _ in rows:
        of_names = 1.5 * share ** 0.5 * max(0, n.get(rowid, 0) - fifth) / (n.get(rowid, 0) + 10)
        words = 0.1 * b.get(rowid, 0) / (b.get(rowid, 0) + 20)
        assert abs(score - cosines[rowid] - words - of_names) < 2e-5 + 0.2 * of_names, by_id[rowid]


def bm25s(db, runs):
    words = " OR ".join(f'"{run}"' for run in runs)
    return dict(db.execute("SELECT rowid, -bm25(docs_fts) FROM docs_fts WHERE docs_fts MATCH ?", [words]))


def test_no_character_of_a_question_is_syntax(connect, recipe):
    db = database(connect, recipe)
    for question in ['"', "a AND", "x* OR (y", "  two  spaces ", "NEAR(", "col:umn", "-minus", "it's", "^caret", "\\", "[1]",
                     'a","b', "tab\tand\nline\r\nends", "\x01", "' OR 1", "%s", "größe 東京", "w " * 2000,
                     " ".join(f"w{n}" for n in range(2000)), "x" * 5000, "?? -- !!"]:
        assert ranked(db, recipe, question), question


def test_any_value_is_a_question(connect, recipe):
    db = database(connect, recipe)
    assert ranked(db, recipe, None) == [], "nothing is asked"
    for question in ["E-17\0 form", "\0", "", " ", 17, 1.5, "\t\n"]:
        rows = ranked(db, recipe, question)
        assert rows == [] or all(row[3] is not None or row[4] is not None for row in rows), question
    assert {row[0] for row in ranked(db, recipe, "E-17\0 form") if row[4]} >= {1, 5}


def test_a_row_that_is_not_embedded_yet_is_found_by_its_words(connect, recipe):
    db = database(connect, recipe)
    db.execute("INSERT INTO docs VALUES (6, 'New', 'The printer says QX-9.')")
    if recipe == "hybrid-fts5":
        db.execute("INSERT INTO docs_fts(docs_fts) VALUES ('rebuild')")
    found = {row[0]: row for row in ranked(db, recipe, "QX-9")}
    assert found[6][3] is None and found[6][4] == 1 and found[6][2] is not None


def test_words_of_very_many_rows_are_left_out(connect):
    """3,000 rows have `common`, which then lifts none of them; alone it is asked for all the same."""
    filler = [(n, "", None) for n in range(10_000, 13_000)]
    db = database(connect, "hybrid-fts5")
    db.executemany("INSERT INTO docs VALUES (?, ?, ?)", filler)
    db.execute("UPDATE docs SET title = title || ' common' WHERE id >= 10000 OR id = 3")
    db.execute("INSERT INTO docs_fts(docs_fts) VALUES ('rebuild')")
    by_words = {row[0]: row[4] for row in ranked(db, "hybrid-fts5", "common garage")}
    assert by_words[3] == 1 and len([place for place in by_words.values() if place]) == 1
    assert len([row for row in ranked(db, "hybrid-fts5", "common", 1000) if row[4]]) == 100
