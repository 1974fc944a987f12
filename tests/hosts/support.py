"""What the host tests share: where things are, vectors, goldens, and the hosts themselves.

Three hosts load the built library: `CommandLine` (the machine's sqlite3), `Newest` (apsw) and
`Oldest` (SQLite 3.38, a program of ours). `Host` is a Python process of its own that a test talks
to, for what can be seen only in a fresh process: the runtime is loaded once in each.
"""

import ctypes
import functools
import itertools
import json
import os
import random
import subprocess
import sys
import threading
from array import array
from contextlib import contextmanager
from pathlib import Path

import apsw

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIXTURES = ROOT / "tests" / "fixtures"
DIST = Path(os.environ.get("BGE_DIST", ROOT / "dist")).resolve()
EXTENSION = DIST / "libbge"  # as hosts are given it: without the suffix
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
OLDEST_HOST = Path(os.environ.get("BGE_TEST_OLDEST_HOST", TARGET / "oldest-host"))
TINY = "tiny-bert"
SMALL = "bge-small-en-v1.5"
RUNTIME = "libonnxruntime.so"


# --- vectors -------------------------------------------------------------------------------------


def blob(*values):
    """The f32 blob of numbers."""
    return array("f", values).tobytes()


def floats(vector):
    """The numbers of an f32 blob."""
    return array("f", vector).tolist()


def distance(got, wanted):
    """The largest difference in one component."""
    got = floats(got) if isinstance(got, bytes) else got
    assert len(got) == len(wanted)
    return max(abs(a - b) for a, b in zip(got, wanted))


def golden(path):
    """Rows of golden vectors. A row's id is its place in the file."""
    with open(path, encoding="ascii") as lines:
        rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == list(range(len(rows)))
    return rows


@functools.cache
def tiny_golden(model=TINY):
    return golden(FIXTURES / model / "golden.jsonl")


@functools.cache
def reference():
    return golden(FIXTURES / "reference" / f"{SMALL}.jsonl")


# --- connections in this process -----------------------------------------------------------------


READONLY = "sqlite3_bge_readonly_init"


def connect(extension=EXTENSION, database=":memory:", entry=None):
    """A connection of the newest SQLite with the extension loaded, by an entry point of its own if named."""
    connection = apsw.Connection(str(database))
    connection.enable_load_extension(True)
    connection.load_extension(str(extension), entry)
    return connection


def value(connection, sql, *arguments):
    """The one value that a statement gives."""
    return connection.execute(sql, arguments).get


def failure(connection, sql, *arguments):
    """The error that a statement gives: an apsw exception. Giving none fails the test."""
    try:
        rows = list(connection.execute(sql, arguments))
    except apsw.Error as error:
        return error
    raise AssertionError(f"no error from {sql}: {str(rows)[:300]}")


def embed(connection, text, model=TINY):
    return value(connection, "SELECT bge_embed(?, ?)", text, model)


def loaded(connection):
    """name -> what bge_info says of each loaded model."""
    info = json.loads(value(connection, "SELECT bge_info()"))
    models = {model["name"]: model for model in info["loaded"]}
    assert len(models) == len(info["loaded"])
    return models


def inferences(connection, model=TINY):
    return loaded(connection).get(model, {}).get("inferences", 0)


_numbers = itertools.count()


def shell(path, *commands, text=None):
    """The machine's sqlite3 on a file, with the extension; its output. Nothing may be said on stderr."""
    done = run(["sqlite3", "-batch", "-init", "/dev/null", "-cmd", f'.load "{EXTENSION}"', path, *commands],
               stdin=None if text is not None else -3, **({"input": text} if text is not None else {}))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def fresh_text(words="how do i reset it"):
    """A text that no test has embedded before, so that no cache holds it."""
    return f"{words} {next(_numbers)}"


def texts(count, seed=0, longest=60):
    """Texts of random lengths, 1 word to `longest`, all different; the same for the same seed."""
    chance = random.Random(seed)
    words = "reset your password machine learning how do i love nlp device button bill page team".split()
    return [" ".join([*chance.choices(words, k=chance.randint(1, longest)), f"{seed}x{i}"]) for i in range(count)]


def load(connection, name, source=TINY, **options):
    """bge_load of a fixture's folder, a path or a catalogue name."""
    source = FIXTURES / source if (FIXTURES / source).exists() else source
    arguments = [name, str(source), *([json.dumps(options)] if options else [])]
    return value(connection, f"SELECT bge_load({', '.join('?' * len(arguments))})", *arguments)


def unload(connection, name):
    return value(connection, "SELECT bge_unload(?)", name)


@contextmanager
def stopped_after(connection, seconds):
    """A statement in here that does not end is interrupted, so that its test fails and does not hang."""
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


# --- hosts ---------------------------------------------------------------------------------------


def environment(**changes):
    """This process's environment with changes; None removes a variable."""
    env = dict(os.environ)
    for key, setting in changes.items():
        env.pop(key, None) if setting is None else env.update({key: str(setting)})
    return env


def run(command, env=None, cwd=None, timeout=60, stdin=subprocess.DEVNULL, **options):
    """Runs a program to its end; its stdout and stderr as text, its returncode."""
    return subprocess.run([str(word) for word in command], env=environment(**(env or {})), cwd=cwd,
                          timeout=timeout, stdin=stdin, capture_output=True, text=True, **options)


def sqlite3(*commands, extension=EXTENSION, env=None, cwd=None, timeout=60):
    """Runs the machine's sqlite3 with the extension loaded and these commands."""
    return run(shell_command(*commands, extension=extension), env, cwd, timeout)


def shell_command(*commands, extension=EXTENSION):
    start = ["sqlite3", "-batch", "-init", "/dev/null", ":memory:"]
    return [*start, f'.load "{extension}"', *commands]


