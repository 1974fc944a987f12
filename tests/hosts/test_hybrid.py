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


def test_meaning_finds_what_words_do_not(connect):
    rows = ranked(database(connect), "my coffee tipped over the computer")
    best = rows[0]
    assert best[0] == 2 and best[3] == 1


def test_words_find_a_code_that_means_nothing(connect):
    rows = ranked(database(connect), "days off E-17")
    by_id = {row[0]: row for row in rows}
    assert by_id[4][3] is not None and by_id[1][4] is not None and by_id[5][4] is not None
    assert by_id[3][4] is None, "the parking article has none of the words"
    for _, _, score, by_meaning, by_words in rows:
        expected = sum(1 / (60 + place) for place in (by_meaning, by_words) if place)
        assert abs(score - expected) < 1e-5
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
