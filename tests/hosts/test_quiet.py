"""Quiet: seen through strace, loading opens nothing of ours, embedding opens no socket and writes
no file; nothing is printed but results; no core is busy when no call is running."""

import re
import shutil
import sys

import pytest
from support import (DIST, EXTENSION, FIXTURES, HERE, RUNTIME, SMALL, TINY, failure, fresh_text, run, run_python,
                     shell_command, sqlite3)

CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
CHANGING = {"creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "link",
            "linkat", "symlink", "symlinkat", "truncate", "chmod", "fchmodat", "mknod", "mknodat"}
HARMLESS = ("/dev/null", "/dev/tty", "/proc/self/")
NETWORK = {"socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg",
           "getsockname"}


class Traced:
    """A program run under strace: the calls that name a file or a socket."""

    def __init__(self, command, folder, env=None, timeout=120):
        assert shutil.which("strace"), "strace is missing: apt-get install strace"
        log = folder / f"strace-{fresh_text('')}"
        trace = ["strace", "-f", "-qq", "-s", "4096", "-o", log, "-e", "trace=%file,%network"]
        self.done = run([*trace, *command], env=env, timeout=timeout)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        self.calls = [match.groups() for match in map(CALL.match, lines) if match]
        assert any(name == "execve" for name, _ in self.calls), f"strace saw nothing: {self.done.stderr}"

    def opened(self, part):
        return [rest for name, rest in self.calls if name in ("open", "openat", "openat2") and part in rest
                and "= -1" not in rest]

    def named(self, part):
        return [rest for _, rest in self.calls if part in rest]

    def sockets(self):
        return [call for call in self.calls if call[0] in NETWORK]

    def writes(self):
        opens = [(name, rest) for name, rest in self.calls if name.startswith("open") and WRITING.search(rest)]
        changes = [call for call in self.calls if call[0] in CHANGING]
        return [call for call in opens + changes if not any(f'"{path}' in call[1] for path in HARMLESS)]


def python(code):
    return [sys.executable, "-B", "-c", f"import sys; sys.path.insert(0, {str(HERE)!r}); from support import *\n{code}"]


# --- the tracer itself ---------------------------------------------------------------------------


def test_the_tracer_sees_files_and_sockets(tmp_path):
    """The tests below look for what is absent: this one shows that it would be seen."""
    seen = Traced(python(f"import socket; socket.socket(); open({str(tmp_path / 'x')!r}, 'w')"), tmp_path)
    assert seen.sockets() and len(seen.writes()) == 1 and seen.opened("/x\"")


# --- loading -------------------------------------------------------------------------------------


def test_loading_opens_neither_model_nor_runtime(tmp_path):
    seen = Traced(shell_command("SELECT bge_version()", "SELECT bge_dims(zeroblob(4))"), tmp_path)
    assert seen.done.returncode == 0 and seen.opened("libbge.so")
    for part in ("onnx", "tokenizer", "config.json", "models", "fixtures"):
        assert seen.named(part) == []
    assert seen.sockets() == [] and seen.writes() == []


def test_bge_info_loads_nothing(tmp_path):
    seen = Traced(shell_command("SELECT bge_info()", f"SELECT bge_info('{TINY}')"), tmp_path)
    assert seen.done.returncode == 0
    assert seen.opened("onnx") == seen.opened("tokenizer.json") == [] == seen.writes()


def test_loading_takes_less_than_20_ms():
    code = """
import time
connection = apsw.Connection(":memory:")
connection.enable_load_extension(True)
start = time.perf_counter()
connection.load_extension(str(EXTENSION))
print(time.perf_counter() - start)
"""
    assert min(float(run_python(code)) for _ in range(5)) < 0.020


def test_tokens_of_a_model_open_no_file_for_writing(tmp_path):
    seen = Traced(shell_command(f"SELECT bge_tokens('a', '{TINY}')"), tmp_path)
    assert seen.done.stdout == "3\n" and seen.opened("tokenizer.json") and seen.writes() == []


# --- embedding -----------------------------------------------------------------------------------


def test_a_session_of_15_seconds_opens_no_socket_and_writes_no_file(tmp_path):
    """Telemetry of newer runtimes starts some seconds after the first embedding."""
    embed = f"SELECT length(bge_embed('a')), length(bge_embed_query('b', '{TINY}'))"
    seen = Traced(shell_command(embed, ".shell sleep 15", embed.replace("'a'", "'c'")), tmp_path)
    assert (seen.done.stdout, seen.done.stderr) == ("1536|128\n" * 2, "")
    assert seen.opened(RUNTIME) and seen.opened(f"{SMALL}/onnx/model.onnx") and seen.named('"sleep"')
    assert seen.sockets() == []
    assert seen.writes() == []


