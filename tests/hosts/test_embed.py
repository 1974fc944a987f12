"""Tokens and vectors of the tiny models against FlagEmbedding's own, and texts of every kind."""

import json

import apsw
import pytest
from support import (TINY, HostError, distance, embed, failure, floats, fresh_text, inferences, loaded,
                     tiny_golden, value)

# model -> its golden vectors, which column of them, tolerance (tests/fixtures/README.md)
MODELS = {
    "tiny-bert": ("tiny-bert", "cls", 1e-5),
    "tiny-bert-no-types": ("tiny-bert-no-types", "mean", 1e-5),
    "tiny-bert-fp16": ("tiny-bert", "cls", 2e-3),
}
CLS, SEP = 2, 3
INSTRUCTION = "Represent this sentence for searching relevant passages: "  # in front of golden queries


def tokenize(db, text, model=TINY):
    return json.loads(value(db, "SELECT bge_tokenize(?, ?)", text, model))


def tokens(db, text, model=TINY):
    return value(db, "SELECT bge_tokens(?, ?)", text, model)


# --- goldens -------------------------------------------------------------------------------------


def test_the_goldens_are_there():
    assert [len(tiny_golden(model)) for model in ("tiny-bert", "tiny-bert-no-types")] == [45, 45]


@pytest.mark.parametrize("row", tiny_golden(), ids=lambda row: str(row["id"]))
def test_token_ids_and_counts(db, row):
    text = INSTRUCTION + row["text"] if row["query"] else row["text"]
    for model in MODELS:
        assert tokenize(db, text, model) == row["token_ids"]
        assert tokens(db, text, model) == row["tokens"]


@pytest.mark.parametrize("model", MODELS)
def test_vectors_are_those_of_flagembedding(db, model):
    source, pooling, tolerance = MODELS[model]
    for row in tiny_golden(source):
        text = INSTRUCTION + row["text"] if row["query"] else row["text"]
        assert distance(embed(db, text, model), row[pooling]) < tolerance, row["note"]


def test_the_goldens_in_every_host(any_host):
    rows = [row for row in tiny_golden() if not row["query"]]
    texts = ", ".join(f"(CAST(x'{row['text'].encode().hex()}' AS TEXT))" for row in rows)
    found = any_host.rows(f"SELECT hex(bge_embed(column1, '{TINY}')), bge_tokens(column1, '{TINY}'), "
                          f"bge_tokenize(column1, '{TINY}') FROM (VALUES {texts})")
    for row, (vector, count, ids) in zip(rows, found, strict=True):
        assert distance(bytes.fromhex(vector), row["cls"]) < 1e-5, row["note"]
        assert (count, json.loads(ids)) == (row["tokens"], row["token_ids"]), row["note"]


def test_pooling_comes_from_the_model_folder(db):
    for model, (_, pooling, _) in MODELS.items():
        embed(db, "a", model)
        assert loaded(db)[model]["pooling"] == pooling


def test_a_vector_is_a_blob_of_dims_floats_of_length_one(db):
    for model in MODELS:
        vector = embed(db, "how do i reset my password", model)
        assert isinstance(vector, bytes) and len(vector) == 32 * 4
        assert sum(x * x for x in floats(vector)) == pytest.approx(1, abs=1e-6)


def test_a_model_that_is_not_in_the_catalogue_has_no_query_instruction(db):
    for model in MODELS:
        for text in ("reset", "", "a question?"):
            assert value(db, "SELECT bge_embed_query(?, ?)", text, model) == embed(db, text, model)


def test_the_same_call_gives_the_same_bits(connect, db):
    text = fresh_text()
    other = connect()
    assert len({embed(connection, text) for connection in (db, other, db)}) == 1


# --- what counts as text -------------------------------------------------------------------------


@pytest.mark.parametrize("number, text", [
    (42, "42"), (1.5, "1.5"), (-7, "-7"), (0, "0"), (-0.25, "-0.25"), (1e100, "1.0e+100"), (2.0, "2.0"),
    (9223372036854775807, "9223372036854775807"),
])
def test_a_number_counts_as_its_text(db, number, text):
    assert embed(db, number) == embed(db, text)
    assert tokenize(db, number) == tokenize(db, text)
    assert tokens(db, number) == tokens(db, text)
    assert value(db, "SELECT bge_embed_query(?, ?)", number, TINY) == embed(db, text)


def test_a_number_from_a_column_keeps_its_type(db):
    db.execute("CREATE TABLE t(x)")
    db.executemany("INSERT INTO t VALUES (?)", [(42,), (1.5,), ("abc",), (None,)])
    found = list(db.execute(f"SELECT typeof(bge_embed(x, '{TINY}')), bge_tokens(x, '{TINY}'), typeof(x) FROM t"))
    assert [(kind, own) for kind, _, own in found] == [
        ("blob", "integer"), ("blob", "real"), ("blob", "text"), ("null", "null")]
    assert found[3][1] is None


