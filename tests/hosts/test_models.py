"""bge_load: sources and names, what each option does, what is refused, who may call it.

Models that are replaced or unloaded while they are used, bge_models and the environment: test_models_in_use.py.
"""

import json
import shutil

import pytest
from support import (FIXTURES, SMALL, TINY, HostError, distance, embed, failure, floats, inferences, load, loaded, run_python,
                     texts, tiny_golden, unload, value)

OTHER = "tiny-bert-no-types"
TEXT = "how do i reset my password"


def both(db, text=TEXT):
    """The vectors of the two tiny models."""
    return [floats(embed(db, text, model)) for model in (TINY, OTHER)]


def refusal(db, *arguments):
    message = str(failure(db, f"SELECT bge_load({', '.join('?' * len(arguments))})", *arguments))
    assert message.startswith("bge_load: "), message
    return message


# --- sources -------------------------------------------------------------------------------------


@pytest.mark.parametrize("source, which", [
    (f"{FIXTURES}/{TINY}", 0), (f"{FIXTURES}/{TINY}/", 0), (f"{FIXTURES}/{TINY}/onnx/model.onnx", 0),
    (f"{FIXTURES}/{OTHER}", 1), (f"{FIXTURES}/{OTHER}/model.onnx", 1), (TINY, 0), (OTHER, 1)])
def test_a_folder_a_file_in_one_and_a_name_are_sources(db, name, source, which):
    assert load(db, name, source) == name
    assert distance(embed(db, TEXT, name), both(db)[which]) < 1e-6
    assert loaded(db)[name]["folder"].rstrip("/") == f"{FIXTURES}/{(TINY, OTHER)[which]}"


def test_a_file_of_another_name_in_either_place(db, name, tmp_path):
    for number, place in enumerate(("model_quantized.onnx", "onnx/other.onnx")):
        folder = shutil.copytree(FIXTURES / TINY, tmp_path / f"copy {number}")
        (folder / "onnx" / "model.onnx").rename(folder / place)
        load(db, name, folder / place)
        assert distance(embed(db, TEXT, name), both(db)[0]) < 1e-6


def test_a_catalogue_name_brings_its_query_instruction(db, name):
    load(db, name, SMALL)
    assert distance(embed(db, TEXT, name), floats(embed(db, TEXT, SMALL))) < 1e-6
    assert distance(value(db, "SELECT bge_embed_query(?, ?)", TEXT, name),
                    floats(value(db, "SELECT bge_embed_query(?)", TEXT))) < 1e-6
    assert loaded(db)[name]["query_instruction"].startswith("Represent this sentence")


@pytest.mark.parametrize("source", ["no-such-model", "/no/such/folder", "/", "", "..", f"{FIXTURES}/{TINY}/config.json",
                                    f"{FIXTURES}/{TINY}/onnx/gone.onnx", f"{FIXTURES}/{TINY}/onnx", str(FIXTURES),
                                    f"{FIXTURES}/broken/rank2.onnx", "tiny-bert\0"])
def test_a_source_that_is_no_model_is_an_error_that_names_it(db, name, source):
    message = refusal(db, name, source)
    assert source.rstrip("\0") in message or str(FIXTURES / "broken") in message
    assert name not in loaded(db)


@pytest.mark.parametrize("bad", ["a/b", "/a", "../a", "..", ".a", "", "a..b", "a b", "a\\b", "a\0b", "ä", "a\n", "%s%n"])
def test_a_name_that_is_none_is_refused(db, bad):
    message = refusal(db, bad, f"{FIXTURES}/{TINY}")
    assert "model name" in message
    assert bad not in loaded(db)


@pytest.mark.parametrize("good", ["a", "A-b_c.9", "9", "_", "-x", "x" * 60])
def test_names_that_are_allowed(db, good):
    assert load(db, good) == good
    assert len(embed(db, TEXT, good)) == 128
    assert unload(db, good) == 1


def test_wrong_types_and_counts_are_errors(db):
    folder = f"{FIXTURES}/{TINY}"
    for position, arguments in [(1, (None, folder)), (1, (5, folder)), (1, (b"a", folder)), (2, ("a", None)), (2, ("a", 5)),
                                (2, ("a", b"x")), (3, ("a", folder, 5)), (3, ("a", folder, b"{}"))]:
        assert f"argument {position}" in refusal(db, *arguments)
    for count in (0, 1, 4):
        assert "wrong number of arguments" in str(failure(db, f"SELECT bge_load({', '.join(['?'] * count)})", *["a"] * count))
    for argument in (None, 5, b"a"):
        assert "bge_unload: argument 1" in str(failure(db, "SELECT bge_unload(?)", argument))
    assert "a" not in loaded(db)


# --- options -------------------------------------------------------------------------------------


