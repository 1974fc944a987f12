"""bge_chunks as SQL sees it: exact offsets, token counts, where it cuts, overlap, arguments, joins.

In every text here a chunk is what substr(text, start + 1, stop - start) gives, has the tokens that bge_tokens
counts, at most max_tokens of them, and what lies between two chunks is blank.
"""

import random
import time
import unicodedata

import apsw
import pytest
from support import SMALL, TINY, HostError, failure, inferences, load, unload, value

PROSE = ("Hold the small button for ten seconds. The lamp blinks twice! Does it not blink? Then pull the plug, wait, and try "
         "again.\n\nYou can download last month's bill from the payments page. It is a PDF of 10.5 kB; open it with any "
         "viewer.\n\n\nRequests for days off go to your team lead.\r\nTwo weeks ahead, please.\n")
TEXTS = {
    "ascii": PROSE,
    "long": PROSE * 40,
    "one line": "machine learning and nlp " * 300,
    "no spaces": "a-b.c,d" * 400,
    "long words": "internationalisation " * 50 + "x" * 3000,
    "unknown word": "a" * 1_000,
    "cjk": "今天天气很好。我们去公园散步吧！你要不要一起来？" * 30,
    "cjk without stops": "今天天气很好我们去公园散步吧" * 40,
    "japanese": "これはテストです。とても長い文章を分割します。\n\n次の段落です。" * 20,
    "emoji": "👍🎉 great! 👩‍👩‍👧‍👦 family 🇩🇪 " * 60,
    "emoji only": "👍" * 500,
    "combining": "re\u0301sume\u0301 cafe\u0301. " * 60,
    "combining only": "e\u0301" * 300,
    "many marks": "a" + "\u0301" * 500 + " b" * 40,
    "right to left": "שלום עולם. מה שלומך היום? " * 40 + "\u202eabc\u202c مرحبا بالعالم. " * 40,
    "hangul and thai": "안녕하세요 세계. 오늘은 날씨가 좋습니다. " * 30 + "สวัสดีชาวโลก " * 40,
    "special tokens": "[MASK] is [PAD] and [UNK] or [CLS][SEP] " * 30,
    "blank inside": "one" + " " * 500 + "two" + "\n" * 500 + "three",
    "blank around": "\n\n  \t one two three four five six seven eight nine ten \u3000\n" * 5,
    "control": "a\x01b\x7f c\u200bd\u00ade \ufeffx \uffff " * 40,
    "punctuation": "...!!!???,,,;;;" * 60,
    "bmp and beyond": "a𝒜b𝔘c😀d\U0010ffff " * 60,
}


def chunks(db, text, *arguments, model=TINY):
    """(idx, start, stop, tokens, chunk) rows; what must hold of any text is checked."""
    arguments = [*arguments, *[None] * (2 - len(arguments)), model]
    rows = list(db.execute(
        "SELECT idx, start, stop, tokens, chunk, substr(?1, start + 1, stop - start), bge_tokens(chunk, ?4) "
        "FROM bge_chunks(?1, ?2, ?3, ?4)", (text, *arguments)))
    assert [row[0] for row in rows] == list(range(len(rows)))
    for _, start, stop, tokens, chunk, cut, counted in rows:
        assert chunk == text[start:stop] and ("\0" in text or chunk == cut)
        assert tokens == counted <= (arguments[0] or 512)
    starts, stops = [row[1] for row in rows], [row[2] for row in rows]
    assert starts == sorted(set(starts)) and stops == sorted(set(stops)), "no chunk is inside another"
    edges = zip([0, *stops], [*starts, len(text)])
    assert not "".join(text[stop:start] for stop, start in edges if stop < start).strip(), "something is left out"
    return [row[:5] for row in rows]


def shared_tokens(db, text, rows):
    """Tokens that each chunk has in common with the one before."""
    return [value(db, "SELECT bge_tokens(?, ?)", text[after[1]:before[2]], TINY) - 2 if after[1] < before[2] else 0
            for before, after in zip(rows, rows[1:])]


