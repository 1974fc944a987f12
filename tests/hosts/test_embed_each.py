"""bge_embed_each: a JSON array of strings as rows idx, text, embedding; full batches; what is no array of strings."""

import json
import time

import apsw
import pytest
from support import (SMALL, TINY, HostError, distance, embed, failure, floats, fresh_text, inferences, load,
                     stopped_after, texts, tiny_golden, unload, value)

OTHER = "tiny-bert-no-types"


def each(db, array, *model, columns="idx, text, embedding"):
    array = array if isinstance(array, str) else json.dumps(array)
    marks = ", ".join("?" * (1 + len(model or (TINY,))))
    return list(db.execute(f"SELECT {columns} FROM bge_embed_each({marks})", (array, *(model or (TINY,)))))


# --- what it gives -------------------------------------------------------------------------------


def test_a_row_for_each_element_in_the_arrays_order(db):
    wanted = texts(700, seed=1)
    found = each(db, wanted)
    assert [(idx, text) for idx, text, _ in found] == list(enumerate(wanted))


def test_the_vectors_are_those_of_single_calls(db):
    for idx, text, vector in each(db, texts(300, seed=2)):
        assert distance(vector, floats(embed(db, text))) < 1e-6, idx


def test_the_goldens(db):
    rows = [row for row in tiny_golden() if not row["query"]]
    found = each(db, [row["text"] for row in rows])
    for row, (_, text, vector) in zip(rows, found, strict=True):
        assert text == row["text"]
        assert distance(vector, row["cls"]) < 1e-5, row["note"]


def test_a_null_element_gives_a_null_embedding(db):
    found = each(db, [None, "a", None, None, "b", None])
    assert [(idx, text) for idx, text, _ in found] == list(enumerate([None, "a", None, None, "b", None]))
    assert [vector for _, _, vector in found] == [None, embed(db, "a"), None, None, embed(db, "b"), None]


@pytest.mark.parametrize("number", ["42", "-7", "0", "1.5", "-0.25", "9223372036854775807"])
def test_a_number_counts_as_its_text(db, number):
    [(_, text, vector)] = each(db, f"[{number}]")
    assert text == number
    assert distance(vector, floats(embed(db, number))) < 1e-6
    assert each(db, f"[{number}]", columns="typeof(text)") == [("text",)]


@pytest.mark.parametrize("text", ["", " ", "a\0b", "👩‍👩‍👧‍👦 family", "中文", "e\u0301", 'say "hi"', "back\\slash", "\n",
                                  "a" * 5000])
def test_any_text_is_an_element(db, text):
    for ascii_only in (True, False):
        [(_, found, vector)] = each(db, json.dumps([text], ensure_ascii=ascii_only))
        assert found == text
        assert distance(vector, floats(embed(db, text))) < 1e-6


def test_equal_elements_have_equal_vectors(db):
    found = each(db, ["a", "word " * 300, "a", "b", "a"])
    assert found[0][2] == found[2][2] == found[4][2] != found[3][2]


@pytest.mark.parametrize("array", ["[]", " [ ] ", "\n[\t]\n"])
def test_an_empty_array_has_no_rows(db, array):
    assert each(db, array) == []


def test_a_null_array_has_no_rows(db):
    assert list(db.execute("SELECT * FROM bge_embed_each(NULL)")) == []
    assert list(db.execute("SELECT * FROM bge_embed_each(NULL, ?)", (TINY,))) == []


def test_its_columns_are_idx_text_embedding(db):
    [row] = db.execute(f"SELECT * FROM bge_embed_each('[\"a\"]', '{TINY}')")
    assert row == (0, "a", embed(db, "a"))


def test_it_works_in_every_host(any_host):
    found = any_host.rows(
        f"SELECT idx, text, hex(embedding) FROM bge_embed_each('[\"reset\", null, 42, \"password\"]', '{TINY}')")
    assert [row[:2] for row in found] == [[0, "reset"], [1, None], [2, "42"], [3, "password"]]
    assert found[1][2] in ("", None) and len(found[0][2]) == 256
    [[single]] = any_host.rows(f"SELECT hex(bge_embed('password', '{TINY}'))")
    assert distance(bytes.fromhex(found[3][2]), floats(bytes.fromhex(single))) < 1e-6


# --- the model argument --------------------------------------------------------------------------


def test_the_model_argument_chooses_the_model(db):
    [(_, _, one)], [(_, _, other)] = each(db, ["reset"], TINY), each(db, ["reset"], OTHER)
    assert distance(one, floats(embed(db, "reset", TINY))) < 1e-6
    assert distance(other, floats(embed(db, "reset", OTHER))) < 1e-6
    assert distance(one, floats(other)) > 1e-2


