"""Models in use: replaced or unloaded while statements run, what bge_models shows, and the environment's settings of the
default model."""

import shutil
import threading

import apsw
import pytest
from support import (DIST, FIXTURES, SMALL, TINY, connect, distance, embed, failure, floats, load, loaded, run_python,
                     stopped_after, unload, value)

OTHER = "tiny-bert-no-types"
TEXT = "how do i reset my password"


def both(db, text=TEXT):
    """The vectors of the two tiny models."""
    return [floats(embed(db, text, model)) for model in (TINY, OTHER)]


# --- replaced and unloaded while in use ----------------------------------------------------------

ROWS = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 600) SELECT i FROM n)"
RUNNING = {
    "bge_embed": f"SELECT 'text ' || i, bge_embed('text ' || i, ?) FROM {ROWS}",
    "bge_embed_query": f"SELECT 'text ' || i, bge_embed_query('text ' || i, ?) FROM {ROWS}",
    "bge_batch": f"SELECT text, embedding FROM bge_batch('SELECT i, ''text '' || i FROM {ROWS}', ?)",
    "bge_embed_each": f"SELECT e.text, e.embedding FROM (SELECT json_group_array('text ' || i) a FROM {ROWS}), bge_embed_each(a, ?) e",
}


@pytest.mark.parametrize("change", ["replaced", "unloaded", "unloaded and replaced"])
@pytest.mark.parametrize("function", RUNNING)
def test_a_running_statement_keeps_its_model(db, connect, name, function, change):
    load(db, name)
    rows = db.cursor().execute(RUNNING[function], (name,))
    found = [next(rows) for _ in range(5)]
    other = connect()
    if "unloaded" in change:
        assert unload(other, name) == 1
        assert name not in loaded(other)
    if "replaced" in change:
        load(other, name, OTHER)
        assert distance(embed(other, TEXT, name), both(db)[1]) < 1e-6
    with stopped_after(db, 30):
        found += list(rows)
    assert len(found) == 600
    for text, vector in [*found[:8], *found[60:70], *found[-5:]]:
        assert distance(vector, floats(embed(db, text, TINY))) < 1e-6, text
    if "replaced" in change:
        assert distance(embed(db, TEXT, name), both(db)[1]) < 1e-6
    else:
        assert name in str(failure(db, "SELECT bge_embed('a', ?)", name))


def test_loading_again_replaces_for_every_connection_and_statement(db, connect, name):
    other = connect()
    for source, which in ((TINY, 0), (OTHER, 1), (TINY, 0)):
        load(db, name, source)
        for connection in (db, other):  # each keeps its prepared statement
            assert distance(embed(connection, TEXT, name), both(db)[which]) < 1e-6
            [(vector,)] = connection.execute("SELECT embedding FROM bge_batch('SELECT 1, ?1', ?, ?)", (name, TEXT))
            assert distance(vector, both(db)[which]) < 1e-6


def test_a_load_that_fails_keeps_the_old_model(db, name, tmp_path):
    load(db, name, max_length=100)
    broken = shutil.copytree(FIXTURES / TINY, tmp_path / "broken")
    (broken / "onnx" / "model.onnx").write_bytes(b"no model")
    for arguments in ((name, str(broken)), (name, "no-such-model"), (name, TINY, '{"threads": 0}')):
        failure(db, f"SELECT bge_load({', '.join('?' * len(arguments))})", *arguments)
        assert loaded(db)[name]["max_length"] == 100
        assert distance(embed(db, TEXT, name), both(db)[0]) < 1e-6


def test_unload_says_whether_there_was_one(db, name):
    load(db, name)
    assert [unload(db, name) for _ in range(3)] == [1, 0, 0]
    assert unload(db, "never-loaded") == unload(db, "a/b") == unload(db, "") == 0
    assert f"no model '{name}' found" in str(failure(db, "SELECT bge_embed('a', ?)", name))


