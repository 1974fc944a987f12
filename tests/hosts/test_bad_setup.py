"""Broken installations: the message names what came and the way out, the connection stays usable,
and once the cause is fixed the next call of the same connection works."""

import json
import os
import shutil
import subprocess
import time

import pytest
from support import DIST, FIXTURES, RUNTIME, SMALL, TINY, blob, distance, embed, failure, tiny_golden, value

TEXT, WANTED = tiny_golden()[1]["text"], tiny_golden()[1]["cls"]
EMBED = f"SELECT hex(bge_embed('a', '{TINY}'))"


# --- the runtime ---------------------------------------------------------------------------------


def assert_usable(host):
    assert host.value("SELECT 1") == 1
    assert host.value(f"SELECT bge_dot(x'{blob(1, 2).hex()}', x'{blob(3, 4).hex()}')") == 11.0


def assert_embeds(host):
    assert distance(host.embed(TEXT), WANTED) < 1e-5


def test_no_runtime_found_until_it_is_copied_into_place(dist_copy, host):
    (dist_copy / RUNTIME).unlink()
    process = host(dist_copy / "libbge")
    for _ in range(2):
        error = process.error(EMBED)
        assert error.startswith("bge_embed: ") and "ONNX Runtime" in error
        assert str(dist_copy / RUNTIME) in error and "BGE_ORT_LIB" in error and "make build" in error
        assert_usable(process)
    shutil.copy(DIST / RUNTIME, dist_copy)
    assert_embeds(process)


def test_a_failed_load_is_in_bge_info(dist_copy, host):
    (dist_copy / RUNTIME).unlink()
    process = host(dist_copy / "libbge")
    error = process.error(EMBED)
    info = json.loads(process.value("SELECT bge_info()"))
    assert info["last_load_error"] and info["last_load_error"] in error
    assert info["runtime"]["looked_at"][0]["found"] is False and info["loaded"] == []


def foreign_library(folder):
    """A real shared library that has nothing to do with ONNX Runtime."""
    [path] = {line.split()[-1] for line in open("/proc/self/maps", encoding="ascii") if "/libm.so" in line}
    return shutil.copy(path, folder / "libother.so")


def old_library(folder):
    """A library that says it is ONNX Runtime 1.16.3."""
    source = folder / "old.c"
    source.write_text("""
        static const void *get_api(unsigned v) { return v > 16 ? 0 : (void *)1; }
        static const char *get_version(void) { return "1.16.3"; }
        static const struct { const void *(*a)(unsigned); const char *(*v)(void); } base = {get_api, get_version};
        const void *OrtGetApiBase(void) { return &base; }
    """)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libold.so", source], check=True)
    return folder / "libold.so"


def text_file(folder):
    (folder / "libtext.so").write_text("not a library\n")
    return folder / "libtext.so"


def half_a_library(folder):
    with open(DIST / RUNTIME, "rb") as whole:
        (folder / "libhalf.so").write_bytes(whole.read(100_000))
    return folder / "libhalf.so"


