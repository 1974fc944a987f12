"""Long texts in an index: passages, and the title that goes before each of them."""

import pytest

BODY = " ".join(f"Sentence number {n} is about the {thing}." for n, thing in enumerate(
    ["garden", "harbour", "library", "kitchen", "railway", "mountain", "theatre", "hospital"] * 3))


@pytest.fixture
def long_index(connect):
    db = connect()
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, title, body)")
    db.execute("CREATE VIRTUAL TABLE idx USING bge(title, body, content='docs', chunk_tokens=32, overlap=4)")
    return db


def passages(db, row):
    return list(db.execute("SELECT start, stop, vector FROM idx_passages WHERE row = ? ORDER BY start", (row,)))


def test_a_short_title_goes_before_every_passage(long_index):
    db = long_index
    db.execute("INSERT INTO docs VALUES (1, 'Grüße aus Wien', ?)", (BODY,))
    db.execute("SELECT bge_sync('idx')").fetchall()
    joined = "Grüße aus Wien\n" + BODY
    rows = passages(db, 1)
    assert len(rows) > 5
    assert rows[0][0] == len("Grüße aus Wien\n") and rows[-1][1] == len(joined)
    for start, stop, vector in rows:
        text = "Grüße aus Wien\n" + joined[start:stop]
        tokens, = db.execute("SELECT bge_tokens(?)", (text,)).fetchone()
        assert tokens <= 32
        cosine, = db.execute("SELECT bge_cosine(?, bge_embed(?))", (vector, text)).fetchone()
        assert cosine > 0.99999
    for before, after in zip(rows, rows[1:]):
        assert after[0] <= before[1] + 1, "nothing is left out between passages"
    found = list(db.execute("SELECT passage, embedding, distance FROM idx('railway', 1)"))
    assert "railway" in found[0][0] and "Wien" not in found[0][0]
    best = min(1 - db.execute("SELECT bge_cosine(?, bge_embed_query('railway'))", (v,)).fetchone()[0]
               for _, _, v in rows)
    assert found[0][2] == best


def test_a_long_first_column_is_no_title(long_index):
    db = long_index
    db.execute("INSERT INTO docs VALUES (1, ?, 'the end')", (BODY,))
    db.execute("SELECT bge_sync('idx')").fetchall()
    joined = BODY + "\nthe end"
    rows = passages(db, 1)
    assert rows[0][0] == 0 and rows[-1][1] == len(joined)
    for start, stop, vector in rows:
        cosine, = db.execute("SELECT bge_cosine(?, bge_embed(?))", (vector, joined[start:stop])).fetchone()
        assert cosine > 0.99999


@pytest.mark.parametrize("title, body", [("Only a title", None), (None, "Only a body"), ("", "Body"), ("Title", "")])
def test_short_texts_are_one_passage_of_the_joined_text(long_index, title, body):
    db = long_index
    db.execute("INSERT INTO docs VALUES (1, ?, ?)", (title, body))
    db.execute("SELECT bge_sync('idx')").fetchall()
    joined = "\n".join(part for part in (title, body) if part is not None)
    (start, stop, vector), = passages(db, 1)
    assert (start, stop) == (0, len(joined))
    assert db.execute("SELECT bge_embed(?)", (joined,)).fetchone() == (vector,)
    assert db.execute("SELECT passage FROM idx('title', 1)").fetchone() == (joined,)


def test_moving_the_border_between_title_and_body_is_a_change(long_index):
    db = long_index
    db.execute("INSERT INTO docs VALUES (1, 'A', ?)", (BODY + "\nB",))
    db.execute("SELECT bge_sync('idx')").fetchall()
    db.execute("UPDATE docs SET title = ?, body = 'B'", ("A\n" + BODY,))
    assert db.execute("SELECT bge_sync('idx')").fetchone() == (1,)
    assert passages(db, 1)[0][0] == 0