def test_a_model_that_is_found_by_its_name_comes_back_after_unload(db):
    before = embed(db, TEXT)
    assert unload(db, TINY) == 1 and TINY not in loaded(db)
    assert embed(db, TEXT) == before and unload(db, TINY) == 1


def test_a_loaded_name_hides_a_folder_of_that_name(db, model_folder):
    model_folder("hidden-folder")
    load(db, "hidden-folder", OTHER)
    assert distance(embed(db, TEXT, "hidden-folder"), both(db)[1]) < 1e-6
    assert unload(db, "hidden-folder") == 1
    assert distance(embed(db, TEXT, "hidden-folder"), both(db)[0]) < 1e-6
    unload(db, "hidden-folder")


def test_load_and_unload_while_other_threads_run(db, name):
    """A caller gets a right vector of one of the two models, or is told that there is none."""
    load(db, name)
    right, wrong, end = both(db), [], threading.Event()

    def work():
        connection = connect()
        while not end.is_set():
            try:
                for vector, in connection.execute("SELECT embedding FROM bge_batch(?, ?)", (f"SELECT 1, '{TEXT}'", name)):
                    if min(distance(vector, wanted) for wanted in right) > 1e-6:
                        wrong.append("a vector of neither model")
            except apsw.Error as error:
                if f"no model '{name}' found" not in str(error):
                    wrong.append(error)
        connection.close(True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    for n in range(25):
        load(db, name, (TINY, OTHER)[n % 2])
        if n % 3 == 0:
            assert unload(db, name) == 1
    end.set()
    [thread.join() for thread in threads]
    assert wrong == []


# --- bge_models ----------------------------------------------------------------------------------

COLUMNS = ["name", "source", "loaded", "dims", "max_length", "pooling", "device", "precision", "revision", "bytes"]


def models(db):
    cursor = db.execute("SELECT * FROM bge_models")
    assert [column[0] for column in cursor.description] == COLUMNS
    rows = [dict(zip(COLUMNS, row)) for row in cursor]
    assert len({row["name"] for row in rows}) == len(rows)
    return {row["name"]: row for row in rows}


def test_models_shows_what_can_be_used_before_anything_is_loaded():
    run_python("""
db = connect()
found = {row[0]: row[1:] for row in db.execute("SELECT * FROM bge_models")}
assert set(found) == {"bge-small-en-v1.5", "tiny-bert", "tiny-bert-fp16", "tiny-bert-no-types"}, found
assert found["tiny-bert"][:5] == (str(FIXTURES / "tiny-bert"), 0, 32, 512, "cls")
assert found["tiny-bert-no-types"][:5] == (str(FIXTURES / "tiny-bert-no-types"), 0, 32, 512, "mean")
assert found["bge-small-en-v1.5"][:5] == (str(DIST / "models" / "bge-small-en-v1.5"), 0, 384, 512, "cls")
assert all(row[8] > 100_000 for row in found.values())
assert loaded(db) == {}
""")


def test_models_shows_what_is_in_use(db, name):
    assert name not in models(db)
    load(db, name, f"{FIXTURES}/{OTHER}", max_length=100, pooling="cls")
    row = models(db)[name]
    assert (row["source"], row["loaded"], row["dims"], row["max_length"]) == (f"{FIXTURES}/{OTHER}", 1, 32, 100)
    assert (row["pooling"], row["device"], row["precision"]) == ("cls", "cpu", "fp32")
    assert row["bytes"] >= (FIXTURES / OTHER / "model.onnx").stat().st_size
    unload(db, name)
    assert name not in models(db)
    embed(db, "a")
    assert models(db)[TINY]["loaded"] == 1
    unload(db, TINY)
    assert models(db)[TINY]["loaded"] == 0


def test_models_shows_a_folder_that_appears_and_none_that_is_broken_hides_the_others(db, model_folder):
    folder = model_folder("new-model")
    assert models(db)["new-model"]["source"] == str(folder)
    (folder / "config.json").write_text("{")
    assert TINY in models(db)
    assert value(db, "SELECT count(*) FROM bge_models WHERE name = ?", TINY) == 1
    assert SMALL in models(db) and models(db)[SMALL]["source"].startswith(str(DIST))


# --- the environment of the default model --------------------------------------------------------

DEFAULT = """
import os
db = connect()
vector = lambda: value(db, "SELECT bge_embed('reset')")
shown = lambda: loaded(db)[os.environ["BGE_MODEL"]]
"""


def default(code, **env):
    run_python(DEFAULT + code, env={"BGE_MODEL": TINY, **env})


def test_bge_threads():
    default("""
before = len(os.listdir("/proc/self/task"))
assert len(vector()) == 128 and shown()["threads"] == 3
assert len(os.listdir("/proc/self/task")) == before + 2
""", BGE_THREADS=3)


def test_bge_cache_mb():
    default("vector(), vector(); assert (shown()['inferences'], shown()['cache']['hits']) == (2, 0)", BGE_CACHE_MB=0)
    default("vector(), vector(); assert (shown()['inferences'], shown()['cache']['hits']) == (1, 1)\n"
            "assert shown()['cache']['capacity_bytes'] == 3 * 2**20", BGE_CACHE_MB=3)


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_bge_device(device):
    default(f"vector(); assert (shown()['device']['asked'], shown()['device']['got']) == ('{device}', 'cpu')", BGE_DEVICE=device)


def test_they_hold_for_the_default_model_by_its_own_name_too():
    default("assert embed(db, 'reset', TINY) == vector() and shown()['threads'] == 1", BGE_THREADS=1)


@pytest.mark.parametrize("setting", [None, ""], ids=["unset", "empty"])
def test_without_them_there_are_the_defaults(setting):
    """An empty one is none, as with BGE_MODEL."""
    default("vector(); assert shown()['threads'] == len(os.sched_getaffinity(0))\n"
            "assert (shown()['cache']['capacity_bytes'], shown()['device']['asked']) == (64 * 2**20, 'auto')",
            BGE_THREADS=setting, BGE_CACHE_MB=setting, BGE_DEVICE=setting)


@pytest.mark.parametrize("variable, settings", [
    ("BGE_THREADS", ["0", "10000", "-1", "many", "1.5", "0x2"]),
    ("BGE_CACHE_MB", ["-1", "65537", "64MB", "1e3", "18446744073709551617"]), ("BGE_DEVICE", ["gpu", "CPU!", "5"])])
def test_a_bad_setting_is_an_error_that_names_it_until_it_is_gone(host, variable, settings):
    process = host(env={"BGE_MODEL": TINY})
    for setting in settings:
        process.set(variable, setting)
        message = process.error("SELECT bge_embed('reset')")
        assert message.startswith("bge_embed: ") and variable in message and setting in message, message
        assert process.value("SELECT bge_dims(zeroblob(8))") == 2
        assert setting in process.error("SELECT embedding FROM bge_batch('SELECT 1, ''a''')")
    process.set(variable, None)
    assert process.value("SELECT length(bge_embed('reset'))") == 128


def test_the_environment_does_not_change_vectors():
    """Options that do are for bge_load alone."""
    default("vector(); assert shown()['pooling'] == 'cls'\n"
            "assert (shown()['max_length'], shown()['overflow'], shown()['query_instruction']) == (512, 'truncate', '')",
            BGE_POOLING="mean", BGE_MAX_LENGTH=8, BGE_OVERFLOW="error", BGE_QUERY_INSTRUCTION="x", BGE_PRECISION="int8")


def test_what_bge_load_says_counts_more():
    default("""
load(db, TINY, threads=2, cache_mb=1)
vector()
assert (shown()["threads"], shown()["cache"]["capacity_bytes"]) == (2, 2**20)
""", BGE_THREADS=1, BGE_CACHE_MB=7)