# --- what holds of any text ----------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("max_tokens, overlap", [(512, 0), (64, 0), (64, 16), (16, 0), (16, 13), (5, 1), (3, 0)])
def test_offsets_and_tokens(db, name, max_tokens, overlap):
    text = TEXTS[name]
    rows = chunks(db, text, max_tokens, overlap)
    assert all(count <= overlap for count in shared_tokens(db, text, rows))
    whole = value(db, "SELECT bge_tokens(?, ?)", text, TINY)
    assert len(rows) > 1 or whole <= max_tokens
    assert len(rows) == 1 or whole > max_tokens


def test_texts_of_random_characters(db):
    chance = random.Random(7)
    alphabet = "ab .,!?\n\t-'0中文。！👍\u0301\u200d\u00e9ßж\u3000[]"
    for _ in range(400):
        text = "".join(chance.choices(alphabet, k=chance.randint(1, 300)))
        max_tokens = chance.choice([3, 4, 8, 20, 50])
        overlap = chance.randint(0, max_tokens - 3)
        rows = chunks(db, text, max_tokens, overlap)
        assert all(count <= overlap for count in shared_tokens(db, text, rows)), (text, max_tokens, overlap)


def test_a_nul_byte_does_not_end_a_text(db):
    text = "one two\0three. four five " * 20
    rows = chunks(db, text, 16)
    assert rows[-1][2] >= len(text) - 1 and len(rows) > 5


def test_the_real_model(db):
    for name in ("long", "cjk", "emoji", "long words"):
        chunks(db, TEXTS[name], 64, 8, model=SMALL)


def test_the_offsets_hold_in_every_host(any_host):
    text = "'" + TEXTS["cjk"][:200] + TEXTS["emoji"][:200] + PROSE.replace("'", "''") + "'"
    rows = any_host.rows(f"SELECT idx, tokens <= 20, chunk = substr({text}, start + 1, stop - start), "
                         f"tokens = bge_tokens(chunk, '{TINY}') FROM bge_chunks({text}, 20, 4, '{TINY}')")
    assert len(rows) > 10
    assert rows == [[n, 1, 1, 1] for n in range(len(rows))]


def test_a_utf16_database(connect):
    wide = connect()
    wide.execute("PRAGMA encoding = 'UTF-16le'; CREATE TABLE docs(body)")
    text = TEXTS["bmp and beyond"]
    wide.execute("INSERT INTO docs VALUES (?)", (text,))
    found = list(wide.execute("SELECT chunk, substr(body, start + 1, stop - start) FROM docs, bge_chunks(body, 20, 0, ?)", (TINY,)))
    assert len(found) > 2
    assert all(chunk == cut for chunk, cut in found)


# --- where it cuts -------------------------------------------------------------------------------


def test_a_text_that_fits_is_one_chunk(db):
    assert chunks(db, "One. Two!\n\nThree?") == [(0, 0, 17, 8, "One. Two!\n\nThree?")]


def test_it_cuts_at_paragraphs_first(db):
    """A paragraph has 9 tokens inside, so that one and a half would fit."""
    paragraphs = ["a b c. d e f g", "h i j. k l m n", "o p q. r s t u"]
    assert [row[4] for row in chunks(db, "\n\n".join(paragraphs), 16)] == paragraphs


def test_then_at_sentences(db):
    """Each has 6 tokens inside; two and a half would fit. (After a full stop and a small letter Unicode sees none.)"""
    sentences = ["A b c d e.", "F g h i j!", "k l m n o?", "P q r s t.", "U v w x y."]
    assert [row[4] for row in chunks(db, " ".join(sentences), 17)] == [
        "A b c d e. F g h i j!", "k l m n o? P q r s t.", "U v w x y."]


def test_sentences_of_other_scripts(db):
    text = "今天天气很好。我们去公园吧！你要一起来？"
    assert [row[4] for row in chunks(db, text, 10)] == ["今天天气很好。", "我们去公园吧！", "你要一起来？"]


