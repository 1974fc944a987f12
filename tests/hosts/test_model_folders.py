"""Model folders that change, that lack something, or that somebody made to do harm; loads that are interrupted."""

import json
import os
import shutil
import threading
import time

import apsw
import pytest
from support import FIXTURES, SMALL, TINY, connect, embed, failure, load, run_python, unload, value

DOCS = "CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT)"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(FIXTURES / TINY, tmp_path / "models" / "mine")


@pytest.mark.parametrize("how", ["replaced", "overwritten"])
def test_an_index_is_bound_to_the_model_that_was_loaded(folder, tmp_path, how):
    """Not to a file that has its place by now."""
    graph = folder / "onnx" / "model.onnx"
    old, changed = graph.read_bytes(), tmp_path / "changed"
    changed.write_bytes(old + b"\x32\x05other")  # a doc_string: the same vectors from other bytes
    env = {"BGE_MODELS": folder.parent}
    run_python(f"""
import shutil
db = connect(database="{tmp_path / 'x.db'}")
embed(db, "a text", "mine")
if "{how}" == "replaced":
    Path("{changed}").rename("{graph}")
else:
    shutil.copyfile("{changed}", "{graph}")
db.execute("{DOCS}; INSERT INTO docs(body) VALUES ('a text'), ('another')")
db.execute("CREATE VIRTUAL TABLE idx USING bge(body, content = docs, model = mine)")
assert value(db, "SELECT bge_sync('idx')") == 2
""", env=env)
    search = f"""
db = connect(database="{tmp_path / 'x.db'}")
sql = "SELECT distance FROM idx WHERE idx MATCH 'a text' AND k = 1"
"""
    run_python(search + "error = str(failure(db, sql)); assert 'fingerprint' in error, error", env=env)
    graph.write_bytes(old)
    run_python(search + "assert value(db, sql) < 1e-5", env=env)


def test_a_load_can_be_interrupted_and_goes_on():
    db = connect()
    for sql, name in (("SELECT bge_load('interrupted', ?)", SMALL), ("SELECT bge_embed('a', ?)", SMALL)):
        unload(db, name)
        timer = threading.Timer(0.02, db.interrupt)
        start = time.monotonic()
        timer.start()
        with pytest.raises(apsw.InterruptError):
            list(db.execute(sql, (name,)))
        assert time.monotonic() - start < 1
        timer.join()
    assert len(embed(db, "a", SMALL)) == 384 * 4
    unload(db, SMALL)
    info = json.loads(value(db, "SELECT bge_info()"))
    assert "interrupted" not in {model["name"] for model in info["loaded"]}
    assert "interrupted" not in str(info["last_load_error"])


def test_a_process_that_ends_while_it_loads_ends_in_order():
    for delay in (0.001, 0.02, 0.06, 0.1, 0.2):
        run_python(f"""
import threading, apsw
db = connect()
threading.Timer({delay}, db.interrupt).start()
try:
    embed(db, "a", "{SMALL}")
except apsw.InterruptError:
    pass
""")


def test_a_plain_word_is_no_path(host):
    process = host(cwd=FIXTURES, env={"BGE_MODELS": None})
    for name in (TINY, "broken", "models"):
        error = process.error("SELECT bge_load('c', ?)", name)
        assert f"no model '{name}' found" in error and f"'./{name}'" in error, error
    assert process.value("SELECT bge_load('c', ?)", f"./{TINY}") == "c"
    assert process.value("SELECT bge_load('c', ?)", f"../fixtures/{TINY}/onnx/model.onnx") == "c"
    for path in ("./nothing", "nothing/here", "/nothing", "~/nothing"):
        error = process.error("SELECT bge_load('c', ?)", path)
        assert f"'{path}' does not exist; expected a model folder" in error, error
    error = process.error("SELECT bge_load('c', ?)", f"./{TINY}/config.json")
    assert "is there, but is neither a model folder nor an .onnx file" in error, error


def test_a_file_beside_the_weights_that_is_no_file_is_not_waited_for(folder):
    os.mkfifo(folder / "onnx" / "model.onnx.data")
    db = connect()
    assert load(db, "beside-a-pipe", folder) == "beside-a-pipe"
    unload(db, "beside-a-pipe")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model.onnx"):
        broken = shutil.copytree(folder, folder.parent / name.replace("/", "-"), ignore=shutil.ignore_patterns("*.data"))
        (broken / name).unlink(missing_ok=True)
        os.mkfifo(broken / name)
        error = str(failure(db, "SELECT bge_load('pipe', ?)", str(broken)))
        assert "pipe" in error or "has neither" in error, error


def test_a_tokenizer_cannot_ask_for_minutes_of_work(folder):
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["max_input_chars_per_word"] = 2**31
    path.write_text(json.dumps(tokenizer))
    error = str(failure(connect(), "SELECT bge_load('slow', ?)", str(folder)))
    assert "max_input_chars_per_word is 2147483648, expected at most" in error, error


# --- texts without a place to cut them ----------------------------------------------------------

WORDS = {"letters": "x", "marks": "\u0301", "emoji": "\U0001f600", "added tokens": "[SEP]", "ideographs": "\u8a9e",
         "rare ideographs": "\U00020000", "punctuation": "!", "wide punctuation": "\uff01", "blanks": " ", "controls": "\u200b"}


@pytest.mark.parametrize("what", WORDS)
def test_a_text_of_megabytes_takes_little_memory_and_can_be_stopped(what):
    run_python(f"""
import resource, threading, time, apsw
db = connect()
embed(db, "a", "{SMALL}")
text = {WORDS[what]!a} * (31 * 2**20 // len({WORDS[what]!a}.encode()))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.monotonic()
embed(db, text, "{SMALL}")
seconds = time.monotonic() - start
value(db, "SELECT bge_tokens(?, ?)", text[:len(text) // 8], "{SMALL}")
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert grown < 200_000, f"{{grown}} KB more"
class Stop(Exception): pass
asked = []
def stop():
    asked.append(time.monotonic())
    return len(asked) > 4
db.set_progress_handler(stop, 1000)
try:
    value(db, "SELECT bge_tokens(?, ?)", text, "{SMALL}")
    raise AssertionError("not stopped")
except apsw.InterruptError:
    pass
gaps = [b - a for a, b in zip(asked, asked[1:])]
assert max(gaps) < 0.7, gaps
""", timeout=120)


def test_short_memory_is_an_error_and_not_the_end():
    """Where an input decides the size: here the copy of a text behind the query instruction."""
    run_python(f"""
import resource, apsw
db = connect()
embed(db, "a", "{SMALL}")
text = ("a b " * 2**23)[:-16]
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + 24 * 2**20, resource.getrlimit(resource.RLIMIT_AS)[1]))
try:
    value(db, "SELECT bge_embed_query(?, ?)", text, "{SMALL}")
    raise SystemExit("there was memory enough")
except (apsw.NoMemError, MemoryError):
    pass
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
assert len(value(db, "SELECT bge_embed_query(?, ?)", text, "{SMALL}")) == 384 * 4
""")
