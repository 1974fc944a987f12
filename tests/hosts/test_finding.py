"""Where models and the runtime are looked for (docs/SQL.md, Models), in order."""

import json
import os
import shutil

import pytest
from support import (DIST, EXTENSION, FIXTURES, RUNTIME, SMALL, TINY, CommandLine, Oldest, distance, run_python,
                     sqlite3, tiny_golden)

TEXT, WANTED = tiny_golden()[1]["text"], tiny_golden()[1]["cls"]
MEAN = tiny_golden("tiny-bert-no-types")[1]["mean"]


class NewestElsewhere:
    """apsw in a process of its own."""

    def rows(self, sql, extension, **options):
        code = "print(json.dumps(list(connect(sys.argv[1]).execute(sys.argv[2]))))"
        return json.loads(run_python(code, extension, sql, **options))


def vector(process, model=TINY):
    return process.embed(TEXT, model)


def test_a_path_list_in_bge_models_is_searched_in_order(host, tmp_path):
    shutil.copytree(FIXTURES / "tiny-bert-no-types", tmp_path / "second" / TINY)
    for order, wanted in [(["first", "second", FIXTURES], MEAN), (["first", FIXTURES, "second"], WANTED)]:
        paths = os.pathsep.join(str(tmp_path / folder) for folder in order)
        assert distance(vector(host(env={"BGE_MODELS": paths})), wanted) < 1e-5


def test_models_beside_the_library_come_after_bge_models(dist_copy, host):
    shutil.copytree(FIXTURES / "tiny-bert-no-types", dist_copy / "models" / TINY)
    assert distance(vector(host(dist_copy / "libbge", env={"BGE_MODELS": None})), MEAN) < 1e-5
    assert distance(vector(host(dist_copy / "libbge")), WANTED) < 1e-5


def test_the_users_data_folder(host, tmp_path):
    shutil.copytree(FIXTURES / TINY, tmp_path / "bge" / "models" / TINY)
    process = host(env={"BGE_MODELS": None, "XDG_DATA_HOME": tmp_path})
    assert distance(vector(process), WANTED) < 1e-5


@pytest.mark.parametrize("variable, below", [("HF_HUB_CACHE", "."), ("HF_HOME", "hub")])
def test_the_hugging_face_cache(host, tmp_path, variable, below):
    repo = tmp_path / below / "models--BAAI--bge-base-en-v1.5"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc123")
    shutil.copytree(FIXTURES / TINY, repo / "snapshots" / "abc123")
    shutil.copytree(FIXTURES / "tiny-bert-no-types", repo / "snapshots" / "abc124")
    process = host(env={variable: tmp_path})
    assert distance(vector(process, "bge-base-en-v1.5"), WANTED) < 1e-5


def test_bge_model_names_the_default(host):
    process = host(env={"BGE_MODEL": TINY})
    assert process.value("SELECT hex(bge_embed(?))", TEXT) == vector(process).hex().upper()
    assert host(env={"BGE_MODEL": ""}).value("SELECT length(bge_embed('a'))") == 384 * 4


def test_a_bad_name_in_bge_model_is_an_error(host):
    process = host(env={"BGE_MODEL": "../tiny-bert"})
    assert "model name" in process.error("SELECT bge_embed('a')")


def test_bge_ort_lib_wins_over_the_library_beside(dist_copy, host, tmp_path):
    (dist_copy / RUNTIME).write_text("not a library")
    runtime = tmp_path / "elsewhere.so"
    runtime.symlink_to(DIST / RUNTIME)
    process = host(dist_copy / "libbge", env={"BGE_ORT_LIB": runtime})
    assert distance(vector(process), WANTED) < 1e-5
    assert json.loads(process.value("SELECT bge_info()"))["runtime"]["path"] == str(runtime)


def test_the_runtime_of_an_onnxruntime_wheel_beside_our_own(dist_copy, host):
    wheel = dist_copy.parent / "onnxruntime" / "capi"
    wheel.mkdir(parents=True)
    (dist_copy / RUNTIME).rename(wheel / "libonnxruntime.so.1.28.0")
    assert distance(vector(host(dist_copy / "libbge")), WANTED) < 1e-5


def test_the_working_directory_is_never_searched_for_a_runtime(dist_copy, host, tmp_path):
    (dist_copy / RUNTIME).rename(tmp_path / RUNTIME)
    process = host(dist_copy / "libbge", cwd=tmp_path)
    assert "ONNX Runtime" in process.error(f"SELECT bge_embed('a', '{TINY}')")


@pytest.fixture
def elsewhere(tmp_path):
    """All of dist/, with its model, in another place."""
    folder = shutil.copytree(DIST, tmp_path / "elsewhere ü")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("host_class", [CommandLine, NewestElsewhere, Oldest])
def test_dist_works_elsewhere_from_any_working_directory(host_class, elsewhere):
    sql = "SELECT round(bge_cosine(bge_embed('embedding'), bge_embed('I love machine learning and nlp')), 5)"
    options = {"extension": elsewhere / "libbge", "env": {"BGE_MODELS": None}, "cwd": "/"}
    assert host_class().rows(sql, **options) == [[0.60462]]


def test_a_relative_path_to_the_library(tmp_path):
    """The working directory may change between loading and the first embedding."""
    sql = f"SELECT bge_tokens('a', '{TINY}') + length(bge_embed('a', '{TINY}'))"
    for folder, name in [(DIST, "./libbge"), (DIST.parent, f"{DIST.name}/libbge")]:
        done = sqlite3(".cd /", sql, extension=name, cwd=folder)
        assert (done.stdout, done.stderr) == ("131\n", "")


def test_what_bge_info_says_of_places(host):
    info = json.loads(host().value("SELECT bge_info()"))
    assert info["library"] == str(EXTENSION.parent)
    found = {place["path"]: place["found"] for place in info["model"]["looked_at"]}
    assert found[str(DIST / "models" / SMALL)] and not found[str(FIXTURES / SMALL)]
    assert info["default_model"] == SMALL and info["runtime"]["started"] is False