def test_a_stop_inside_a_number_ends_no_sentence(db):
    first, second = "It has 10.5 kg in it.", "Now it has 3.1 kg in it."
    limit = max(value(db, "SELECT bge_tokens(?, ?)", part, TINY) for part in (first, second)) + 3
    assert [row[4] for row in chunks(db, f"{first} {second}", limit)] == [first, second]


def test_then_at_words(db):
    """A word has six tokens; two and two thirds would fit."""
    rows = chunks(db, "abcdef " * 10, 18)
    assert {row[4] for row in rows} == {"abcdef abcdef"} and len(rows) == 5


def test_a_word_longer_than_a_passage_is_cut_inside(db):
    rows = chunks(db, "embeddingembeddingembedding", 5)
    assert len(rows) > 1 and "".join(row[4] for row in rows) == "embeddingembeddingembedding"


def test_a_cut_inside_a_word_keeps_marks_with_their_letters(db):
    for name in ("combining only", "combining"):
        for _, _, _, _, chunk in chunks(db, TEXTS[name], 5):
            assert not unicodedata.combining(chunk[0])


def test_passages_are_filled(db):
    """Not one sentence a chunk: as many as fit."""
    rows = chunks(db, "a b c d. " * 200, 64)
    assert len(rows) <= 18  # 1,000 tokens, 62 a chunk


# --- overlap -------------------------------------------------------------------------------------


def test_without_overlap_chunks_share_nothing(db):
    for overlap in (0, None):
        rows = chunks(db, PROSE * 5, 32, overlap)
        assert all(before[2] <= after[1] for before, after in zip(rows, rows[1:]))


def test_the_overlap_is_counted_in_tokens(db):
    text = "a b c d e f g h i j " * 10
    for overlap in (1, 4, 13):
        rows = chunks(db, text, 16, overlap)
        assert set(shared_tokens(db, text, rows)) == {overlap}


def test_an_overlap_of_sentences(db):
    """It starts at a border: half a sentence helps nobody."""
    sentences = [f"{a} b c d e." for a in "FGHIJKLMNOP"]
    rows = chunks(db, " ".join(sentences), 20, 7)
    assert [row[4] for row in rows[:2]] == [" ".join(sentences[:3]), " ".join(sentences[2:5])]


# --- arguments -----------------------------------------------------------------------------------


def test_the_defaults_are_the_models_limit_and_no_overlap(db):
    text = "a b c d e f g h. " * 400
    assert chunks(db, text) == chunks(db, text, 512, 0) == chunks(db, text, None, 0)
    assert max(row[3] for row in chunks(db, text)) > 500
    for call in ("bge_chunks(?1)", "bge_chunks(?1, NULL)", "bge_chunks(?1, 512)", "bge_chunks(?1, 512, NULL, NULL)"):
        assert value(db, f"SELECT max(tokens) <= 512 AND count(*) = {len(chunks(db, text, model=SMALL))} FROM {call}", text) == 1


def test_the_limit_of_a_model_that_was_loaded_with_less(db):
    load(db, "short-chunks", max_length=16)
    text = "a b c d e f g h. " * 20
    assert chunks(db, text, model="short-chunks") == chunks(db, text, 16, model="short-chunks") == chunks(db, text, 16)
    assert "16" in str(failure(db, "SELECT * FROM bge_chunks('a', 17, 0, 'short-chunks')"))
    unload(db, "short-chunks")


def test_the_model_argument_chooses_the_tokenizer(db):
    word = "unbelievable " * 20
    assert len(chunks(db, word, 32)) > len(chunks(db, word, 32, model=SMALL))
    assert value(db, "SELECT tokens FROM bge_chunks('unbelievable', 32)") == value(db, "SELECT bge_tokens('unbelievable')")


def test_a_null_text_has_no_rows(db):
    for call in ("bge_chunks(NULL)", "bge_chunks(NULL, 16)", f"bge_chunks(NULL, 16, 0, '{TINY}')"):
        assert list(db.execute(f"SELECT * FROM {call}")) == []


def test_an_empty_text_is_one_chunk(db):
    assert chunks(db, "") == [(0, 0, 0, 2, "")]