FAULTS = {
    "missing": (lambda folder: folder / "libgone.so", ["libgone.so", "does not exist"]),
    "text file": (text_file, ["libtext.so"]),
    "truncated": (half_a_library, ["libhalf.so"]),
    "another library": (foreign_library, ["libother.so", "not ONNX Runtime"]),
    "too old": (old_library, ["libold.so", "1.16.3", "expected 1."]),
    "a folder": (lambda folder: folder, []),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", ["BGE_ORT_LIB", "beside the library"])
def test_a_runtime_that_cannot_be_used(dist_copy, host, tmp_path, fault, place):
    make, parts = FAULTS[fault]
    library = make(tmp_path)
    process = host(dist_copy / "libbge")
    runtime = dist_copy / RUNTIME
    if place == "BGE_ORT_LIB":
        process.set("BGE_ORT_LIB", library)
    elif fault in ("missing", "a folder"):
        runtime.unlink()
        if fault == "a folder":
            runtime.mkdir()
        parts = [RUNTIME]
    else:
        runtime.unlink()
        shutil.copy(library, runtime)
        parts = [RUNTIME, *parts[1:]]
    for _ in range(2):
        error = process.error(EMBED)
        assert error.startswith("bge_embed: ") and all(part in error for part in parts), error
        assert len(error) < 2000 and "panic" not in error and "\n" not in error, error
        assert_usable(process)
    process.set("BGE_ORT_LIB", None)
    if place != "BGE_ORT_LIB":
        runtime.rmdir() if runtime.is_dir() else runtime.unlink(missing_ok=True)
        shutil.copy(DIST / RUNTIME, runtime)
    assert_embeds(process)


@pytest.mark.parametrize("fault", ["text file", "another library", "too old"])
def test_a_runtime_that_cannot_be_used_has_a_way_out(host, tmp_path, fault):
    process = host()
    process.set("BGE_ORT_LIB", FAULTS[fault][0](tmp_path))
    error = process.error(EMBED)
    assert "BGE_ORT_LIB" in error or "make build" in error, error


# --- the model folder ----------------------------------------------------------------------------


class Broken:
    """A model folder that something is wrong with, and how to put it right."""

    def __init__(self, folder):
        self.folder = folder

    def replace(self, file, source):
        shutil.copy(source, self.folder / file)

    def remove(self, *files):
        for file in files:
            (self.folder / file).unlink()

    def repair(self):
        shutil.copytree(FIXTURES / TINY, self.folder, dirs_exist_ok=True)


def truncate(file, size):
    data = file.read_bytes()
    file.write_bytes(data[:size if size >= 0 else len(data) + size])


ONNX = "onnx/model.onnx"
FOLDERS = {
    "no tokenizer": (lambda b: b.remove("tokenizer.json"), ["tokenizer.json"]),
    "no config": (lambda b: b.remove("config.json"), ["config.json"]),
    "no onnx": (lambda b: b.remove(ONNX), [ONNX]),
    "empty onnx": (lambda b: truncate(b.folder / ONNX, 0), [ONNX]),
    "half an onnx": (lambda b: truncate(b.folder / ONNX, 100_000), [ONNX]),
    "onnx without its last byte": (lambda b: truncate(b.folder / ONNX, -1), [ONNX]),
    "onnx that is text": (lambda b: (b.folder / ONNX).write_text("<html>404</html>"), [ONNX]),
    "half a tokenizer": (lambda b: truncate(b.folder / "tokenizer.json", 5_000), ["tokenizer.json"]),
    "half a config": (lambda b: truncate(b.folder / "config.json", 30), ["config.json"]),
    "config of nothing": (lambda b: (b.folder / "config.json").write_text("{}"), ["config.json", "hidden_size"]),
    "config that is no object": (lambda b: (b.folder / "config.json").write_text("[]"), ["config.json"]),
    "another pooling": (lambda b: (b.folder / "1_Pooling/config.json").write_text("{}"), ["1_Pooling", "pooling"]),
    "tokenizer of a larger vocabulary": (
        lambda b: b.replace("tokenizer.json", DIST / "models" / SMALL / "tokenizer.json"),
        ["tokenizer.json", "30522", "950"]),
    "unknown inputs": (lambda b: b.replace(ONNX, FIXTURES / "broken/unknown-inputs.onnx"), [ONNX, "pixel_values"]),
    "output of rank 2": (lambda b: b.replace(ONNX, FIXTURES / "broken/rank2.onnx"), [ONNX, "last_hidden_state"]),
    "output of rank 4": (lambda b: b.replace(ONNX, FIXTURES / "broken/rank4.onnx"), [ONNX, "last_hidden_state"]),
    "other hidden size": (
        lambda b: (b.folder / "config.json").write_text(
            (b.folder / "config.json").read_text().replace('"hidden_size": 32', '"hidden_size": 64')),
        ["64"]),
}


@pytest.mark.parametrize("fault", FOLDERS)
def test_a_broken_model_folder_until_it_is_repaired(db, model_folder, fault):
    name = "broken-" + fault.replace(" ", "-")
    broken = Broken(model_folder(name))
    spoil, parts = FOLDERS[fault]
    spoil(broken)
    for _ in range(2):
        error = str(failure(db, "SELECT bge_embed('a', ?)", name))
        assert error.startswith("bge_embed: ") and name in error
        assert all(part in error for part in parts), error
        assert len(error) < 2000 and "panic" not in error and "\n" not in error, error
        assert value(db, "SELECT bge_dot(zeroblob(4), zeroblob(4))") == 0.0
        assert distance(embed(db, TEXT), WANTED) < 1e-5
    broken.repair()
    assert distance(embed(db, TEXT, name), WANTED) < 1e-5


def test_a_model_with_a_tokenizer_of_a_smaller_vocabulary(db, tmp_path, monkeypatch):
    folder = tmp_path / "real-model-tiny-tokenizer"
    (folder / "onnx").mkdir(parents=True)
    real = DIST / "models" / SMALL
    (folder / ONNX).symlink_to(real / ONNX)
    shutil.copy(real / "config.json", folder)
    shutil.copy(FIXTURES / TINY / "tokenizer.json", folder)
    monkeypatch.setenv("BGE_MODELS", f"{tmp_path}{os.pathsep}{FIXTURES}")
    error = str(failure(db, "SELECT bge_embed('a', ?)", folder.name))
    assert all(part in error for part in ("tokenizer.json", "30522", "950", "another model")), error
    shutil.copy(real / "tokenizer.json", folder)
    assert value(db, "SELECT bge_tokens('a', ?)", folder.name) == 3


def test_config_and_tokenizer_of_a_larger_model_on_a_small_graph(db, model_folder):
    """Only the graph itself shows that they do not fit: an error, not a crash."""
    folder = model_folder("tiny-graph-real-tokenizer")
    shutil.copy(DIST / "models" / SMALL / "tokenizer.json", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 30522}))
    assert folder.name in str(failure(db, "SELECT bge_embed('machine learning', ?)", folder.name))
    assert distance(embed(db, TEXT), WANTED) < 1e-5


