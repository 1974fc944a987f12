"""scripts/get_model.py when something goes wrong: at the hub, in Maven, on the disk, or by a signal."""

import errno
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from setup_fakes import FILES, OPTIONAL, REQUIRED, ROOT, executable, sha256, status, without


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "what the test waits for did not come"
        time.sleep(0.01)


@pytest.fixture
def fetching(monkeypatch):
    """What the scripts share, as a module, for what cannot be brought about from outside."""
    monkeypatch.syspath_prepend(str(ROOT / "packages" / "python"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from sqlite_bge import fetching

    return fetching


def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


# --- the hub does not give everything -----------------------------------------------------


@pytest.mark.parametrize("file", OPTIONAL)
def test_an_optional_file_that_the_hub_lacks_is_passed_over_with_a_note(scripts, hub, file):
    del hub.files[file]
    done = scripts.model()
    assert done.returncode == 0
    assert f"there was no {file}; the model works without it" in done.stdout
    assert scripts.read() == without(file)
    hub.requests.clear()
    assert "is complete" in scripts.model().stdout and hub.requests == []


@pytest.mark.parametrize("file", REQUIRED)
def test_a_required_file_that_the_hub_lacks_is_an_error(scripts, hub, file):
    del hub.files[file]
    done = scripts.model()
    assert done.returncode == 1
    assert f"tiny came without {file}" in done.stderr
    assert scripts.left() == []


def test_a_wrong_hash_names_file_wanted_and_got_and_leaves_nothing(scripts, hub):
    hub.files["onnx/model.onnx"] = wrong = b"not the model" * 100
    done = scripts.model()
    assert done.returncode == 1
    for part in ("onnx/model.onnx", sha256(wrong), sha256(FILES["onnx/model.onnx"])):
        assert part in done.stderr
    assert scripts.left() == []


def test_a_log_in_page_is_not_taken_for_a_config(scripts, hub):
    hub.files["config.json"] = b"<html>please log in"
    done = scripts.model()
    assert done.returncode == 1 and "config.json" in done.stderr and "please log in" in done.stderr
    assert scripts.left() == []


def test_a_connection_that_breaks_leaves_nothing(scripts, hub):
    hub.files["config.json"] = hub.breaks(FILES["config.json"] * 1000, 500)
    done = scripts.model()
    assert done.returncode == 1 and "the hub did not give tiny: " in done.stderr
    assert scripts.left() == []


@pytest.mark.parametrize("code", [403, 401, 400])
def test_what_the_hub_answers_is_said(scripts, hub, code):
    hub.files["tokenizer.json"] = status(code)
    done = scripts.model()
    assert done.returncode == 1 and str(code) in done.stderr, done.stderr
    assert scripts.left() == []


def test_an_existing_folder_is_kept_when_the_new_one_cannot_be_had(scripts, hub):
    (scripts.into / "tiny").mkdir(parents=True)
    (scripts.into / "tiny/config.json").write_bytes(b"old")
    hub.files.pop("onnx/model.onnx")
    assert scripts.model().returncode == 1
    assert (scripts.read(), scripts.left()) == ({"config.json": b"old"}, ["tiny"])


# --- Maven does not -----------------------------------------------------------------------


@pytest.mark.parametrize("members, said", [
    ({"tiny.onnx": b"other", "tiny-tokenizer.json": FILES["tokenizer.json"]}, sha256(b"other")),
    ({"tiny-tokenizer.json": FILES["tokenizer.json"]}, "has no tiny.onnx in it"),
])
def test_a_jar_with_the_wrong_things_in_it(scripts, maven, tmp_path, members, said):
    with zipfile.ZipFile(tmp_path / "tiny.jar", "w") as jar:
        for name, content in members.items():
            jar.writestr(name, content)
    scripts.env["HF_HUB_OFFLINE"] = "1"
    done = scripts.model("tiny-jar")
    assert done.returncode == 1 and said in done.stderr
    assert scripts.left() == []


def test_a_damaged_jar(scripts, maven, tmp_path):
    jar = tmp_path / "tiny.jar"
    jar.write_bytes(jar.read_bytes()[:-100])
    scripts.env["HF_HUB_OFFLINE"] = "1"
    done = scripts.model("tiny-jar")
    assert done.returncode == 1 and "is damaged" in done.stderr
    assert scripts.left() == []


def test_what_maven_says_when_it_fails_is_shown(scripts, maven, bin):
    executable(bin / "mvn", "#!/bin/sh\necho '[ERROR] no such artifact'\nexit 1\n")
    scripts.env["HF_HUB_OFFLINE"] = "1"
    done = scripts.model("tiny-jar")
    assert done.returncode == 1
    assert "exit code 1" in done.stderr and "[ERROR] no such artifact" in done.stderr
    assert scripts.left() == []


def has_ended(pid):
    """Gone, or a zombie that its new parent has not collected yet."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_maven_ends_with_us(scripts, maven, bin, tmp_path):
    executable(bin / "mvn", f"#!/bin/sh\necho $$ > {tmp_path}/mvn-pid.new\n"
                            f"mv {tmp_path}/mvn-pid.new {tmp_path}/mvn-pid\nsleep 60\n")
    scripts.env["HF_HUB_OFFLINE"] = "1"
    process = scripts.start_model("tiny-jar")
    wait_for((tmp_path / "mvn-pid").exists)
    process.terminate()
    assert process.wait(20) == 130
    mvn = (tmp_path / "mvn-pid").read_text().strip()
    wait_for(lambda: has_ended(mvn))
    assert scripts.left() == []


# --- interruptions and leftovers ----------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_in_the_middle_leaves_nothing_half_made(scripts, hub, number):
    (scripts.into / "tiny").mkdir(parents=True)
    (scripts.into / "tiny/config.json").write_bytes(b"old")
    hub.files["onnx/model.onnx"] = hub.stalls(FILES["onnx/model.onnx"], 500_000)
    process = scripts.start_model()
    wait_for(lambda: hub.asked_for("onnx/model.onnx"))
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130 and stderr.endswith("interrupted; nothing half-made is left\n")
    assert (scripts.read(), scripts.left()) == ({"config.json": b"old"}, ["tiny"])


def test_what_a_killed_run_left_is_removed_and_what_a_running_one_has_stays(scripts):
    stale, living = (scripts.into / f".tiny.partial-{pid}" for pid in (dead_pid(), os.getpid()))
    for folder in (stale, living):
        folder.mkdir(parents=True)
        (folder / "config.json").write_bytes(b"{}")
    done = scripts.model()
    assert done.returncode == 0 and f"removed what an earlier run left: {stale}" in done.stdout
    assert scripts.left() == [living.name, "tiny"]


def test_leftovers_of_other_models_are_not_ours(scripts):
    other = scripts.into / f".tiny-bare.partial-{dead_pid()}"
    other.mkdir(parents=True)
    scripts.model()
    assert scripts.left() == [other.name, "tiny"]


def test_a_swap_that_was_killed_between_its_two_renames_is_taken_back(scripts, hub):
    scripts.model()
    (scripts.into / "tiny").rename(scripts.into / f".tiny.old-{dead_pid()}")
    hub.requests.clear()
    assert "is complete" in scripts.model().stdout
    assert (scripts.read(), scripts.left(), hub.requests) == (FILES, ["tiny"], [])


def test_a_swap_that_fails_half_way_is_taken_back(fetching, monkeypatch, tmp_path):
    partial, target, rename = tmp_path / "partial", tmp_path / "tiny", os.rename
    partial.mkdir(), target.mkdir()
    (target / "config.json").write_text("old")

    def refuse(source, to):
        if source == partial:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        rename(source, to)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(fetching.Problem, match="tiny cannot be written: Device or resource busy"):
        fetching.swap(partial, target, lambda file: False)
    assert (target / "config.json").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["partial", "tiny"]


def test_two_runs_at_once_fetch_once(scripts, hub):
    hub.files["onnx/model.onnx"] = lambda handler: (
        handler.command == "HEAD" or hub.release.wait(20), hub.send(handler, FILES["onnx/model.onnx"]))
    first = scripts.start_model()
    wait_for(lambda: hub.asked_for("onnx/model.onnx"))
    second = scripts.start_model()
    assert "waiting for it" in second.stdout.readline()
    hub.release.set()
    assert (first.wait(20), second.wait(20)) == (0, 0)
    assert "is complete" in second.stdout.read()
    assert hub.asked_for("config.json") == 1
    first.communicate(), second.communicate()


# --- the disk does not --------------------------------------------------------------------


def test_no_room_is_a_plain_message(scripts):
    def small_files_only():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    done = scripts.run(scripts.model_command(), preexec_fn=small_files_only)
    assert done.returncode == 1
    assert "cannot be written: File too large" in done.stderr
    assert scripts.left() == []


@pytest.mark.parametrize("number, said", [
    (errno.ENOSPC, "no room left for /x; make some"), (errno.EDQUOT, "no room left"),
    (errno.EACCES, "/x may not be written (Permission denied); choose another"), (errno.EROFS, "/x may not be written"),
    (errno.ENOTDIR, "/x is no folder"), (errno.EIO, "/x cannot be written: Input/output error"),
])
def test_what_the_disk_refuses_is_said_in_words(fetching, number, said):
    assert fetching.why_not_written("/x", OSError(number, os.strerror(number))).startswith(said)


def test_a_folder_that_may_not_be_written_is_a_plain_message(scripts, hub):
    if os.geteuid():
        scripts.into.mkdir(mode=0o555)
    else:  # nothing but the kernel's own file systems refuses root
        scripts.into = type(scripts.into)("/sys/bge-test")
    done = scripts.model()
    assert done.returncode == 1 and "may not be written" in done.stderr and "--into" in done.stderr
    assert hub.requests == []


def test_a_file_where_the_folder_should_be(scripts, hub):
    scripts.into.mkdir()
    (scripts.into / "tiny").write_text("a file")
    done = scripts.model()
    assert done.returncode == 1 and f"{scripts.into}/tiny is no folder" in done.stderr
    assert (scripts.into / "tiny").read_text() == "a file" and hub.requests == []