@pytest.mark.parametrize("text", [" ", "\n\n", " \t\r\n\u3000 ", "\n" * 5000])
def test_a_blank_text_is_one_chunk_of_no_words(db, text):
    [row] = chunks(db, text, 16)
    assert row[3] == 2 and not row[4].strip()


@pytest.mark.parametrize("number, text", [(42, "42"), (1.5, "1.5"), (-7, "-7")])
def test_a_number_counts_as_its_text(db, number, text):
    assert [row[4] for row in db.execute("SELECT * FROM bge_chunks(?, 16, 0, ?)", (number, TINY))] == [text]


def test_a_blob_is_an_error_that_tells_the_way_out(db):
    error = failure(db, "SELECT * FROM bge_chunks(x'61')")
    assert isinstance(error, apsw.MismatchError)
    assert "bge_chunks: argument 1 is a BLOB" in str(error) and "CAST" in str(error)


def test_a_text_that_is_not_utf8_is_an_error(db):
    assert "UTF-8" in str(failure(db, "SELECT * FROM bge_chunks(CAST(x'ff' AS TEXT), 16, 0, ?)", TINY))


def test_a_text_above_the_limit_is_too_big(db):
    assert isinstance(failure(db, "SELECT * FROM bge_chunks(printf('%*s', 32 * 1024 * 1024 + 1, 'a'), 16, 0, ?)", TINY),
                      apsw.TooBigError)


@pytest.mark.parametrize("max_tokens", [-1, 0, 1, 2, 513, 2**31 + 16, 2**32 + 16, 2**63 - 1, -2**63])
def test_max_tokens_out_of_range_is_an_error(db, max_tokens):
    """Two tokens are the specials; 64-bit numbers must not wrap round."""
    message = str(failure(db, "SELECT * FROM bge_chunks('a', ?, 0, ?)", max_tokens, TINY))
    assert message.startswith("bge_chunks: ") and str(max_tokens) in message


@pytest.mark.parametrize("overlap", [-1, 14, 15, 16, 512, 2**32, 2**63 - 1, -2**63])
def test_an_overlap_that_leaves_nothing_new_is_an_error(db, overlap):
    message = str(failure(db, "SELECT * FROM bge_chunks('a', 16, ?, ?)", overlap, TINY))
    assert message.startswith("bge_chunks: ") and str(overlap) in message


@pytest.mark.parametrize("wrong, name", [("16", "text"), ("many", "text"), (16.0, "real"), (1.5, "real"), (b"16", "BLOB")])
@pytest.mark.parametrize("position", [2, 3])
def test_numbers_of_a_wrong_type_are_an_error(db, wrong, name, position):
    arguments = [16, 0]
    arguments[position - 2] = wrong
    error = failure(db, "SELECT * FROM bge_chunks('a', ?, ?, ?)", *arguments, TINY)
    assert isinstance(error, apsw.MismatchError)
    assert f"bge_chunks: argument {position} is " in str(error) and name in str(error)


@pytest.mark.parametrize("model", ["no-such-model", "../tiny-bert", "", 5, b"tiny-bert"])
def test_a_bad_model_argument_is_an_error(db, model):
    assert "bge_chunks: " in str(failure(db, "SELECT * FROM bge_chunks('a', 16, 0, ?)", model))


def test_missing_and_surplus_arguments_are_errors(db):
    for call in ("bge_chunks", "bge_chunks()"):
        assert "bge_chunks(text" in str(failure(db, f"SELECT * FROM {call}"))
    assert "bge_chunks" in str(failure(db, "SELECT * FROM bge_chunks('a', 16, 0, ?, 5)", TINY))


def test_an_error_in_every_host(any_host):
    with pytest.raises(HostError, match="bge_chunks: max_tokens is 2"):
        any_host.rows(f"SELECT * FROM bge_chunks('a', 2, 0, '{TINY}')")


# --- in larger statements ------------------------------------------------------------------------


