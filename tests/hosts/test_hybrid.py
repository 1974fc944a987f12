"""The recipe sql/hybrid.sql, run as it stands, with the real model."""

from support import ROOT

RECIPE = (ROOT / "sql" / "hybrid.sql").read_text(encoding="utf-8")

DOCS = [
    (1, "Stock system codes", "Message E-17 means that two people have the same item open."),
    (2, "Keyboard", "Turn the laptop upside down at once and take the battery out if liquid got in."),
    (3, "Parking", "Badges for the garage are handed out at the front desk."),
    (4, "Holidays", "Requests for days off go to your team lead two weeks ahead."),
    (5, "Invoices", "Last month's bill is on the payments page, E-17 forms are not."),
]


def database(connect):
    db = connect()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
    db.executemany("INSERT INTO docs VALUES (?, ?, ?)", DOCS)
    db.execute("CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs')")
    db.execute("CREATE VIRTUAL TABLE docs_fts USING fts5(title, body, content='docs', content_rowid='id')")
    db.execute("INSERT INTO docs_fts(docs_fts) VALUES ('rebuild')")
    assert db.execute("SELECT bge_sync('docs_bge')").fetchone() == (5,)
    return db


def ranked(db, question):
    return list(db.execute(RECIPE, {"question": question}))


def share(bm25, bm25s):
    """What the words add to a cosine."""
    fifth = sorted(bm25s.values(), reverse=True)[4] if len(bm25s) >= 5 else 0
    return 0.1 * bm25 / (bm25 + 10) + 0.3 * max(0, bm25 - fifth) / (bm25 + 10)


def test_meaning_finds_what_words_do_not(connect):
    rows = ranked(database(connect), "my coffee tipped over the computer")
    best = rows[0]
    assert best[0] == 2 and best[3] == 1


def test_words_find_a_code_that_means_nothing(connect):
    db = database(connect)
    rows = ranked(db, "days off E-17")
    by_id = {row[0]: row for row in rows}
    assert by_id[4][3] is not None and by_id[1][4] is not None and by_id[5][4] is not None
    assert by_id[3][4] is None, "the parking article has none of the words"
    cosines = dict(db.execute("SELECT rowid, score FROM docs_bge WHERE docs_bge MATCH 'days off E-17' AND k = 5"))
    in_words = "SELECT rowid, -bm25(docs_fts) FROM docs_fts WHERE docs_fts MATCH 'days OR off OR \"E-17\"'"
    bm25s = dict(db.execute(in_words))
    for rowid, _, score, _, by_words in rows:
        bm25 = bm25s.get(rowid, 0)
        assert (by_words is not None) == (rowid in bm25s)
        assert abs(score - cosines[rowid] - share(bm25, bm25s)) < 2e-5
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)


def test_no_character_of_a_question_is_fts5_syntax(connect):
    db = database(connect)
    for question in ['"', "a AND", "x* OR (y", "  two  spaces ", "NEAR(", "col:umn", "-minus", "it's", "^caret"]:
        assert ranked(db, question), question


def test_any_value_is_a_question(connect):
    db = database(connect)
    assert ranked(db, None) == [], "nothing is asked"
    for question in ["E-17\0 form", "\0", "", " ", 17, 1.5, "\t\n"]:
        rows = ranked(db, question)
        assert rows == [] or all(row[3] is not None or row[4] is not None for row in rows), question
    assert {row[0] for row in ranked(db, "E-17\0 form") if row[4]} >= {1, 5}


def test_each_candidate_has_both_measures_whichever_list_names_it(connect):
    db = database(connect)
    # Each list names 100 candidates: 95 rows are in both, 10 have the words and another meaning, and one has the
    # meaning and a single common word.
    both = [(n, "Coffee", f"Coffee was spilled over computer number {n}.") for n in range(300, 395)]
    words = [(n, "Ledger", f"Tax form E-17, over a year, was filed by the notary, {n}.") for n in range(60, 70)]
    meaning = (80, "Laptop", "Hot coffee ran into keyboards: turn them upside down and let notebooks dry for two days.")
    # Without others, words that most rows have would count nothing.
    others = [(n, "Parking", f"Badge {n}") for n in range(100, 250)]
    db.executemany("INSERT INTO docs VALUES (?, ?, ?)", [*both, *words, meaning, *others])
    db.execute("INSERT INTO docs_fts(docs_fts) VALUES ('rebuild')")
    db.execute("SELECT bge_sync('docs_bge')").fetchone()
    question = "coffee was spilled over a computer E-17"
    rows = list(db.execute(RECIPE.replace("\nLIMIT 10", "\nLIMIT 1000"), {"question": question}))
    by_id = {row[0]: row for row in rows}
    in_index = "SELECT rowid, score FROM docs_bge WHERE docs_bge MATCH ?"
    cosines = dict(db.execute(in_index, [question]))
    words = " OR ".join(f'"{word}"' for word in question.split())
    bm25s = dict(db.execute("SELECT rowid, -bm25(docs_fts) FROM docs_fts WHERE docs_fts MATCH ?", [words]))
    assert any(row[3] is None and row[4] is not None for row in rows), "one is a candidate by words alone"
    assert by_id[80][3] is not None and by_id[80][4] is None and bm25s[80] > 0.1
    for rowid, _, score, _, _ in rows:
        bm25 = bm25s.get(rowid, 0)
        assert abs(score - cosines[rowid] - share(bm25, bm25s)) < 2e-5, by_id[rowid]


def test_a_row_that_is_not_embedded_yet_is_found_by_its_words(connect):
    db = connect()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
    db.executemany("INSERT INTO docs VALUES (?, ?, ?)", DOCS)
    db.execute("CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs', catchup=0)")
    db.execute("CREATE VIRTUAL TABLE docs_fts USING fts5(title, body, content='docs', content_rowid='id')")
    db.execute("SELECT bge_sync('docs_bge')").fetchone()
    db.execute("INSERT INTO docs VALUES (6, 'New', 'The printer says QX-9.')")
    db.execute("INSERT INTO docs_fts(docs_fts) VALUES ('rebuild')")
    found = {row[0]: row for row in ranked(db, "QX-9")}
    assert found[6][3] is None and found[6][4] == 1 and found[6][2] is not None
