"""bge_rerank and bge_rerank_each: a cross-encoder's scores of pairs of texts, as FlagEmbedding's FlagReranker has them.

The real rerankers are too large for here: these are tiny ones of both architectures, with random weights."""

import json
import shutil
import threading
import time

import apsw
import pytest
from rerankers import (BERT, CPU, MODELS, NATIVE, QUERY, RERANKERS, XLMR, each, goldens, rerank,
                       rerankers_are_found)  # noqa: F401
from support import FIXTURES, READONLY, TINY, HostError, connect, embed, failure, load, loaded, texts, unload, value

# --- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", RERANKERS)
def test_the_goldens_one_by_one(db, model):
    for row in goldens(model):
        assert rerank(db, row["query"], row["text"], model) == pytest.approx(row["score"], abs=5e-5), row["note"]


@pytest.mark.parametrize("model", RERANKERS)
def test_the_goldens_in_one_array(db, model):
    rows = [row for row in goldens(model) if row["query"] == goldens(model)[0]["query"]]
    assert len(rows) > 10
    found = each(db, rows[0]["query"], [row["text"] for row in rows], model)
    for (idx, text, score), row in zip(found, rows, strict=True):
        assert text == row["text"]
        assert score == pytest.approx(row["score"], abs=5e-5), (idx, row["note"])


@pytest.mark.parametrize("model", RERANKERS)
def test_ordered_by_score_the_best_comes_first(db, model):
    rows = [row for row in goldens(model) if row["query"] == goldens(model)[0]["query"]]
    db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, body)")
    db.executemany("INSERT INTO docs VALUES (?, ?)", [(row["id"], row["text"]) for row in rows])
    wanted = [row["id"] for row in sorted(rows, key=lambda row: -row["score"])]
    sql = "SELECT id FROM docs ORDER BY bge_rerank(?, body, ?) DESC"
    assert [row[0] for row in db.execute(sql, (rows[0]["query"], model))] == wanted


def test_a_score_is_a_real_and_the_side_matters(db):
    assert value(db, "SELECT typeof(bge_rerank('a', 'b', ?))", BERT) == "real"
    assert abs(rerank(db, "reset the device", "a page") - rerank(db, "a page", "reset the device")) > 1e-3


def test_a_number_counts_as_its_text(db):
    assert rerank(db, 42, 7) == rerank(db, "42", "7")
    assert [row[1:] for row in each(db, 42, "[7]")] == [("7", pytest.approx(rerank(db, "42", "7"), abs=1e-5))]


@pytest.mark.parametrize("query, text", [(None, "a"), ("a", None), (None, None)])
def test_null_in_null_out(db, query, text):
    assert rerank(db, query, text) is None
    # No model is needed for it.
    assert rerank(db, query, text, "bge-reranker-large") is None


@pytest.mark.parametrize("precision, encoder, most", [("fp16", "graph", 0.01), ("int8", "graph", 1.0),
                                                      ("int8", "auto", 0.5), ("bf16", "native", 0.5)])
def test_other_precisions(db, name, precision, encoder, most):
    if precision == "bf16" and "avx512_bf16" not in CPU:
        pytest.skip("this CPU has no bfloat16")
    load(db, name, MODELS / BERT, precision=precision, encoder=encoder)
    info = loaded(db)[name]
    assert info["precision"] == precision
    assert info["encoder"]["kind"] == ("native" if encoder != "graph" and NATIVE else "graph")
    for row in goldens(BERT):
        assert rerank(db, row["query"], row["text"], name) == pytest.approx(row["score"], abs=most), row["note"]


# --- arrays --------------------------------------------------------------------------------------


def test_a_row_for_each_element_in_the_arrays_order(db):
    wanted = texts(500, seed=5)
    found = each(db, QUERY, wanted)
    assert [(idx, text) for idx, text, _ in found] == list(enumerate(wanted))
    for idx in (0, 63, 64, 319, 320, 499):
        assert found[idx][2] == pytest.approx(rerank(db, QUERY, wanted[idx]), abs=5e-5)


def test_a_null_element_has_no_score(db):
    found = each(db, QUERY, [None, "a", None, "b", None])
    assert [(idx, text) for idx, text, _ in found] == list(enumerate([None, "a", None, "b", None]))
    assert [score is None for _, _, score in found] == [True, False, True, False, True]