def test_a_lateral_join_over_a_table(db):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
    db.executemany("INSERT INTO docs VALUES (?, ?)", [(1, PROSE), (2, None), (3, ""), (4, TEXTS["cjk"]), (5, 42)])
    found = list(db.execute("SELECT id, c.* FROM docs, bge_chunks(docs.body, 32, 4, ?) c ORDER BY id, idx", (TINY,)))
    for id, text in ((1, PROSE), (4, TEXTS["cjk"]), (3, "")):
        assert [row[1:] for row in found if row[0] == id] == chunks(db, text, 32, 4)
    assert [row[5] for row in found if row[0] in (2, 5)] == ["42"]
    left = db.execute("SELECT id, idx FROM docs LEFT JOIN bge_chunks(docs.body, 512, 0, ?) WHERE id < 4", (TINY,))
    assert list(left) == [(1, 0), (2, None), (3, 0)]


def test_passages_of_a_table_into_vectors(db):
    """Chunks and vectors of whole documents in one statement."""
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body); CREATE TABLE passages(doc, start, stop, v)")
    db.executemany("INSERT INTO docs(body) VALUES (?)", [(PROSE,), (TEXTS["cjk"],), (TEXTS["emoji"],)])
    inner = f"SELECT id || ':' || start || ':' || stop, chunk FROM docs, bge_chunks(body, 32, 0, '{TINY}')"
    db.execute("INSERT INTO passages SELECT key, text, NULL, embedding FROM bge_batch(?, ?)", (inner, TINY))
    assert value(db, "SELECT count(*) FROM passages WHERE length(v) = 128") == sum(
        len(chunks(db, text, 32)) for text in (PROSE, TEXTS["cjk"], TEXTS["emoji"]))


def test_a_limit_and_a_constraint(db):
    sql = "SELECT idx FROM bge_chunks(?, 16, 0, ?)"
    assert list(db.execute(f"{sql} LIMIT 2", (PROSE, TINY))) == [(0,), (1,)]
    assert list(db.execute(f"{sql} WHERE idx IN (3, 1) ORDER BY idx DESC", (PROSE, TINY))) == [(3,), (1,)]


def test_one_statement_with_other_arguments(db):
    for text in (PROSE, "short", "", TEXTS["cjk"]):
        for max_tokens, overlap in ((16, 0), (64, 8)):
            chunks(db, text, max_tokens, overlap)


def test_it_runs_no_inference(db):
    before = inferences(db)
    chunks(db, PROSE * 5, 16)
    assert inferences(db) == before


@pytest.mark.parametrize("text", ["reset the device. " * 30_000, "天气很好" * 60_000, "x" * 500_000, "a b " * 100_000, "\n\n" * 250_000,
                                  "e\u0301" * 100_000, "." * 300_000, "👩‍👩‍👧‍👦" * 20_000, "internationalisation" * 20_000],
                         ids=lambda text: text[:8].strip().encode("ascii", "replace").decode())
def test_time_grows_with_the_text_and_no_faster(db, text):
    times = []
    for part in (text[:len(text) // 8], text):
        start = time.monotonic()
        value(db, "SELECT count(*) FROM bge_chunks(?, 64, 8, ?)", part, TINY)
        times.append(time.monotonic() - start)
    assert times[1] < 24 * times[0] + 0.5, times


def test_an_argument_that_was_not_given_is_null_when_it_is_read(db):
    """Tools read all columns, hidden ones too, and group by them."""
    sql = "SELECT max_tokens, overlap, model, count(*) FROM bge_chunks{} GROUP BY max_tokens, overlap, model"
    load(db, SMALL, TINY)
    try:
        assert db.execute(sql.format("('one')")).fetchall() == [(None, None, None, 1)]
        assert db.execute(sql.format("('one', 8)")).fetchall() == [(8, None, None, 1)]
        assert db.execute("SELECT json_array IS NOT NULL, model FROM bge_embed_each('[1]')").fetchall() == [(1, None)]
        assert db.execute("SELECT select_sql, model, p1, p8 FROM bge_batch('SELECT ?1, 2', NULL, 3)").fetchall() == [
            ("SELECT ?1, 2", None, 3, None)]
    finally:
        unload(db, SMALL)
