"""Rankings in the command, in the plugin of sqlite-utils and in Datasette, and what an index is made with by them."""

import contextlib
import csv
import io
import json
import re
import sqlite3

import pytest
import sqlite_bge
import support
from serving import serving
from sqlite_bge.indexes import IndexProblem
from support import sqlite_bge_command as command

NAMES = support.ROOT / "benches" / "exact_names"
MODEL = support.MODEL


def opened(path):
    db = sqlite3.connect(path, isolation_level=None)
    sqlite_bge.load(db)
    return contextlib.closing(db)


def status(path, index):
    with opened(path) as db:
        return json.loads(db.execute("SELECT bge_status(?)", (index,)).fetchone()[0])


def default_ranking(path, index):
    with opened(path) as db:
        return db.execute(f"SELECT v FROM {index}_config WHERE k = 'rank'").fetchone()


def schema(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def found(path, table, query, *options):
    return json.loads(command("search", path, table, query, "--json", *options).stdout)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Every twelfth passage of the bench of exact names, with an index that the command has made, as it makes one."""
    path = tmp_path_factory.mktemp("parts") / "parts.db"
    passages = enumerate((NAMES / "passages.txt").read_text(encoding="utf-8").splitlines(), 1)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE parts(id INTEGER PRIMARY KEY, body TEXT)")
        db.executemany("INSERT INTO parts VALUES (?, ?)", [row for row in passages if row[0] % 12 == 0])
    assert command("index", path, "parts", "body").stdout == "parts_bge: 100 rows, 100 of them new or changed\n"
    return path


@pytest.fixture(scope="module")
def name(parts):
    """(question, row) of a name that meaning does not find first."""
    questions = dict(line.split("\t") for line in (NAMES / "questions.tsv").read_text(encoding="utf-8").splitlines())
    for line in (NAMES / "judgements.qrels").read_text(encoding="utf-8").splitlines():
        question, _, row, _ = line.split()
        if int(row) % 12 == 0 and "-alone-" in question:
            if found(parts, "parts", questions[question], "--rank", "meaning", "-k", "1")[0]["rowid"] != int(row):
                return questions[question], int(row)
    raise AssertionError("meaning finds every name")


# --- searching ----------------------------------------------------------------------------


def test_a_new_index_ranks_by_meaning_and_words(parts, name):
    assert status(parts, "parts_bge")["words"] == "parts_bge_words" and default_ranking(parts, "parts_bge")[0].startswith("hybrid")
    question, row = name
    best = found(parts, "parts", question, "-k", "1")[0]
    assert (best["rowid"], best["by_words"]) == (row, 1) and best["by_meaning"] != 1
    assert command("search", parts, "parts", question, "-k", "1").stdout.splitlines()[0].endswith(
        f"row {row}  (by meaning {best['by_meaning'] or '-'}, by words 1)")


def test_the_ranking_is_that_of_the_option(parts, name):
    question, row = name
    with opened(parts) as db:
        for ranking in ("words", "meaning", "hybrid, mmr(0.3)", "hybrid(0.5, 20)"):
            rows = db.execute("SELECT rowid, by_meaning, by_words FROM parts_bge WHERE parts_bge MATCH ? AND rank MATCH ? "
                              "ORDER BY rank LIMIT 10", (question, ranking)).fetchall()
            assert [(one["rowid"], one["by_meaning"], one["by_words"]) for one in found(parts, "parts", question, "--rank", ranking)] == rows
            said = support.run(support.BIN / "sqlite-utils", "bge", "search", parts, "parts", question, "--rank", ranking).stdout
            assert [(one["rowid"], one["by_meaning"], one["by_words"]) for one in json.loads(said)] == rows


def test_a_table_of_what_was_found_has_no_places(parts, name):
    heads = list(csv.reader(io.StringIO(command("search", parts, "parts", name[0], "--csv").stdout)))[0]
    assert heads == ["rowid", "score", "passage", "id", "body"]


@pytest.mark.parametrize("ranking, said", [
    ("hybird", "no stage 'hybird'; a ranking is one of meaning(depth)"), ("mmr(2)", "lambda is 2"), ("decay(age, 3)", "age")])
def test_a_wrong_ranking_is_said(parts, ranking, said):
    assert said in command("search", parts, "parts", "x", "--rank", ranking, code=1).stderr
    done = support.run(support.BIN / "sqlite-utils", "bge", "search", parts, "parts", "x", "--rank", ranking, code=1)
    assert done.stderr.startswith("Error: ") and said in done.stderr


def test_words_that_are_not_there_are_said(indexed):
    assert "words" in command("search", indexed, "desk", "x", "--rank", "hybrid", code=1).stderr
    assert found(indexed, "desk", "how do I reset my device?", "--rank", "meaning, mmr(0.5)")[0]["rowid"] == 1


def test_a_row_that_only_words_find_has_no_score(tmp_path):
    path = tmp_path / "late.db"
    with opened(path) as db:
        db.execute("CREATE TABLE desk(id INTEGER PRIMARY KEY, body TEXT)")
        db.execute("CREATE VIRTUAL TABLE desk_bge USING bge(body, content='desk', words=on, catchup=0)")
        sqlite_bge.sync(db, "desk_bge", progress=False)
        db.execute("INSERT INTO desk(body) VALUES ('The router RX-2041 is in the cellar')")
    one, = found(path, "desk", "RX-2041", "--rank", "hybrid")
    assert (one["rowid"], one["score"], one["by_meaning"], one["by_words"]) == (1, None, None, 1)
    assert command("search", path, "desk", "RX-2041", "--rank", "words").stdout.startswith("1. -  row 1  (by meaning -, by words 1)\n")
    with serving(path) as served:
        page = served.get("/late/desk", _semantic="RX-2041", _rank="hybrid")
        assert ">by words 1</p>" in page and "<meter" not in page


# --- making -------------------------------------------------------------------------------


def test_without_words(desk):
    command("index", desk, "desk", "title", "body", "--no-words")
    assert status(desk, "desk_bge")["words"] is None and default_ranking(desk, "desk_bge") is None
    assert not [name for name, _ in schema(desk) if "words" in name]


def test_a_view_has_no_words_and_that_is_said(desk):
    with contextlib.closing(sqlite3.connect(desk)) as db, db:
        db.execute("CREATE VIEW shown AS SELECT id, body FROM desk")
    said = command("index", desk, "shown", "body", "--key", "id").stdout.splitlines()
    assert said[1] == "  without words, which need a table, and shown is a view" and status(desk, "shown_bge")["words"] is None
    assert "no ordinary table" in command("index", desk, "shown", "body", "--key", "id", "--name", "other", "--words", code=1).stderr
    assert not [name for name, _ in schema(desk) if name.startswith("other")]


def test_a_column_called_rank(tmp_path):
    """It wins over the hidden one, so there are neither words nor rankings."""
    path = tmp_path / "army.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE army(id INTEGER PRIMARY KEY, rank TEXT, by_words TEXT)")
        db.executemany("INSERT INTO army(rank, by_words) VALUES (?, '')", [("zeppelin pilot",), ("cook of the kitchen",), ("a general",)])
    assert "called rank too" in command("index", path, "army", "rank", "--filter", "by_words").stdout
    assert found(path, "army", "who makes the meals?")[0]["rank"] == "cook of the kitchen"
    said = "army_bge has a column of its own called rank, so that no ranking but 'meaning' can be given"
    assert found(path, "army", "who makes the meals?", "--rank", "meaning") == found(path, "army", "who makes the meals?")
    assert said in command("search", path, "army", "x", "--rank", "mmr", code=1).stderr
    (tmp_path / "q").write_text("a\twho makes the meals?\n"), (tmp_path / "j").write_text("a 0 2 1\n")
    evaluated = ["evaluate", path, "army", "--queries", tmp_path / "q", "--qrels", tmp_path / "j"]
    assert command(*evaluated).stdout.splitlines()[-1].split() == ["meaning", "1.0000", "1.0000", "1.0000"]
    assert said in command(*evaluated, "--against", "meaning, mmr", code=1).stderr
    with serving(path) as served:
        rows, section = served.search("army", "who makes the meals?", "army")
        assert rows[0][0] == "/army/army/2" and "_rank" not in section
        assert said.replace("'", "&#39;") in served.get("/army/army", _semantic="x", _rank="mmr")


# --- an index that is there ---------------------------------------------------------------


@pytest.fixture
def filtered(desk):
    """An index of the texts, with a filter and words."""
    command("index", desk, "desk", "body", "--filter", "title")
    return desk


DIFFERENT = [
    (["body", "--filter", "title", "--model", "bge-base-en-v1.5"], f"its model is {MODEL}, and --model is bge-base-en-v1.5"),
    (["body", "--filter", "title", "--storage", "f16"], "its storage is f32, and --storage is f16"),
    (["body", "--filter", "title", "--key", "number"], "its key is id, and --key is number"),
    (["body", "--filter", "title", "--no-words"], "it has words, and --no-words asks for none"),
    (["body", "title"], "over body (filters: title) of desk; wanted: body, title of desk"),
    (["body"], "over body (filters: title) of desk; wanted: body of desk"),
    (["title", "--filter", "body"], "over body (filters: title) of desk; wanted: title (filters: body) of desk"),
    (["body", "--filter", "title", "--storage", "int8", "--no-words"], "its storage is f32, and --storage is int8; it has words"),
]


@pytest.mark.parametrize("arguments, said", DIFFERENT)
def test_what_an_index_was_made_with_is_not_ignored(filtered, arguments, said):
    before = schema(filtered)
    for program in ([support.BIN / "sqlite-bge", "index"], [support.BIN / "sqlite-utils", "bge", "index"]):
        done = support.run(*program, filtered, "desk", *arguments, code=1)
        assert f"there is an index desk_bge already" in done.stderr and said in done.stderr
        assert "sqlite-bge replace DB desk_bge desk_bge_new" in done.stderr
    assert schema(filtered) == before


@pytest.mark.parametrize("arguments", [[], ["--model", MODEL], ["--storage", "f32"], ["--key", "ID"], ["--words"]])
def test_the_same_is_the_same(filtered, arguments):
    assert command("index", filtered, "desk", "Body", "--filter", "title", *arguments).stdout == "desk_bge: 3 rows, 0 of them new or changed\n"


def test_words_for_an_index_without(indexed):
    done = command("index", indexed, "desk", "title", "body", "--words", code=1)
    assert "it has no words, and --words asks for them" in done.stderr
    assert command("index", indexed, "desk", "title", "body").stdout.startswith("desk_bge: 3 rows, 0 ")


def test_langchain_does_not_ignore_a_model(tmp_path):
    langchain = pytest.importorskip("sqlite_bge.langchain")
    langchain.BgeVectorStore(tmp_path / "a.db").close()
    langchain.BgeVectorStore(tmp_path / "a.db", model=MODEL).close()
    with pytest.raises(IndexProblem, match=f"its model is {MODEL}, and --model is bge-base-en-v1.5"):
        langchain.BgeVectorStore(tmp_path / "a.db", model="bge-base-en-v1.5")


# --- another one in its place -------------------------------------------------------------


def as_told(path, stderr):
    """Runs the commands that a message ends with."""
    lines = [line.strip() for line in stderr.splitlines() if line.startswith("  sqlite-bge ")]
    assert len(lines) == 2
    for line in lines:
        words = support.shell_words(line)
        command(*[path if word == "DB" else word for word in words[1:]])


def test_the_way_out_works_as_it_is_told(filtered):
    with opened(filtered) as db:
        db.execute("CREATE VIEW nearest AS SELECT rowid FROM desk_bge WHERE desk_bge MATCH 'vacation' AND k = 1")
        db.execute("INSERT INTO desk_bge(desk_bge, rank) VALUES ('rank', 'hybrid, mmr(0.9)')")
    before = {name for name, _ in schema(filtered)}, default_ranking(filtered, "desk_bge")
    as_told(filtered, command("index", filtered, "desk", "title", "body", "--storage", "int8", code=1).stderr)
    assert ({name for name, _ in schema(filtered)}, default_ranking(filtered, "desk_bge")) == before
    now = status(filtered, "desk_bge")
    assert (now["storage"], now["words"], now["pending"], now["wrong"]) == ("int8", "desk_bge_words", 0, [])
    with opened(filtered) as db:
        db.execute("INSERT INTO desk_bge(desk_bge) VALUES ('integrity-check')")
        assert db.execute("SELECT rowid FROM nearest").fetchall() == [(3,)]
        db.execute("INSERT INTO desk(title, body) VALUES ('Parking', 'Cars can be parked in the garage')")
        assert db.execute("SELECT rowid FROM desk_bge('garage', 1)").fetchall() == [(4,)]
    assert command("index", filtered, "desk", "title", "body", "--storage", "int8").returncode == 0


@pytest.mark.parametrize("before, new, by_itself, after", [
    ("hybrid", "--words", "hybrid", "hybrid"), ("hybrid", "--no-words", None, None), (None, "--words", "hybrid", None),
    (None, "--no-words", None, None), ("mmr(0.2, 9)", "--no-words", None, "meaning, mmr(0.2, 9)"),
    ("hybrid", "--words", "words", "words"), (None, "--words", "words", "words")])
def test_the_default_ranking_stays(filtered, before, new, by_itself, after):
    command("index", filtered, "desk", "title", "body", "--name", "new", new)
    with opened(filtered) as db:
        db.execute("INSERT INTO desk_bge(desk_bge, rank) VALUES ('rank', ?)", (before,))
        db.execute("INSERT INTO new(new, rank) VALUES ('rank', ?)", (by_itself,))
    assert command("replace", filtered, "desk_bge", "new").stdout == "new is now desk_bge\n"
    assert (default_ranking(filtered, "desk_bge") or (None,))[0] == after


def test_words_come_with_their_ranking(indexed):
    as_told(indexed, command("index", indexed, "desk", "title", "body", "--words", code=1).stderr)
    assert default_ranking(indexed, "desk_bge") == ("hybrid",)


@pytest.mark.parametrize("program", [["sqlite-bge", "search"], ["sqlite-utils", "bge", "search"]])
def test_a_search_by_words_says_how_to_have_them(indexed, program):
    said = support.run(support.BIN / program[0], *program[1:], indexed, "desk", "RX-2041", "--rank", "hybrid, mmr(0.5)", code=1).stderr
    assert "this index has no words" in said
    as_told(indexed, said)
    assert status(indexed, "desk_bge")["words"] == "desk_bge_words"
    support.run(support.BIN / program[0], *program[1:], indexed, "desk", "RX-2041", "--rank", "hybrid, mmr(0.5)")


def test_no_way_to_words_is_told_where_there_is_none(desk):
    with opened(desk) as db:
        db.execute("CREATE VIEW shown AS SELECT id, body FROM desk")
        db.execute("CREATE VIRTUAL TABLE memos USING bge(body)")
    command("index", desk, "shown", "body", "--key", "id")
    for table in ("shown", "memos"):
        said = command("search", desk, table, "x", "--rank", "words", code=1).stderr
        assert "this index has no words" in said and "sqlite-bge" not in said


def test_words_of_ones_own_are_kept_and_not_copied(desk):
    with opened(desk) as db:
        db.execute("CREATE VIRTUAL TABLE \"the fts\" USING fts5(body, content='desk', content_rowid='id')")
        db.execute("INSERT INTO \"the fts\"(\"the fts\") VALUES ('rebuild')")
        db.execute("CREATE VIRTUAL TABLE desk_bge USING bge(body, title UNINDEXED, content='desk', words='the fts')")
    said = command("index", desk, "desk", "body", "--filter", "title", "--storage", "f16", code=1).stderr
    assert "--words" not in said and "with the words of the fts, which only SQL can name:" in said
    *_, made, replaced = said.splitlines()
    with opened(desk) as db:
        db.execute(made)
    command(*[desk if word == "DB" else word for word in support.shell_words(replaced)[1:]])
    now = status(desk, "desk_bge")
    assert (now["words"], now["storage"], now["pending"], now["wrong"]) == ("the fts", "f16", 0, [])
    assert "--no-words\n" in command("index", desk, "desk", "body", "--filter", "title", "--no-words", code=1).stderr


def test_names_that_need_quotes_are_told_with_them(tmp_path):
    path = tmp_path / "quotes.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("""CREATE TABLE "it's a ""table"" "(id INTEGER PRIMARY KEY, "the body" TEXT)""")
        db.execute("""INSERT INTO "it's a ""table"" " VALUES (7, 'The cat sleeps')""")
    command("index", path, 'it\'s a "table" ', "the body", "--no-words")
    as_told(path, command("index", path, 'it\'s a "table" ', "the body", "--words", code=1).stderr)
    assert found(path, 'it\'s a "table" ', "pet")[0]["rowid"] == 7


def test_a_replacement_that_cannot_be_leaves_all_as_it_was(filtered):
    command("index", filtered, "desk", "title", "--name", "titles", "--no-words")
    with opened(filtered) as db:
        db.execute("INSERT INTO desk_bge(desk_bge, rank) VALUES ('rank', 'hybrid(0.2)')")
        db.execute("CREATE VIRTUAL TABLE memos USING bge(body)")
    before = schema(filtered)
    done = command("replace", filtered, "desk_bge", "titles", code=1)
    assert "desk_bge is as it was: titles cannot have its default ranking, hybrid(" in done.stderr
    for old, new, said in (("desk_bge", "desk_bge", "cannot take the place"), ("desk_bge", "nope", "there is no table nope"),
                           ("desk", "titles", "desk_bge is as it was: titles cannot have its default ranking")):
        assert said in command("replace", filtered, old, new, code=1).stderr
    assert "over desk and its own text" in command("replace", filtered, "desk_bge", "memos", code=1).stderr
    assert schema(filtered) == before
    assert status(filtered, "desk_bge")["pending"] == 0


# --- Datasette ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(parts):
    with serving(parts) as served:
        yield served
    assert "cannot be searched" not in served.log


def links(page):
    section = re.search(r'<section class="bge-search">.*?</section>', page, re.DOTALL).group(0)
    return re.findall(r'<a href="/parts/parts/(\d+)">#', section), section


def test_a_visitor_chooses_the_ranking(site, parts, name):
    question, row = name
    for ranking in ("", "meaning", "words", "hybrid, mmr(0.3)"):
        rows, section = links(site.get("/parts/parts", _semantic=question, _rank=ranking))
        wanted = [one["rowid"] for one in found(parts, "parts", question, "-k", "20", *(["--rank", ranking] if ranking else []))]
        assert [int(one) for one in rows] == wanted
        chosen = re.findall(r"<option selected>(.*?)</option>", section)
        assert chosen == ([ranking] if ranking else [])
    rows, section = links(site.get("/parts/parts", _semantic=question))
    assert int(rows[0]) == row and "by words 1</p>" in section


def test_a_wrong_ranking_is_said_to_a_visitor(site):
    for ranking, said in (("hybird", "no stage &#39;hybird&#39;"), ('<script>"', "&lt;script&gt;&#34;"), ("rerank('no-such')", "no-such")):
        section = links(site.get("/parts/parts", _semantic="x", _rank=ranking))[1]
        assert "message-error" in section and said in section and "<script" not in section


def test_there_is_nothing_to_choose_without_words(indexed):
    with serving(indexed) as served:
        assert "_rank" not in served.search("desk", "reset my device")[1]
        assert served.search("desk", "reset my device")[0][0][0] == "/desk/desk/1"
        page = served.get("/desk/desk", _semantic="reset my device", _rank="meaning, mmr(0.9)")
        assert "<option selected>meaning, mmr(0.9)</option>" in page and page.count('href="/desk/desk/1">#1') == 1


def test_the_words_of_an_index_are_hidden(site):
    assert [table["name"] for table in json.loads(site.get("/parts.json"))["tables"] if not table["hidden"]] == ["parts"]