@pytest.mark.parametrize("text", ["", " ", "\t\n\r ", "\0", "\u00ad", "\u200b"])
def test_blank_texts_are_cls_and_sep(db, text):
    assert tokenize(db, text) == [CLS, SEP]
    assert tokens(db, text) == 2
    assert embed(db, text) == embed(db, "")


def test_a_nul_byte_does_not_end_a_text(db):
    assert tokenize(db, "reset\0password") == tokenize(db, "resetpassword") != tokenize(db, "reset")
    assert embed(db, "reset \0password") == embed(db, "reset password") != embed(db, "reset")
    assert value(db, f"SELECT bge_tokens('a' || char(0) || ' b', '{TINY}')") == 4


@pytest.mark.parametrize("text", ["👍", "👩‍👩‍👧‍👦 family", "🇩🇪", "a👍b", "e\u0301", "ﷺ", "\u202eabc", "\uffff"])
def test_any_unicode_is_a_text(db, text):
    assert len(embed(db, text)) == 128
    assert tokens(db, text) == len(tokenize(db, text)) > 2


def test_case_and_accents_do_not_matter_to_an_uncased_model(db):
    assert embed(db, "RÉSET Password") == embed(db, "reset password")


def test_special_tokens_in_a_text_are_seen_and_attended_to(db):
    assert tokenize(db, "[MASK]") == [CLS, 4, SEP]
    assert tokenize(db, "a [PAD] b")[2] == 0
    assert distance(embed(db, "a [PAD] b"), floats(embed(db, "a b"))) > 1e-2


# --- long texts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [1, 509, 510, 511, 512, 1000])
def test_truncation_keeps_510_content_tokens(db, words):
    one = tokenize(db, "a")[1]
    assert tokens(db, "a " * words) == words + 2
    assert tokenize(db, "a " * words) == [CLS, *[one] * min(words, 510), SEP]


def test_what_is_cut_does_not_change_the_vector_and_what_is_kept_does(db):
    full = embed(db, "a " * 510)
    assert embed(db, "a " * 511) == full == embed(db, "a " * 512) == embed(db, "a " * 510 + "reset 👍")
    assert distance(embed(db, "a " * 509), floats(full)) > 1e-6
    assert distance(embed(db, "a " * 509 + "b"), floats(full)) > 1e-6


def test_a_text_may_be_cut_inside_a_word(db):
    assert len(tokenize(db, "embedding")) == 4
    assert tokenize(db, "a " * 509 + "embedding")[-2:] == [tokenize(db, "embedding")[1], SEP]


def test_5000_words(db):
    text = "embedding " * 5000
    first, second = tokenize(db, "embedding")[1:3]
    assert tokens(db, text) == 10_002
    assert tokenize(db, text) == [CLS, *[first, second] * 255, SEP]
    assert embed(db, text) == embed(db, "embedding " * 255)


def test_one_word_of_a_million_letters(db):
    assert tokens(db, "a" * 1_000_000) == 3
    assert tokenize(db, "a" * 1_000_000) == tokenize(db, "a" * 101) == [CLS, 1, SEP]


@pytest.mark.parametrize("separator", ["", ",", "\n", "。", "-"])
def test_long_texts_count_as_the_sum_of_their_parts(db, separator):
    """However a long text is read, its tokens are those of the whole."""
    part = f"I love résumés, [MASK] 中文{separator or '!'} e\u0301te\u0301 don't 10.5%;"
    inner = len(tokenize(db, part)) - 2
    for times in (20, 3000):
        assert tokens(db, part * times) == inner * times + 2
    ids = tokenize(db, part)[1:-1]
    assert tokenize(db, part * 3000) == [CLS, *(ids * 510)[:510], SEP]


# --- what the model argument is ------------------------------------------------------------------


def test_the_model_argument_may_change_from_row_to_row(db):
    names = ", ".join(f"('{model}')" for model in [*MODELS, *MODELS])
    found = [v for v, in db.execute(f"SELECT bge_embed('reset', column1) FROM (VALUES {names})")]
    assert found[:3] == found[3:] == [embed(db, "reset", model) for model in MODELS]
    assert len(set(found)) == 3


def test_a_bad_row_ends_the_statement_and_nothing_else(db):
    db.execute("CREATE TABLE t(x)")
    db.executemany("INSERT INTO t VALUES (?)", [("good",), (b"bad",), ("never reached",)])
    assert isinstance(failure(db, f"SELECT bge_embed(x, '{TINY}') FROM t"), apsw.MismatchError)
    assert value(db, f"SELECT count(bge_embed(x, '{TINY}')) FROM t WHERE typeof(x) = 'text'") == 2


def test_tokens_run_no_inference(db):
    embed(db, "a")
    before = inferences(db)
    tokens(db, fresh_text())
    tokenize(db, fresh_text())
    assert inferences(db) == before


def test_a_blob_is_an_error_in_every_host(any_host):
    with pytest.raises(HostError) as error:
        any_host.rows(f"SELECT bge_embed(x'00', '{TINY}')")
    assert "bge_embed: argument 1 is " in str(error.value) and "expected text" in str(error.value)