def test_without_a_query_no_element_has_a_score(db):
    assert each(db, None, ["a", None]) == [(0, "a", None), (1, None, None)]
    assert each(db, None, ["a"], "bge-reranker-large") == [(0, "a", None)]


@pytest.mark.parametrize("array", ["[]", " [ ] ", None])
def test_an_array_without_elements_has_no_rows(db, array):
    for model in (BERT, None, "bge-reranker-large"):
        assert list(db.execute("SELECT * FROM bge_rerank_each(?, ?, ?)", (QUERY, array, model))) == []


def test_10_000_elements_run_in_full_batches(db):
    before = loaded(db).get(BERT, {}).get("inferences", 0)
    start = time.monotonic()
    found = value(db, "SELECT json_array(count(score), count(DISTINCT idx), max(idx)) FROM bge_rerank_each(?, ?, ?)",
                  QUERY, json.dumps([f"t {i}" for i in range(10_000)]), BERT)
    assert found == "[10000,10000,9999]"
    assert loaded(db)[BERT]["inferences"] - before < 1000
    assert time.monotonic() - start < 30


def test_a_limit_stops_early(db):
    rerank(db, "a", "b")
    before = loaded(db)[BERT]["inferences"]
    found = list(db.execute("SELECT idx FROM bge_rerank_each(?, ?, ?) LIMIT 3", (QUERY, json.dumps(texts(5000, 6)), BERT)))
    assert found == [(0,), (1,), (2,)]
    assert loaded(db)[BERT]["inferences"] - before < 70


def test_beside_a_search(db):
    """The use that it is made for: the nearest by vectors, then the best of them."""
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, model='{TINY}')")
    db.executemany("INSERT INTO t(body) VALUES (?)", [(text,) for text in texts(50, 8)])
    db.execute("SELECT bge_sync('t')").fetchall()
    sql = f"""WITH near AS MATERIALIZED (SELECT rowid AS id, body FROM t WHERE t MATCH ?1 AND k = 10)
              SELECT near.id, r.score FROM (SELECT json_group_array(body) AS a, json_group_array(id) AS ids FROM near),
              bge_rerank_each(?1, a, '{BERT}') AS r JOIN near ON near.id = json_extract(ids, '$[' || r.idx || ']')
              ORDER BY r.score DESC"""
    found = list(db.execute(sql, (QUERY,)))
    assert len(found) == 10 and found == sorted(found, key=lambda row: -row[1])
    assert {row[0] for row in found} == {row[0] for row in db.execute("SELECT rowid FROM t WHERE t MATCH ? AND k = 10", (QUERY,))}


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, wanted", [
    ((b"a", "b", BERT), "bge_rerank: argument 1 is a BLOB"),
    (("a", b"b", BERT), "bge_rerank: argument 2 is a BLOB"),
    (("a", "b", None), "bge_rerank: argument 3 is NULL, expected the name of a reranking model"),
    (("a", "b", 5), "bge_rerank: argument 3 is"),
    (("a", "b", "../tiny-reranker"), "bge_rerank: "),
    (("a", "b", "no-such-model"), "no model 'no-such-model' found"),
    ((None, b"b", BERT), "bge_rerank: argument 2 is a BLOB"),
])
def test_wrong_arguments_are_named(db, arguments, wanted):
    assert wanted in str(failure(db, "SELECT bge_rerank(?, ?, ?)", *arguments))
    assert rerank(db, "a", "b") is not None


@pytest.mark.parametrize("arguments, wanted", [
    ((b"a", "[]", BERT), "bge_rerank_each: argument 1 is a BLOB"),
    (("a", b"[]", BERT), "bge_rerank_each: argument 2 is a BLOB"),
    (("a", "nonsense", BERT), "bge_rerank_each: argument 2 is not valid JSON"),
    (("a", "[1,]", BERT), "bge_rerank_each: argument 2 is not valid JSON"),
    (("a", "", BERT), "bge_rerank_each: argument 2 is not valid JSON"),
    (("a", '{"b": 1}', BERT), "bge_rerank_each: argument 2 is JSON, but no array"),
    (("a", 5, BERT), "bge_rerank_each: argument 2"),
    (("a", '["b", true]', BERT), "bge_rerank_each: element 1 is a boolean"),
    (("a", '["b", ["c"]]', BERT), "bge_rerank_each: element 1 is an array"),
    ((None, '["b", {}]', BERT), "bge_rerank_each: element 1 is an object"),
    (("a", '["b"]', 7), "bge_rerank_each: argument 3 is"),
    (("a", '["b"]', "no-such-model"), "no model 'no-such-model' found"),
])
def test_wrong_arrays_are_named(db, arguments, wanted):
    assert wanted in str(failure(db, "SELECT * FROM bge_rerank_each(?, ?, ?)", *arguments))
    assert len(each(db, "a", ["b"])) == 1