def test_no_options_are_the_defaults(db, name):
    load(db, name)
    plain = {key: said for key, said in loaded(db)[name].items() if key not in ("inferences", "cache", "name")}
    value(db, "SELECT bge_load(?, ?, '{}')", name, TINY)
    assert plain == {key: said for key, said in loaded(db)[name].items() if key not in ("inferences", "cache", "name")}
    assert (plain["pooling"], plain["max_length"], plain["overflow"]) == ("cls", 512, "truncate")
    assert (plain["device"]["asked"], plain["device"]["got"]) == ("auto", "cpu")


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling(db, name, pooling):
    load(db, name, pooling=pooling)
    assert loaded(db)[name]["pooling"] == pooling
    for row in tiny_golden():
        if not row["query"]:
            assert distance(embed(db, row["text"], name), row[pooling]) < 1e-5, row["note"]


def test_max_length_cuts_sooner(db, name):
    load(db, name, max_length=16)
    text = "a b c d e f g h i j k l m n o p q r s t"
    ids = json.loads(value(db, "SELECT bge_tokenize(?, ?)", text, name))
    assert len(ids) == 16 and ids[:15] == json.loads(value(db, "SELECT bge_tokenize(?, ?)", text, TINY))[:15]
    assert value(db, "SELECT bge_tokens(?, ?)", text, name) == 22
    assert distance(embed(db, text, name), floats(embed(db, text[:27], TINY))) < 1e-6
    assert distance(embed(db, text, name), floats(embed(db, text, TINY))) > 1e-6
    [(vector,)] = db.execute("SELECT embedding FROM bge_batch('SELECT 1, ?1', ?, ?)", (name, text))
    assert distance(vector, floats(embed(db, text, name))) < 1e-6


def test_query_instruction(db, name):
    load(db, name, query_instruction="Find: ")
    assert distance(value(db, "SELECT bge_embed_query(?, ?)", TEXT, name), floats(embed(db, f"Find: {TEXT}"))) < 1e-6
    assert distance(embed(db, TEXT, name), floats(embed(db, TEXT))) < 1e-6
    load(db, name, SMALL, query_instruction="")
    assert distance(value(db, "SELECT bge_embed_query(?, ?)", TEXT, name), floats(embed(db, TEXT, SMALL))) < 1e-6


def test_overflow_error_refuses_what_would_be_cut_with_both_counts(db, name):
    load(db, name, overflow="error")
    full = "a " * 510
    assert embed(db, full, name) == embed(db, full)
    for sql in ("SELECT bge_embed(?, ?)", "SELECT bge_embed_query(?, ?)", "SELECT * FROM bge_batch('SELECT 1, ?2', ?1)",
                "SELECT * FROM bge_embed_each(json_array(?), ?)"):
        if "bge_batch" in sql:
            message = str(failure(db, "SELECT * FROM bge_batch('SELECT 1, ?1', ?, ?)", name, full + "a"))
        else:
            message = str(failure(db, sql, full + "a", name))
        assert "513" in message and "512" in message, message
    assert value(db, "SELECT bge_tokens(?, ?)", full + "a", name) == 513
    assert len(embed(db, "still here", name)) == 128


def test_overflow_error_counts_with_max_length_and_instruction(db, name):
    load(db, name, overflow="error", max_length=16, query_instruction="a a a ")
    assert len(embed(db, "a " * 14, name)) == len(value(db, "SELECT bge_embed_query(?, ?)", "a " * 11, name)) == 128
    for sql, words in (("SELECT bge_embed(?, ?)", 15), ("SELECT bge_embed_query(?, ?)", 12)):
        message = str(failure(db, sql, "a " * words, name))
        assert "17" in message and "16" in message


def test_cache_mb_0_keeps_no_vector(db, name):
    load(db, name, cache_mb=0)
    for _ in range(3):
        embed(db, TEXT, name)
    found = loaded(db)[name]
    assert found["inferences"] == 3
    assert (found["cache"]["hits"], found["cache"]["entries"], found["cache"]["bytes"]) == (0, 0, 0)
    load(db, name, cache_mb=1)
    for _ in range(3):
        embed(db, TEXT, name)
    found = loaded(db)[name]
    assert (found["inferences"], found["cache"]["hits"], found["cache"]["capacity_bytes"]) == (1, 2, 2**20)


def test_batch_tokens_says_how_much_runs_at_once(db, name):
    runs = []
    for batch_tokens in (16, 256, 2**20):
        load(db, name, batch_tokens=batch_tokens)
        assert loaded(db)[name]["batch_tokens"] == batch_tokens
        vectors = [v for v, in db.execute("SELECT embedding FROM bge_embed_each(?, ?)", (json.dumps(texts(60, longest=6)), name))]
        runs.append(inferences(db, name))
    assert 60 >= runs[0] > 3 * runs[1] and runs[1] > runs[2] and runs[2] <= 3, runs
    for text, vector in zip(texts(60, longest=6), vectors, strict=True):
        assert distance(vector, floats(embed(db, text))) < 1e-6
    assert distance(embed(db, "a " * 600, name), floats(embed(db, "a " * 600))) < 1e-6


