"""`npx sqlite-bge download`: from a hub on this machine into the user's cache, and from Maven."""

import functools
import json
import shutil
import signal
import subprocess
import time

import pytest
from languages import MODELS, ROOT, SMALL, check_example, need
from local_hub import LocalHub
from node_app import app, hosts, new_node  # noqa: F401 (fixtures)

CATALOG = {m["name"]: m for m in json.loads((ROOT / "src" / "engine" / "catalog.json").read_text())["models"]}
REPO, PINNED = CATALOG[SMALL]["hub"], CATALOG[SMALL]["revision"]
FOLDER = f"models--{REPO.replace('/', '--')}"
NEEDED = ["config.json", "tokenizer.json", "onnx/model.onnx"]


@functools.lru_cache
def real_files():
    files = {name: MODELS / SMALL / name for name in CATALOG[SMALL]["files"]}
    return {name: path.read_bytes() for name, path in files.items() if path.is_file()}


@pytest.fixture
def hub():
    made = LocalHub(REPO, PINNED, real_files())
    yield made
    made.close()


@pytest.fixture
def without_maven(tmp_path):
    """A PATH with Node on it and nothing else."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "node").symlink_to(shutil.which("node"))
    return str(tmp_path / "bin")


@pytest.fixture
def download(app, tmp_path, hub, without_maven):  # noqa: F811
    """Runs the command against the hub, with a home of its own."""
    home = tmp_path / "home"

    def start(*words, **changes):
        changes = {"HF_ENDPOINT": hub.url, "HOME": home, "BGE_MODELS": None, **changes}
        return app.command("download", *words, path=without_maven, **changes)

    start.home, start.cache = home, home / ".cache" / "huggingface" / "hub"
    return start


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_model_from_the_hub_is_found_by_the_extension(app, new_node, download, hub):  # noqa: F811
    done = download()
    snapshot = download.cache / FOLDER / "snapshots" / PINNED
    assert (done.returncode, done.stdout) == (0, f"{snapshot}\n"), done.stderr
    assert names(snapshot) == sorted(hub.files)
    assert (download.cache / FOLDER / "refs" / "main").read_text() == PINNED
    env = app.env(HOME=download.home, BGE_MODELS=None)
    check_example([new_node, "node-sqlite.mjs"], env, app.folder)

    asked = len(hub.requests)
    again = download()
    assert (again.returncode, again.stdout) == (0, done.stdout) and "is there, whole" in again.stderr
    assert len(hub.requests) == asked


@pytest.mark.parametrize("variable, below", [("HF_HUB_CACHE", "."), ("HF_HOME", "hub"),
                                             ("XDG_CACHE_HOME", "huggingface/hub")])
def test_variables_that_name_the_cache(app, new_node, download, tmp_path, variable, below):  # noqa: F811
    place = tmp_path / "elsewhere"
    done = download(**{variable: place})
    assert done.stdout == f"{(place / below).resolve()}/{FOLDER}/snapshots/{PINNED}\n", done.stderr
    env = app.env(HOME=download.home, BGE_MODELS=None, **{variable: place})
    check_example([new_node, "node-sqlite.mjs"], env, app.folder)


def test_the_token_goes_to_the_hub_and_is_not_shown(download, hub):
    done = download(HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    assert {token for _, _, token in hub.requests} == {"Bearer hf_secret"}
    assert "secret" not in done.stdout + done.stderr


def test_the_token_of_a_login(download, hub):
    (download.cache.parent).mkdir(parents=True)
    (download.cache.parent / "token").write_text("hf_login\n")
    assert download().returncode == 0
    assert {token for _, _, token in hub.requests} == {"Bearer hf_login"}


def test_a_cache_that_has_another_revision_is_completed_and_not_moved(download, hub):
    hub.revision = "1" * 40
    repo = download.cache / FOLDER
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(hub.revision)
    (repo / "snapshots" / hub.revision).mkdir(parents=True)
    (repo / "snapshots" / hub.revision / "pytorch_model.bin").write_text("somebody's")
    done = download()
    assert done.returncode == 0, done.stderr
    assert (repo / "refs" / "main").read_text() == hub.revision
    assert names(repo / "snapshots" / hub.revision) == sorted([*hub.files, "pytorch_model.bin"])


def test_a_revision_that_is_a_branch_is_looked_up(download, hub):
    """Most of the catalogue names the branch main; what is served under it is this test's files."""
    model = CATALOG["bge-small-en"]
    assert model["revision"] == "main"
    hub.repo, hub.revision = model["hub"], "2" * 40
    done = download("bge-small-en")
    folder = download.cache / f"models--{hub.repo.replace('/', '--')}"
    assert done.stdout == f"{folder}/snapshots/{hub.revision}\n", done.stderr
    assert (folder / "refs" / "main").read_text() == hub.revision


# --- what goes wrong --------------------------------------------------------------------------------


def is_unseen(download):
    return not (download.cache / FOLDER / "refs" / "main").exists()


def test_wrong_bytes_are_refused_and_not_kept(download, hub):
    hub.files["tokenizer.json"] = hub.files["tokenizer.json"].replace(b"the", b"teh")
    done = download()
    assert done.returncode == 1 and is_unseen(download)
    wanted = CATALOG[SMALL]["files"]["tokenizer.json"]
    assert "tokenizer.json has the SHA-256" in done.stderr and f"the catalogue has {wanted}" in done.stderr
    hub.files.update(real_files())
    assert download().returncode == 0


def test_wrong_bytes_of_a_file_without_a_hash_in_the_catalogue(download, hub):
    assert CATALOG[SMALL]["files"]["config.json"] is None
    hub.files["config.json"] = hub.files["config.json"].replace(b"384", b"385")
    done = download()
    assert done.returncode == 1 and is_unseen(download)
    assert "config.json has the Git hash" in done.stderr and "the hub has" in done.stderr