def test_it_says_how_to_call_it(db):
    assert "bge_rerank_each(query, json_array" in str(failure(db, "SELECT * FROM bge_rerank_each"))
    assert "bge_rerank_each(query, json_array" in str(failure(db, "SELECT * FROM bge_rerank_each('a')"))


def test_a_text_above_the_limit_is_too_big(db):
    huge = "a" * (32 * 2**20 + 1)
    for query, text in ((huge, "a"), ("a", huge)):
        assert isinstance(failure(db, "SELECT bge_rerank(?, ?, ?)", query, text, BERT), apsw.TooBigError)
        assert isinstance(failure(db, "SELECT * FROM bge_rerank_each(?, ?, ?)", query, json.dumps([text]), BERT),
                          apsw.TooBigError)


@pytest.mark.parametrize("model", RERANKERS)
def test_long_texts_are_cut(db, model):
    long = "reset the device " * 200_000
    start = time.monotonic()
    assert rerank(db, long, long, model) == pytest.approx(rerank(db, long[:20_000], long[:20_000], model), abs=5e-5)
    assert time.monotonic() - start < 5


def test_a_pair_that_would_be_cut_is_named_by_its_index(db, name):
    load(db, name, MODELS / BERT, max_length=32, overflow="error")
    assert len(each(db, "a", ["b " * 20, "c"], name)) == 2
    message = str(failure(db, "SELECT * FROM bge_rerank_each('a', ?, ?)", json.dumps(["b"] * 5 + ["c " * 40]), name))
    assert "element 5" in message and "32 tokens" in message, message


@pytest.mark.parametrize("options, wanted", [
    ({"pooling": "cls"}, "option pooling is for embedding models"),
    ({"query_instruction": "q"}, "option query_instruction is for embedding models"),
    ({"cache_mb": 1}, "option cache_mb is for embedding models"),
    ({"graph_cache": "/tmp/x"}, "option graph_cache is for embedding models"),
    ({"max_length": 8}, "expected at least 13"),
    ({"max_length": 600}, "at most 512"),
    ({"nonsense": 1}, "unknown option 'nonsense'"),
])
def test_options_that_do_not_fit_are_refused(db, name, options, wanted):
    message = str(failure(db, "SELECT bge_load(?, ?, ?)", name, str(MODELS / BERT), json.dumps(options)))
    assert wanted in message, message


# --- two kinds of models -------------------------------------------------------------------------


@pytest.mark.parametrize("sql", [
    "SELECT bge_embed('a', '{}')", "SELECT bge_embed_query('a', '{}')", "SELECT bge_tokens('a', '{}')",
    "SELECT * FROM bge_embed_each('[1]', '{}')", "SELECT * FROM bge_batch('SELECT 1, 2', '{}')",
    "SELECT * FROM bge_chunks('a', NULL, NULL, '{}')"])
@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_reranker_makes_no_vectors(db, sql, is_loaded):
    if is_loaded:
        rerank(db, "a", "b")
    else:
        unload(db, BERT)
    message = str(failure(db, sql.format(BERT)))
    assert f"model '{BERT}' is a reranking model" in message and "bge_rerank(query, text" in message, message


def test_an_index_takes_no_reranker(db):
    db.execute(f"CREATE VIRTUAL TABLE t USING bge(body, model='{BERT}')")
    db.execute("INSERT INTO t(body) VALUES ('a')")
    assert f"model '{BERT}' is a reranking model" in str(failure(db, "SELECT bge_sync('t')"))


@pytest.mark.parametrize("is_loaded", [False, True])
def test_an_embedding_model_scores_no_pairs(db, is_loaded):
    embed(db, "a") if is_loaded else unload(db, TINY)
    for sql in ("SELECT bge_rerank('a', 'b', ?)", "SELECT * FROM bge_rerank_each('a', '[1]', ?)"):
        message = str(failure(db, sql, TINY))
        assert f"model '{TINY}' is an embedding model" in message and "bge_cosine" in message, message