def test_no_model_and_a_null_model_are_the_default_model(db, monkeypatch):
    for sql in ("bge_embed_each('[\"reset\"]')", "bge_embed_each('[\"reset\"]', NULL)"):
        assert distance(value(db, f"SELECT embedding FROM {sql}"), floats(value(db, "SELECT bge_embed('reset')"))) < 1e-6
        assert value(db, f"SELECT bge_dims(embedding) FROM {sql}") == 384
    monkeypatch.setenv("BGE_MODEL", OTHER)
    [(vector,)] = each(db, ["reset"], None, columns="embedding")
    assert distance(vector, floats(embed(db, "reset", OTHER))) < 1e-6


@pytest.mark.parametrize("model", ["no-such-model", "../tiny-bert", "", 5, 1.5, b"tiny-bert"])
def test_a_bad_model_argument_is_an_error(db, model):
    assert "bge_embed_each: " in str(failure(db, "SELECT * FROM bge_embed_each('[\"a\"]', ?)", model))


# --- what is no array of strings -----------------------------------------------------------------


@pytest.mark.parametrize("element, what", [('{"a": 1}', "object"), ("{}", "object"), ('["a"]', "array"), ("[]", "array"),
                                           ("true", "boolean"), ("false", "boolean")])
@pytest.mark.parametrize("index", [0, 1, 700])
def test_a_wrong_element_is_an_error_with_its_index(db, element, what, index):
    array = ", ".join(['"word"'] * index + [element] + ['"word"'] * 3)
    message = str(failure(db, "SELECT * FROM bge_embed_each(?, ?)", f"[{array}]", TINY))
    assert message.startswith("bge_embed_each: ") and what in message
    assert f" {index} " in message, message
    assert len(each(db, ["a"])) == 1


@pytest.mark.parametrize("array", ["", " ", "[", "]", "[1,]", "[,1]", "['a']", '["a"', '["a]', '["a" "b"]', '["a"] x', "[a]",
                                   '["a"]["b"]', "[01]", '["\\x"]', '["\t"', "nonsense", "[nan]", '{"a": ', "\ufeff[x]"])
def test_malformed_json_is_an_error(db, array):
    error = failure(db, "SELECT * FROM bge_embed_each(?, ?)", array, TINY)
    assert str(error).startswith("bge_embed_each: argument 1") and "JSON" in str(error)
    assert len(each(db, ["a"])) == 1


@pytest.mark.parametrize("array", ['{"a": "b"}', '"a"', "5", "true", "null"])
def test_json_that_is_no_array_is_an_error(db, array):
    message = str(failure(db, "SELECT * FROM bge_embed_each(?, ?)", array, TINY))
    assert message.startswith("bge_embed_each: argument 1") and "array" in message


def test_a_number_as_the_array_is_an_error(db):
    for number in (5, 1.5):
        assert "bge_embed_each: argument 1" in str(failure(db, "SELECT * FROM bge_embed_each(?, ?)", number, TINY))


def test_a_blob_as_the_array_is_an_error_that_tells_the_way_out(db):
    error = failure(db, "SELECT * FROM bge_embed_each(?, ?)", b'["a"]', TINY)
    assert isinstance(error, apsw.MismatchError)
    assert "bge_embed_each: argument 1 is a BLOB" in str(error) and "CAST" in str(error)


def test_an_array_that_is_not_utf8_is_an_error(db):
    assert "UTF-8" in str(failure(db, "SELECT * FROM bge_embed_each(CAST(x'5b22ff225d' AS TEXT), ?)", TINY))


def test_deeply_nested_json_is_an_error_and_no_crash(db):
    assert "bge_embed_each: " in str(failure(db, "SELECT * FROM bge_embed_each(?, ?)", "[" * 1_000_000, TINY))
    assert "bge_embed_each: " in str(failure(db, "SELECT * FROM bge_embed_each(?, ?)", '["a", ' + "[" * 100_000, TINY))


def test_an_element_above_the_limit_is_too_big(db):
    error = failure(db, "SELECT * FROM bge_embed_each(?, ?)", json.dumps(["a" * (32 * 2**20 + 1)]), TINY)
    assert isinstance(error, apsw.TooBigError)


def test_without_arguments_it_is_an_error_that_says_how_to_call_it(db):
    assert "bge_embed_each(json_array" in str(failure(db, "SELECT * FROM bge_embed_each"))
    assert "bge_embed_each(json_array" in str(failure(db, "SELECT * FROM bge_embed_each()"))


def test_a_surplus_argument_is_an_error(db):
    assert "bge_embed_each" in str(failure(db, "SELECT * FROM bge_embed_each('[]', ?, 3)", TINY))


def test_an_error_is_an_error_in_every_host(any_host):
    with pytest.raises(HostError) as error:
        any_host.rows(f"SELECT idx FROM bge_embed_each('[\"a\", true]', '{TINY}')")
    assert "bge_embed_each: element 1 is a boolean" in str(error.value)