def test_a_connection_that_breaks_half_way(download, hub):
    hub.cut.add("onnx/model.onnx")
    done = download()
    assert done.returncode == 1 and is_unseen(download)
    assert "the hub did not bring bge-small-en-v1.5: " in done.stderr
    hub.cut.clear()
    assert download().returncode == 0


def test_a_damaged_file_in_the_cache_is_fetched_again(download, hub):
    assert download().returncode == 0
    graph = download.cache / FOLDER / "snapshots" / PINNED / "onnx" / "model.onnx"
    whole = graph.read_bytes()
    graph.resolve().write_bytes(whole[:1000])
    assert download().returncode == 0
    assert graph.read_bytes() == whole


def test_a_file_that_the_model_works_without(download, hub):
    hub.files.pop("1_Pooling/config.json")
    assert download().returncode == 0


@pytest.mark.parametrize("missing", NEEDED)
def test_a_file_that_the_hub_lacks(download, hub, missing):
    hub.files.pop(missing)
    done = download()
    assert done.returncode == 1 and is_unseen(download)
    assert f"the hub has no {missing} in {REPO} at {PINNED}" in done.stderr


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_a_hub_that_refuses(download, hub, status):
    hub.status = status
    done = download()
    assert done.returncode == 1 and "told to fail" in done.stderr and "a way out: set HF_ENDPOINT" in done.stderr


def test_a_hub_that_cannot_be_reached_and_no_maven(download):
    done = download(HF_ENDPOINT="http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    for words in ("fetch failed", "there is no mvn on the PATH", "set HF_ENDPOINT to a mirror",
                  f"by hand into {download.home}/.local/share/bge/models/{SMALL}: {', '.join(NEEDED)}"):
        assert words in done.stderr


def test_offline(download, hub):
    done = download(HF_HUB_OFFLINE="1")
    assert done.returncode == 1 and hub.requests == []
    assert "HF_HUB_OFFLINE is set: the hub is not asked" in done.stderr
    assert "a way out: unset HF_HUB_OFFLINE" in done.stderr


def test_an_endpoint_that_is_no_url(download):
    done = download(HF_ENDPOINT="huggingface.co")
    assert "HF_ENDPOINT is 'huggingface.co', it must start with https:// or http://" in done.stderr


@pytest.mark.parametrize("words, message", [
    (["no-such-model"], "'no-such-model' is not in the catalogue; it has: bge-small-en-v1.5, "),
    (["../x"], "'../x' is not in the catalogue"),
    (["a", "b"], "'download a b' is no command"),
    (["--into", "x"], "Unknown option '--into'"),
])
def test_words_that_are_not_understood(download, words, message):
    done = download(*words)
    assert done.returncode in (1, 2) and message in done.stderr and done.stdout == ""


def interrupted(app, env, is_at_work):
    """Starts a download, interrupts it when it is at work, and gives what it said."""
    process = subprocess.Popen([app.bin, "download"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert is_at_work(), "it did not come so far"
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=10)
    finally:
        process.kill()
    return process.returncode, *output


def test_ctrl_c_while_the_hub_is_slow(app, download, hub, without_maven):  # noqa: F811
    hub.slow.add("onnx/model.onnx")
    env = app.env(HF_ENDPOINT=hub.url, HOME=download.home, PATH=without_maven)
    code, out, err = interrupted(app, env, lambda: hub.stalled.wait(30))
    assert (code, out) == (130, "") and err.endswith("sqlite-bge: stopped; a later try goes on with what is whole\n")
    assert is_unseen(download)
    hub.slow.clear()
    assert download().returncode == 0


def test_ctrl_c_while_maven_is_at_work(app, tmp_path, without_maven):  # noqa: F811
    """A stand-in for mvn that never ends: what it was to unpack into is removed."""
    started = tmp_path / "started"
    maven = tmp_path / "bin" / "mvn"
    maven.write_text(f"#!/bin/sh\n: > {started}\nexec {shutil.which('sleep')} 60\n")
    maven.chmod(0o755)
    env = app.env(HF_HUB_OFFLINE="1", HOME=tmp_path / "home", BGE_MODELS=None, PATH=without_maven)
    code, out, _ = interrupted(app, env, lambda: any(started.exists() or time.sleep(0.1) for _ in range(300)))
    assert (code, out) == (130, "")
    assert list((tmp_path / "home" / ".local" / "share" / "bge" / "models").iterdir()) == []


def test_maven_where_the_hub_is_out_of_reach(app, new_node, tmp_path):  # noqa: F811
    """The way from nothing to a result: install the tarballs, download, search."""
    need("maven")
    home = tmp_path / "home"
    done = app.command("download", HF_ENDPOINT="http://127.0.0.1:9", HOME=home, BGE_MODELS=None)
    folder = home / ".local" / "share" / "bge" / "models" / SMALL
    assert (done.returncode, done.stdout) == (0, f"{folder}\n"), done.stderr
    assert names(folder) == sorted(name for name in CATALOG[SMALL]["files"] if name != "tokenizer_config.json")
    assert [path.name for path in folder.parent.iterdir()] == [SMALL]
    check_example([new_node, "node-sqlite.mjs"], app.env(HOME=home, BGE_MODELS=None), app.folder)

    (folder / "onnx" / "model.onnx").write_bytes(b"half")
    again = app.command("download", HF_ENDPOINT="http://127.0.0.1:9", HOME=home, BGE_MODELS=None)
    assert again.returncode == 0 and (folder / "onnx" / "model.onnx").stat().st_size > 1e8