def test_models_and_runtime_are_opened_by_absolute_paths(tmp_path):
    seen = Traced(shell_command("SELECT length(bge_embed('a'))"), tmp_path)
    for part in (RUNTIME, "model.onnx", "tokenizer.json"):
        assert seen.opened(part)
        assert all(f'"{DIST}/' in rest for rest in seen.opened(part))


def test_sixteen_threads_that_call_first_open_the_model_once(tmp_path):
    code = """
import threading
gate = threading.Barrier({n})
connections = [connect() for _ in range({n})]
def first_call(connection):
    gate.wait()
    embed(connection, "a")
threads = [threading.Thread(target=first_call, args=(c,)) for c in connections]
[t.start() for t in threads]
[t.join() for t in threads]
"""
    one, many = [Traced(python(code.format(n=n)), tmp_path) for n in (1, 16)]
    for file in (RUNTIME, f"{TINY}/onnx/model.onnx", f"{TINY}/tokenizer.json", f"{TINY}/config.json"):
        assert len(one.opened(file)) == len(many.opened(file)) >= 1, file


# --- what is printed -----------------------------------------------------------------------------


def test_nothing_is_printed_but_results():
    done = sqlite3(f"SELECT bge_tokens('a', '{TINY}')", "SELECT length(bge_embed('a'))",
                   f"SELECT length(bge_embed('{'word ' * 1000}', '{TINY}'))")
    assert (done.stdout, done.stderr, done.returncode) == ("3\n1536\n128\n", "", 0)


def broken_models(folder):
    """name -> model folder with a graph that the runtime complains about."""
    onnx = (FIXTURES / TINY / "onnx" / "model.onnx").read_bytes()
    graphs = {"truncated": onnx[:50_000], "one-byte-less": onnx[:-1], "noise": bytes(range(256)) * 200, "empty": b""}
    for file in (FIXTURES / "broken").glob("*.onnx"):
        graphs[file.stem] = file.read_bytes()
    for name, graph in graphs.items():
        shutil.copytree(FIXTURES / TINY, folder / name)
        (folder / name / "onnx" / "model.onnx").write_bytes(graph)
    return sorted(graphs)


def test_the_runtime_prints_nothing_when_a_model_fails(tmp_path, connect, monkeypatch):
    names = broken_models(tmp_path)
    assert len(names) == 7
    for name in names:
        sql = f"SELECT bge_embed('a', '{name}')"
        with monkeypatch.context() as patch:
            patch.setenv("BGE_MODELS", str(tmp_path))
            error = str(failure(connect(), sql))
            done = sqlite3(sql)
        assert (done.stdout, done.stderr) == ("", f"Error: stepping, {error}\n")


def test_the_runtimes_own_words_are_in_the_error_or_in_bge_info(tmp_path):
    broken_models(tmp_path)
    code = """
error = str(failure(connect(), "SELECT bge_embed('a', 'truncated')"))
info = value(connect(), "SELECT bge_info()")
assert "protobuf" in (error + info).lower(), (error, info)
"""
    run_python(code, env={"BGE_MODELS": tmp_path})


@pytest.mark.parametrize("library", ["text", "gone"])
def test_nothing_is_printed_when_the_runtime_cannot_be_opened(tmp_path, library):
    (tmp_path / "text").write_text("not a library")
    done = sqlite3(f"SELECT bge_embed('a', '{TINY}')", env={"BGE_ORT_LIB": tmp_path / library})
    assert done.stdout == "" and re.fullmatch(r"Error: stepping, bge_embed: [^\n]*\n", done.stderr), done.stderr


# --- what runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [SMALL, TINY])
def test_no_core_is_busy_when_no_call_is_running(model):
    seconds = float(run_python("""
import time
connection = connect()
for i in range(20):
    embed(connection, f"text number {i}", sys.argv[1])
before = time.process_time()
time.sleep(2)
print(time.process_time() - before)
""", model))
    assert seconds < 0.2


def test_no_thread_of_ours_exists_before_the_first_embedding():
    run_python("""
import os
before = len(os.listdir("/proc/self/task"))
connection = connect()
value(connection, "SELECT bge_info(), bge_dims(zeroblob(400))")
assert len(os.listdir("/proc/self/task")) == before == 1
""")


def test_the_extension_is_where_the_tests_think(tmp_path):
    seen = Traced(shell_command("SELECT bge_version()"), tmp_path)
    assert any(f'"{EXTENSION}.so"' in rest for rest in seen.opened("libbge"))