def test_nobody_is_told_to_fetch_a_model_of_the_wrong_kind(db):
    assert "is a reranking model" in str(failure(db, "SELECT bge_embed('a', 'bge-reranker-v2-m3')"))
    assert "is an embedding model" in str(failure(db, "SELECT bge_rerank('a', 'b', 'bge-large-en')"))
    assert "make model MODEL=bge-reranker-base" in str(failure(db, "SELECT bge_rerank('a', 'b')"))


def test_callers_that_want_other_kinds_at_once_get_what_each_is_due(db):
    """One of them begins the load; whoever wants the right kind gets the model, whoever began."""
    for _ in range(30):
        unload(db, BERT)
        start, outcomes = threading.Barrier(8), []

        def ask(sql):
            own = connect()
            start.wait()
            try:
                outcomes.append((sql, own.execute(sql).get))
            except apsw.Error as error:
                outcomes.append((sql, str(error)))
            own.close()

        asked = [f"SELECT bge_rerank('a', 'b', '{BERT}')", f"SELECT bge_embed('a', '{BERT}')"] * 4
        threads = [threading.Thread(target=ask, args=(sql,)) for sql in asked]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for sql, outcome in outcomes:
            assert isinstance(outcome, float) if "bge_rerank(" in sql else "is a reranking model" in outcome, (sql, outcome)


def test_a_name_has_one_model_of_either_kind(db, name):
    load(db, name, MODELS / BERT)
    assert rerank(db, "a", "b", name) == rerank(db, "a", "b")
    load(db, name, TINY)
    assert embed(db, "a", name) == embed(db, "a")
    assert "is an embedding model" in str(failure(db, "SELECT bge_rerank('a', 'b', ?)", name))
    load(db, name, MODELS / XLMR)
    assert rerank(db, "a", "b", name) == rerank(db, "a", "b", XLMR)
    assert "is a reranking model" in str(failure(db, "SELECT bge_embed('a', ?)", name))
    assert unload(db, name) == 1 and unload(db, name) == 0


def test_lists_and_reports_say_which_kind_a_model_is(db, name):
    load(db, name, MODELS / XLMR)
    columns = "kind, loaded, dims, max_length, pooling, device, precision"
    row = list(db.execute(f"SELECT {columns} FROM bge_models WHERE name = ?", (name,)))
    assert row == [("reranking", 1, None, 512, None, "cpu", "fp32")]
    unload(db, BERT)
    found = dict(db.execute("SELECT name, kind || ' ' || loaded FROM bge_models"))
    assert "kind" not in [column[0] for column in db.execute("SELECT * FROM bge_models").description]
    assert found[BERT] == "reranking 0" and found["tiny-bert-fp16"].startswith("embedding ")
    info = loaded(db)[name]
    assert info["kind"] == "reranking" and info["max_length"] == 512
    assert info["passes"] == [{"name": "attention", "on": True, "reason": None}]
    embed(db, "a")
    assert loaded(db)[TINY]["kind"] == "embedding"


def test_the_default_reranker(db, monkeypatch):
    for setting in (BERT, XLMR):
        monkeypatch.setenv("BGE_RERANKER", setting)
        assert value(db, "SELECT bge_rerank('a', 'b')") == rerank(db, "a", "b", setting)
        [(score,)] = db.execute("SELECT score FROM bge_rerank_each('a', '[\"b\"]', NULL)")
        assert score == value(db, "SELECT score FROM bge_rerank_each('a', '[\"b\"]')")
        assert value(db, "SELECT bge_info() ->> '$.default_reranker'") == setting


def test_a_connection_that_only_reads(db, monkeypatch, name):
    reader = connect(entry=READONLY)
    unload(db, XLMR)
    assert "read-only" in str(failure(reader, "SELECT bge_rerank('a', 'b', ?)", XLMR))
    load(db, name, MODELS / XLMR)
    assert value(reader, "SELECT bge_rerank('a', 'b', ?)", name) == rerank(db, "a", "b", name)
    monkeypatch.setenv("BGE_RERANKER", BERT)
    assert value(reader, "SELECT bge_rerank('a', 'b')") == rerank(db, "a", "b")
    reader.close()


