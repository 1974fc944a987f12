"""bge_highlight: a text with the sentences marked that answer a query best."""

import json
import threading
import time

import apsw
import pytest
from support import SMALL, TINY, HostError, failure, floats, load, stopped_after, value

HELP = ("The router has two lights. Hold the small button for ten seconds to restore the factory settings. "
        "The bill can be downloaded from the payments page.\n\nRequests for days off go to your team lead.")


def highlight(db, text, query, *rest):
    marks = ", ".join("?" * (2 + len(rest)))
    return value(db, f"SELECT bge_highlight({marks})", text, query, *rest)


def part(marked, opening="<b>", closing="</b>"):
    """What is between the marks; there is one pair of them."""
    assert marked.count(opening) == marked.count(closing) == 1
    return marked.split(opening)[1].split(closing)[0]


# --- what it marks -------------------------------------------------------------------------------


@pytest.mark.parametrize("query, wanted", [
    ("how do i reset my device?", "Hold the small button for ten seconds to restore the factory settings."),
    ("where are my invoices?", "The bill can be downloaded from the payments page."),
    ("how do i take vacation?", "Requests for days off go to your team lead."),
])
def test_the_sentence_that_answers_is_in_the_mark(db, query, wanted):
    marked = highlight(db, HELP, query)
    assert part(marked) == wanted
    assert marked.replace("<b>", "").replace("</b>", "") == HELP


def test_it_is_the_nearest_sentence_or_a_run_that_is_nearer(db):
    """By the vectors themselves: no single sentence is nearer to the query than what is marked."""
    sentences = ["The router has two lights.", "Hold the small button for ten seconds.", "It restores the settings.",
                 "The bill is on the payments page.", "Requests for days off go to your team lead."]
    text = " ".join(sentences)
    for query in ("reset", "invoice", "vacation", "how many lights?", "who is the lead"):
        found = part(highlight(db, text, query))
        near = "SELECT bge_cosine(bge_embed(?), bge_embed_query(?))"
        best = max(value(db, near, sentence, query) for sentence in sentences)
        assert value(db, near, found, query) >= best - 1e-5, query
        assert any(found.startswith(sentence) for sentence in sentences), found


def test_a_run_of_sentences_is_marked_where_it_is_nearer(db):
    marked = highlight(db, "It is blue. The button that resets the router is small. Hold it for ten seconds. The end.",
                       "how long must I hold the button that resets the router?")
    assert part(marked) == "The button that resets the router is small. Hold it for ten seconds."


@pytest.mark.parametrize("gap", ["\n\n", " \r\n \r\n", "\n\n\n\n"])
def test_a_run_ends_at_a_blank_line(db, gap):
    text = f"It is blue. The button that resets the router is small.{gap}Hold it for ten seconds. The end."
    marked = highlight(db, text, "how long must I hold the button that resets the router?")
    assert part(marked) == "The button that resets the router is small."


def test_the_only_sentence_is_marked_whole(db):
    assert highlight(db, "  one two three\n", "anything") == "  <b>one two three</b>\n"
    assert highlight(db, "a", "a") == "<b>a</b>"
    assert highlight(db, 42, 42) == "<b>42</b>"


@pytest.mark.parametrize("text", ["", " ", "\n\t \r\n", "\u3000"])
def test_a_blank_text_is_given_back(db, text):
    assert highlight(db, text, "a") == text
    # It needs no model.
    assert highlight(db, text, "a", "<", ">", "bge-large-en") == text


@pytest.mark.parametrize("text", ["按住按钮。等十秒。", "Was ist los? Es läuft nicht!", "a\0b. c\0d. Reset it.", "👩‍👩‍👧‍👦. Family.",
                                  "one.\r\n\r\ntwo.\r\n", "<b>already</b>. Marked."])
def test_nothing_but_the_marks_is_added(db, text):
    marked = highlight(db, text, "reset", "⟦", "⟧", TINY)
    assert marked.replace("⟦", "").replace("⟧", "") == text
    assert part(marked, "⟦", "⟧").strip() == part(marked, "⟦", "⟧") != ""


# --- its arguments -------------------------------------------------------------------------------


def test_marks_and_model_are_taken(db):
    assert highlight(db, "one two", "q", "[", "]") == "[one two]"
    assert highlight(db, "one two", "q", "", "") == "one two"
    assert highlight(db, "one two", "q", "[", None) == "[one two"
    assert highlight(db, "one two", "q", 1, 2) == "1one two2"
    assert highlight(db, "one two", "q", "**", "**", TINY) == "**one two**"


def test_null_in_null_out(db):
    for text, query in ((None, "a"), ("a", None), (None, None)):
        assert highlight(db, text, query) is None
        assert highlight(db, text, query, "<", ">", "bge-large-en") is None