def test_threads_are_the_runtimes_own_threads():
    """Counted in the process: one of them is the caller's."""
    run_python("""
import os
count = lambda: len(os.listdir("/proc/self/task"))
db = connect()
load(db, "one", threads=1)
first = embed(db, "reset", "one")
alone = count()
load(db, "four", threads=4)
assert distance(embed(db, "reset", "four"), floats(first)) < 1e-6
assert loaded(db)["one"]["threads"] == 1 and loaded(db)["four"]["threads"] == 4
assert count() == alone + 3, (alone, count())
assert unload(db, "four") == 1
assert count() == alone, (alone, count())
load(db, "many", threads=64)
assert distance(embed(db, "reset", "many"), floats(first)) < 1e-6
""")


KNOWN = ("device", "threads", "pooling", "max_length", "query_instruction", "overflow", "cache_mb", "batch_tokens")


@pytest.mark.parametrize("options", [
    '{"thread": 1}', '{"Threads": 1}', '{"": 1}', '{"threads": 0}', '{"threads": 10000}', '{"threads": 1025}', '{"threads": -1}',
    '{"threads": "2"}', '{"threads": 1.5}', '{"threads": null}', '{"threads": true}', '{"threads": 4294967297}',
    '{"threads": 1e400}', '{"threads": [1]}', '{"pooling": "max"}', '{"pooling": "CLS"}', '{"pooling": 1}', '{"max_length": 7}',
    '{"max_length": 0}', '{"max_length": "x"}', '{"overflow": "ignore"}', '{"overflow": true}', '{"query_instruction": 5}',
    '{"query_instruction": null}', '{"cache_mb": -1}', '{"cache_mb": 65537}', '{"cache_mb": "64"}', '{"batch_tokens": 15}',
    '{"batch_tokens": 1048577}', '{"device": "gpu"}', '{"device": ""}', '{"device": 0}', "", "{", "[]", "null", "5", '"x"',
    '{"threads": 1} x', "{'threads': 1}", "{threads: 1}", '{"threads": 1,}', "[" * 100_000])
def test_options_that_are_wrong_are_an_error_that_lists_what_is_known(db, name, options):
    message = refusal(db, name, TINY, options)
    assert all(key in message for key in KNOWN), message
    assert name not in loaded(db)


def test_max_length_above_the_models_limit_is_an_error_with_both(db, name):
    message = refusal(db, name, TINY, '{"max_length": 513}')
    assert "513" in message and "512" in message


def test_the_wrong_option_is_named(db, name):
    assert "'thread'" in refusal(db, name, TINY, '{"thread": 1}')
    assert "threads" in refusal(db, name, TINY, '{"cache_mb": 1, "threads": 10000}').split("known")[0]


def test_options_hold_for_one_name_only(db, name):
    load(db, name, max_length=8, pooling="mean", query_instruction="x ")
    assert (loaded(db)[name]["max_length"], loaded(db)[TINY]["max_length"] if embed(db, "a") else 0) == (8, 512)
    load(db, name)
    assert (loaded(db)[name]["max_length"], loaded(db)[name]["pooling"], loaded(db)[name]["query_instruction"]) == (512, "cls", "")


def test_the_edges_of_the_ranges_are_allowed(db, name):
    for options in ({"threads": 1}, {"max_length": 8}, {"max_length": 512}, {"cache_mb": 65536}, {"batch_tokens": 16},
                    {"batch_tokens": 1048576}):
        load(db, name, **options)
        assert len(embed(db, TEXT, name)) == 128


# --- who may call them ---------------------------------------------------------------------------


@pytest.mark.parametrize("call", [f"bge_load('from-schema', '{TINY}')", "bge_unload('from-schema')"])
def test_views_and_triggers_may_not_load_or_unload(db, call):
    db.execute(f"PRAGMA trusted_schema = ON; CREATE VIEW v AS SELECT {call} AS x; CREATE TABLE t(x)")
    db.execute(f"CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT {call}; END")
    for sql in ("SELECT x FROM v", "INSERT INTO t VALUES (1)"):
        assert f"unsafe use of {call.split('(')[0]}()" in str(failure(db, sql))
    assert "from-schema" not in loaded(db)


def test_load_in_every_host(any_host):
    rows = any_host.rows(f"CREATE TABLE done AS SELECT bge_load('in-host', '{FIXTURES / OTHER}', '{{\"max_length\": 64}}') AS x",
                         "SELECT done.x, max_length, pooling, length(bge_embed('a', 'in-host')) FROM done, bge_models WHERE name = done.x")
    assert rows == [["in-host", 64, "mean", 128]]
    with pytest.raises(HostError, match="bge_load: .*threads"):
        any_host.rows(f"SELECT bge_load('in-host', '{FIXTURES / OTHER}', '{{\"threads\": 0}}')")