def run_python(code, *arguments, env=None, cwd=None, timeout=60):
    """Runs code in a fresh Python, with this module's names imported. Gives what it printed.

    A return code other than 0, or a word on stderr, fails the test."""
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); from support import *\n{code}"
    done = run([sys.executable, "-c", code, *arguments], env, cwd, timeout)
    assert done.returncode == 0 and done.stderr == "", \
        f"rc {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class HostError(Exception):
    """An SQL error as the host prints it."""


class CommandLine:
    """The machine's sqlite3. Each question is a process of its own."""

    def rows(self, *statements, extension=EXTENSION, **options):
        """The rows of the last statement, after the others on the same connection."""
        done = sqlite3(*statements[:-1], ".mode json", statements[-1], extension=extension, **options)
        if done.returncode or done.stderr:
            raise HostError(done.stderr.strip())
        return [list(row.values()) for row in json.loads(done.stdout or "[]")]


class Newest:
    """apsw, in this process."""

    def rows(self, *statements, extension=EXTENSION):
        connection = connect(extension)
        try:
            return [[list(row) for row in connection.execute(sql)] for sql in statements][-1]
        except apsw.Error as error:
            raise HostError(str(error)) from None


class Oldest:
    """SQLite 3.38. Each question is a process of its own."""

    def run(self, *statements, extension=EXTENSION, env=None, cwd=None):
        assert OLDEST_HOST.is_file(), (
            f"{OLDEST_HOST} does not exist: `make test` builds it from tests/oldest-host, "
            "or name it in BGE_TEST_OLDEST_HOST")
        done = subprocess.run([OLDEST_HOST, extension], input="\n;;\n".join(statements), text=True,
                              env=environment(**(env or {})), cwd=cwd, timeout=60,
                              capture_output=True)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        version, *lines = done.stdout.splitlines()
        assert version.startswith("SQLite 3.38."), version
        return lines

    def rows(self, *statements, **options):
        """As in the other hosts; the statements before the last must give no rows."""
        lines = self.run(*statements, **options)
        if lines and lines[-1].startswith("ERROR: "):
            raise HostError(lines[-1].removeprefix("ERROR: "))
        return [json.loads(line) for line in lines]


class SystemSqlite:
    """A connection of the system's libsqlite3 through its C interface: a second copy of SQLite in
    this process, which shares no lock with apsw's."""

    lib = None

    @classmethod
    def load(cls):
        if cls.lib is None:
            cls.lib = ctypes.CDLL("libsqlite3.so.0")
            for name in ("errmsg", "column_text", "libversion"):
                getattr(cls.lib, f"sqlite3_{name}").restype = ctypes.c_char_p
        return cls.lib

    @classmethod
    def version(cls):
        return cls.load().sqlite3_libversion().decode()

    def __init__(self, extension=EXTENSION, database=":memory:"):
        lib, self.db, message = self.load(), ctypes.c_void_p(), ctypes.c_char_p()
        assert lib.sqlite3_open(str(database).encode(), ctypes.byref(self.db)) == 0
        assert lib.sqlite3_enable_load_extension(self.db, 1) == 0
        rc = lib.sqlite3_load_extension(self.db, str(extension).encode(), None, ctypes.byref(message))
        assert rc == 0, message.value

    def value(self, sql):
        """The one value that a statement gives, as text; or the message of its error."""
        statement = ctypes.c_void_p()
        rc = self.lib.sqlite3_prepare_v2(self.db, sql.encode(), -1, ctypes.byref(statement), None)
        assert rc == 0, self.error()
        rc = self.lib.sqlite3_step(statement)
        text = self.lib.sqlite3_column_text(statement, 0) or b"" if rc == 100 else self.error()
        self.lib.sqlite3_finalize(statement)
        return text.decode()

    def error(self):
        return self.lib.sqlite3_errmsg(self.db)

    def run(self, sql):
        """Runs one statement to its end; its result code (101: done)."""
        statement = ctypes.c_void_p()
        rc = self.lib.sqlite3_prepare_v2(self.db, sql.encode(), -1, ctypes.byref(statement), None)
        assert rc == 0, self.error()
        while (rc := self.lib.sqlite3_step(statement)) == 100:
            pass
        self.lib.sqlite3_finalize(statement)
        return rc

    def interrupt(self):
        self.lib.sqlite3_interrupt(self.db)

    def set_progress_handler(self, function, steps=100):
        """As apsw's: a handler that gives True stops the statement; None removes it."""
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
        self.progress = kind(lambda _: bool(function())) if function else kind()  # kept alive
        self.lib.sqlite3_progress_handler(self.db, steps if function else 0, self.progress, None)


class Host:
    """A Python process with one connection, asked one statement at a time (see host_process.py)."""

    def __init__(self, extension=EXTENSION, env=None, cwd=None):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "host_process.py", extension], env=environment(**(env or {})),
            cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the host died: {self.process.communicate()[1]}"
        return json.loads(answer)

    def value(self, sql, *arguments):
        answer = self.ask(sql=sql, arguments=arguments)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def error(self, sql, *arguments):
        """The message of the error that a statement gives."""
        answer = self.ask(sql=sql, arguments=arguments)
        assert "error" in answer, f"no error from {sql}: {answer}"
        return answer["error"]

    def embed(self, text, model=TINY):
        return bytes.fromhex(self.value("SELECT hex(bge_embed(?, ?))", text, model))

    def set(self, variable, setting):
        """Sets an environment variable in the running process; None removes it."""
        self.ask(set=variable, to=None if setting is None else str(setting))

    def close(self):
        """Ends the process. It must have printed nothing of its own."""
        output = self.process.communicate(timeout=30)
        assert output == ("", ""), output
        assert self.process.returncode == 0