# --- no model, and names -------------------------------------------------------------------------


def test_no_model_until_it_is_copied_into_place(dist_copy, host):
    process = host(dist_copy / "libbge", env={"BGE_MODELS": None})
    for call in ("bge_embed('a')", "bge_tokens('a')", "bge_tokenize('a')", "bge_embed_query('a')"):
        error = process.error(f"SELECT {call}")
        assert error.startswith(call.split("(")[0]) and f"no model '{SMALL}'" in error
        assert str(dist_copy / "models" / SMALL) in error
        assert "make model" in error or "get_model.py" in error
        assert_usable(process)
    shutil.copytree(FIXTURES / TINY, dist_copy / "models" / SMALL)
    assert distance(bytes.fromhex(process.value("SELECT hex(bge_embed(?))", TEXT)), WANTED) < 1e-5


def test_an_unknown_model_name_lists_places_and_known_names(db):
    error = str(failure(db, "SELECT bge_embed('a', 'bge-smal-en')"))
    assert "'bge-smal-en'" in error and SMALL in error and str(FIXTURES / "bge-smal-en") in error


def test_a_null_text_gives_null_without_any_model(dist_copy, host):
    process = host(dist_copy / "libbge", env={"BGE_MODELS": None})
    assert process.value("SELECT typeof(bge_embed(NULL))") == "null"


@pytest.mark.parametrize("name", [
    "", ".", "..", "../tiny-bert", "/etc/passwd", "fixtures/tiny-bert", "tiny-bert/", "./tiny-bert", ".tiny-bert",
    "tiny..bert", "tiny\\bert", "tiny-bert\0", "tiny-bert\0.x", "tiny bert", "tiny-bert\n", "C:tiny", "~", "*", "ünï",
    "%s%n", "a" * 100_000 + "/",
])
def test_a_name_that_is_none(db, name):
    for sql in ("SELECT bge_embed('a', ?)", "SELECT bge_tokens('a', ?)", "SELECT bge_info(?)"):
        error = str(failure(db, sql, name))
        assert "model name" in error and "letters, digits" in error, error[:300]
        assert "\0" not in error
    assert len(embed(db, "a")) == 128


def test_a_very_long_name_is_an_error(db):
    assert "no model" in str(failure(db, "SELECT bge_embed('a', ?)", "a" * 5000))


def test_a_name_is_never_looked_for_in_the_working_directory(host):
    process = host(cwd=FIXTURES, env={"BGE_MODELS": None})
    assert f"no model '{TINY}'" in process.error(EMBED)


def test_a_failure_is_forgotten_quickly_enough_to_ask_often(db):
    start = time.monotonic()
    for _ in range(50):
        failure(db, "SELECT bge_embed('a', 'no-such-model')")
    assert time.monotonic() - start < 2