def test_a_text_that_would_be_cut_is_named_by_its_index(db):
    load(db, "strict-each", max_length=16, overflow="error")
    assert len(each(db, ["a " * 14, "b"], "strict-each")) == 2
    message = str(failure(db, "SELECT * FROM bge_embed_each(?, ?)", json.dumps(["b"] * 9 + ["a " * 15]), "strict-each"))
    assert all(part in message for part in ("bge_embed_each: ", "element 9", "17", "16")), message
    unload(db, "strict-each")


# --- size and speed ------------------------------------------------------------------------------


def test_texts_run_together_in_full_batches(db):
    """1,000 texts of some 6 tokens: at 512 tokens a batch about 12 runs."""
    before = inferences(db)
    each(db, [fresh_text("reset") for _ in range(1000)])
    assert inferences(db) - before < 60


def test_100_000_elements(db):
    start = time.monotonic()
    count, good, last = value(db, "SELECT json_array(count(*), sum(length(embedding) = 128), max(idx)) "
                              "FROM bge_embed_each(?, ?)", json.dumps([f"t {i}" for i in range(100_000)]), TINY
                              ).strip("[]").split(",")
    assert (count, good, last) == ("100000", "100000", "99999")
    assert time.monotonic() - start < 60


def test_a_million_elements(db):
    """Most are null: it is the array that is large here."""
    array = "[" + "null," * 999_999 + '"the last"]'
    with stopped_after(db, 60):
        found = list(db.execute("SELECT count(*), count(embedding), max(idx) FROM bge_embed_each(?, ?)", (array, TINY)))
    assert found == [(1_000_000, 1, 999_999)]


def test_a_limit_stops_early(db):
    array, before = json.dumps([fresh_text() for _ in range(50_000)]), inferences(db)
    found = list(db.execute("SELECT idx FROM bge_embed_each(?, ?) LIMIT 3", (array, TINY)))
    assert found == [(0,), (1,), (2,)]
    assert inferences(db) - before < 20  # all of it takes some 800


# --- in larger statements ------------------------------------------------------------------------


@pytest.fixture
def tags(db):
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, tags)")
    db.executemany("INSERT INTO docs VALUES (?, ?)", [
        (1, '["reset", "button"]'), (2, None), (3, "[]"), (4, '["page", null, 7]'), (5, '["reset"]')])
    return db


def test_a_lateral_join(tags):
    found = list(tags.execute("SELECT id, idx, text, embedding FROM docs, bge_embed_each(docs.tags, ?) ORDER BY id, idx", (TINY,)))
    assert [row[:3] for row in found] == [(1, 0, "reset"), (1, 1, "button"), (4, 0, "page"), (4, 1, None), (4, 2, "7"),
                                          (5, 0, "reset")]
    for _, _, text, vector in found:
        assert vector is text or distance(vector, floats(embed(tags, text))) < 1e-6


def test_a_left_join_keeps_rows_without_elements(tags):
    found = list(tags.execute("SELECT id, text FROM docs LEFT JOIN bge_embed_each(docs.tags, ?) WHERE id IN (1, 2, 3)", (TINY,)))
    assert found == [(1, "reset"), (1, "button"), (2, None), (3, None)]


def test_in_a_subquery_and_an_insert(tags):
    tags.execute("CREATE TABLE vectors(id, idx, v)")
    tags.execute("INSERT INTO vectors SELECT id, idx, embedding FROM docs, bge_embed_each(docs.tags, ?)", (TINY,))
    assert value(tags, "SELECT count(*) FROM vectors") == 6
    assert value(tags, "SELECT (SELECT count(*) FROM bge_embed_each(d.tags, ?)) FROM docs d WHERE id = 4", TINY) == 3


def test_one_statement_with_other_arguments(db):
    """A plan is made once; the host's statement cache runs it again."""
    for array in (["a"], ["a", "b"], [], [None], ["c"] * 5):
        for model in (TINY, OTHER):
            assert [row[1] for row in each(db, array, model)] == array


def test_a_constraint_on_its_columns(db):
    sql = "SELECT text FROM bge_embed_each(?, ?) WHERE"
    array = json.dumps(["a", "b", None, "c"])
    assert list(db.execute(f"{sql} idx = 1", (array, TINY))) == [("b",)]
    assert list(db.execute(f"{sql} text > 'a' ORDER BY idx DESC", (array, TINY))) == [("c",), ("b",)]
    assert list(db.execute(f"{sql} embedding IS NULL", (array, TINY))) == [(None,)]


def test_it_may_be_used_in_a_view(db):
    db.execute(f"CREATE VIEW v AS SELECT text FROM bge_embed_each('[\"a\"]', '{TINY}')")
    assert value(db, "SELECT text FROM v") == "a"
    db.execute("PRAGMA trusted_schema = OFF")
    assert 'unsafe use of virtual table "bge_embed_each"' in str(failure(db, "SELECT text FROM v"))


def test_the_real_model(db):
    found = each(db, ["How do I reset my router?", "You can download the bill."], SMALL)
    for _, text, vector in found:
        assert distance(vector, floats(embed(db, text, SMALL))) < 1e-6