@pytest.mark.parametrize("arguments, wanted", [
    ((b"a", "b"), "argument 1 is a BLOB"),
    (("a", b"b"), "argument 2 is a BLOB"),
    (("a", "b", b"<", ">"), "argument 3 is a BLOB"),
    (("a", "b", "<", b">"), "argument 4 is a BLOB"),
    (("a", "b", "<", ">", None), "argument 5 is NULL, expected a model name"),
    (("a", "b", "<", ">", "no-such-model"), "no model 'no-such-model' found"),
    (("a", "b", "<", ">", "bge-reranker-base"), "is a reranking model"),
])
def test_wrong_arguments_are_named(db, arguments, wanted):
    marks = ", ".join("?" * len(arguments))
    message = str(failure(db, f"SELECT bge_highlight({marks})", *arguments))
    assert message.startswith("bge_highlight: ") and wanted in message, message
    assert highlight(db, "a", "a") == "<b>a</b>"


def test_three_arguments_are_none(db):
    assert "wrong number of arguments" in str(failure(db, "SELECT bge_highlight('a', 'b', '<')"))


def test_a_text_above_the_limit_is_too_big(db):
    assert isinstance(failure(db, "SELECT bge_highlight(?, 'a')", "a" * (32 * 2**20 + 1)), apsw.TooBigError)


def test_a_sentence_that_would_be_cut_is_an_error_where_that_is_asked_for(db, name):
    load(db, name, max_length=16, overflow="error")
    assert "bge_highlight: the text has" in str(failure(db, "SELECT bge_highlight(?, 'q', '<', '>', ?)", "a " * 40, name))


# --- long texts ----------------------------------------------------------------------------------


def test_a_long_text_is_embedded_in_batches_and_its_one_answer_is_found(db):
    filler = [f"Sentence number {i} is about nothing at all." for i in range(600)]
    text = " ".join([*filler[:450], "Hold the small button to restore the factory settings.", *filler[450:]])
    before = json.loads(value(db, "SELECT bge_info()"))["loaded"]
    before = {m["name"]: m["inferences"] for m in before}.get(SMALL, 0)
    assert "Hold the small button" in part(highlight(db, text, "how do i reset my device?"))
    after = {m["name"]: m["inferences"] for m in json.loads(value(db, "SELECT bge_info()"))["loaded"]}[SMALL]
    assert after - before < 100


def test_a_megabyte_without_a_sentence(db):
    with stopped_after(db, 30):
        marked = highlight(db, "word " * 200_000, "a", "<", ">", TINY)
    assert marked.count("<") == 1 and len(marked) == 1_000_002


def test_it_can_be_stopped(db):
    """Minutes of work if nobody stops it."""
    highlight(db, "a", "a")
    timer = threading.Timer(0.3, db.interrupt)
    timer.start()
    start = time.monotonic()
    error = failure(db, "SELECT bge_highlight(?, 'a')", "This is one more sentence of a very long text. " * 50_000)
    assert isinstance(error, apsw.InterruptError) and time.monotonic() - start < 1.5
    assert highlight(db, "a", "a") == "<b>a</b>"


# --- in statements -------------------------------------------------------------------------------


def test_beside_a_search(db):
    db.execute("CREATE VIRTUAL TABLE t USING bge(body)")
    db.executemany("INSERT INTO t(body) VALUES (?)", [(HELP,), ("Nothing of the kind. Badges are at the front desk.",)])
    db.execute("SELECT bge_sync('t')").fetchall()
    found = list(db.execute("SELECT rowid, bge_highlight(body, ?1) FROM t WHERE t MATCH ?1 AND k = 1", ("my holidays",)))
    assert found[0][0] == 1 and "Requests for days off" in part(found[0][1])


def test_it_works_in_every_host(any_host):
    sql = f"SELECT bge_highlight('One two three.', 'two', '[', ']', '{TINY}')"
    assert any_host.rows(sql) == [["[One two three.]"]]
    with pytest.raises(HostError) as error:
        any_host.rows("SELECT bge_highlight(x'00', 'a')")
    assert "bge_highlight: argument 1 is a BLOB" in str(error.value)


def test_vectors_are_those_of_bge_embed(db):
    """The model that is named is the one that is used: two models may mark different sentences."""
    text, query = "Reset it. Page two. Bill of May. Lead the team.", "how"
    for model in (TINY, "tiny-bert-no-types"):
        wanted = value(db, "SELECT bge_embed_query(?, ?)", query, model)
        near = {s: sum(a * b for a, b in zip(floats(value(db, "SELECT bge_embed(?, ?)", s, model)), floats(wanted)))
                for s in ("Reset it.", "Page two.", "Bill of May.", "Lead the team.")}
        assert max(near, key=near.get) in part(highlight(db, text, query, "[", "]", model), "[", "]")