def folder(tmp_path, graph=BERT, **settings):
    """The folder of the tiny BERT reranker with another graph or other settings."""
    made = tmp_path / "model"
    shutil.copytree(MODELS / BERT, made)
    graph = MODELS / BERT if graph == BERT else FIXTURES / graph
    shutil.copy(graph / "onnx" / "model.onnx", made / "onnx" / "model.onnx")
    config = json.loads((made / "config.json").read_text())
    (made / "config.json").write_text(json.dumps(config | settings))
    return str(made)


@pytest.mark.parametrize("graph, settings, wanted", [
    (TINY, {}, "the graph's outputs are last_hidden_state, expected one called logits"),
    (BERT, {"id2label": {"0": "a", "1": "b", "2": "c"}}, "there are 3 labels"),
    (BERT, {"num_labels": 2}, "there are 2 labels"),
    (BERT, {"architectures": ["GPT2ForSequenceClassification"]}, "the architecture is GPT2ForSequenceClassification"),
    (BERT, {"architectures": ["BertModel"]}, "expected [batch, tokens, 32]"),
    (BERT, {"vocab_size": 5000}, "the tokenizer belongs to another model"),
])
def test_a_folder_that_is_no_reranker_is_refused(db, name, tmp_path, graph, settings, wanted):
    message = str(failure(db, "SELECT bge_load(?, ?)", name, folder(tmp_path, graph, **settings)))
    assert wanted in message and f"model '{name}'" in message, message
    assert name not in loaded(db)


# --- beside others -------------------------------------------------------------------------------


@pytest.mark.parametrize("sql", [
    "SELECT count(*) FROM bge_rerank_each('how', (SELECT json_group_array(body) FROM long), '{}')",
    "SELECT sum(bge_rerank('how', body, '{}')) FROM long"])
@pytest.mark.parametrize("way", ["interrupt", "handler"])
def test_it_can_be_stopped(db, sql, way):
    """Some 10 seconds of work if nobody stops it; after one it is in a window of 4,096 pairs."""
    rerank(db, "a", "b")
    db.execute("""CREATE TABLE long AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)
                  SELECT 'a b c d e f g h ' || replace(hex(zeroblob(300)), '0', 'x ') || i AS body FROM n""")
    stopped = []
    if way == "interrupt":
        timer = threading.Timer(1.0, lambda: (stopped.append(time.monotonic()), db.interrupt()))
        timer.start()
    else:
        end = time.monotonic() + 1.0

        def handler():
            if time.monotonic() > end:
                stopped.append(time.monotonic())
            return bool(stopped)

        db.set_progress_handler(handler, 100)
    error = failure(db, sql.format(BERT))
    assert isinstance(error, apsw.InterruptError)
    assert time.monotonic() - stopped[0] < 1
    db.set_progress_handler(None)
    assert rerank(db, "a", "b") is not None


def test_threads_take_turns(db):
    """Four connections, each with its own texts: every score is right."""
    wanted = {n: [rerank(db, f"query {n}", text) for text in texts(40, seed=n)] for n in range(4)}
    found = {}

    def work(n):
        own = connect()
        found[n] = [score for _, _, score in each(own, f"query {n}", texts(40, seed=n))]
        own.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(4):
        assert found[n] == pytest.approx(wanted[n], abs=5e-5)


def test_it_works_in_every_host(any_host):
    [[score]] = any_host.rows(f"SELECT bge_rerank('reset', 'the device', '{BERT}')")
    found = any_host.rows(f"SELECT idx, text, score FROM bge_rerank_each('reset', '[\"the device\", null]', '{BERT}')")
    assert [row[:2] for row in found] == [[0, "the device"], [1, None]]
    assert found[0][2] == pytest.approx(score, abs=1e-5) and found[1][2] in ("", None)
    with pytest.raises(HostError) as error:
        any_host.rows(f"SELECT bge_rerank('a', 'b', '{TINY}')")
    assert "is an embedding model" in str(error.value)


def test_it_may_be_used_in_a_view(db):
    db.execute(f"CREATE VIEW v AS SELECT bge_rerank('a', 'b', '{BERT}') AS score")
    assert value(db, "SELECT score FROM v") == rerank(db, "a", "b")
    db.execute("PRAGMA trusted_schema = OFF")
    assert "unsafe use of bge_rerank" in str(failure(db, "SELECT score FROM v"))
