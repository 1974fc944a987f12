"""Finding and loading the library in the SQLite modules of Python, and the ways in which that fails."""

import shutil
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
import sqlite_bge
import support

RESTRICTED = ["bge_load", "bge_unload", "bge_sync"]


def functions(connection):
    return {row[0] for row in connection.execute("SELECT name FROM pragma_function_list WHERE name LIKE 'bge%'")}


@pytest.mark.parametrize("connect", [sqlite3.connect, apsw.Connection], ids=["sqlite3", "apsw"])
def test_the_functions_are_there_and_give_the_golden_value(connect):
    connection = connect(":memory:")
    sqlite_bge.load(connection)
    query, wanted = support.GOLDEN
    assert connection.execute(query).fetchall() == [(wanted,)]


def test_the_path_is_a_library_that_sqlite_loads_by_it():
    path = Path(sqlite_bge.loadable_path())
    assert path.is_absolute() and path.is_file()
    connection = sqlite3.connect(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(str(path))
    assert connection.execute("SELECT bge_version()").fetchone()[0] == sqlite_bge.__version__


def test_loading_twice_does_no_harm(db):
    sqlite_bge.load(db)
    assert db.execute("SELECT bge_dims(x'0000803f')").fetchone() == (1,)


def may_load(connection):
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("SELECT load_extension('/nowhere')")
    return "not authorized" not in str(caught.value)


@pytest.mark.parametrize("enabled", [True, False])
def test_whether_others_may_be_loaded_is_left_as_it_was(enabled):
    connection = sqlite3.connect(":memory:")
    connection.enable_load_extension(enabled)
    sqlite_bge.load(connection)
    assert may_load(connection) == enabled


def test_no_transaction_is_opened_and_none_is_ended(tmp_path):
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE t(x)")
    connection.execute("INSERT INTO t VALUES (1)")
    sqlite_bge.load(connection)
    assert connection.in_transaction
    connection.rollback()
    sqlite_bge.load(connection)
    assert not connection.in_transaction


@pytest.mark.parametrize("connect", [sqlite3.connect, apsw.Connection], ids=["sqlite3", "apsw"])
def test_readonly_registers_only_what_reads(connect, indexed):
    connection = connect(str(indexed))
    sqlite_bge.load(connection, readonly=True)
    assert not functions(connection) & set(RESTRICTED) and "bge_embed_query" in functions(connection)
    assert connection.execute("SELECT rowid FROM desk_bge('reset my device', 1)").fetchall() == [(1,)]
    full = connect(":memory:")
    sqlite_bge.load(full)
    assert set(RESTRICTED) <= functions(full)


@pytest.mark.parametrize("thing", [None, "desk.db", 3])
def test_what_is_no_connection_is_said(thing):
    with pytest.raises(TypeError, match=f"got {type(thing).__name__}, expected a connection of sqlite3"):
        sqlite_bge.load(thing)


# --- another Python, another machine ------------------------------------------------------


@pytest.fixture(scope="module")
def python_that_cannot_load():
    """A Python of this machine whose sqlite3 loads nothing, as pyenv's and macOS's."""
    for python in [sys.executable, *sorted(map(str, Path.home().glob(".pyenv/versions/*/bin/python"))), shutil.which("python3")]:
        asked = subprocess.run([python, "-c", "import sys, sqlite3; sys.exit(sys.version_info < (3, 9) or "
                                "hasattr(sqlite3.Connection, 'enable_load_extension'))"], capture_output=True)
        if asked.returncode == 0:
            # What `python3` stands for may be a script that starts another one.
            return subprocess.run([python, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True).stdout.strip()
    pytest.skip("no Python here has a sqlite3 that cannot load extensions")


def site_packages():
    return str(Path(sqlite_bge.__file__).parents[1])


def test_a_python_that_cannot_load_extensions_says_so_and_names_the_ways_out(python_that_cannot_load):
    code = ("import sys; sys.path.append(sys.argv[1]); import sqlite3, sqlite_bge\n"
            "try: sqlite_bge.load(sqlite3.connect(':memory:'))\n"
            "except sqlite_bge.LoadingUnavailable as error: print(error)")
    said = support.run(python_that_cannot_load, "-c", code, site_packages()).stdout
    for words in ("the sqlite3 module of this Python", python_that_cannot_load, "pip install pysqlite3-binary",
                  "pip install apsw", "--enable-loadable-sqlite-extensions"):
        assert words in said


def test_the_command_on_such_a_python_ends_with_the_same_words(python_that_cannot_load, desk):
    code = "import sys; sys.path.append(sys.argv.pop(1)); from sqlite_bge.cli import main; sys.exit(main())"
    done = support.run(python_that_cannot_load, "-c", code, site_packages(), "search", desk, "desk", "x", code=1)
    assert "cannot load extensions" in done.stderr and "apsw" in done.stderr


def load_copy(tmp_path, change):
    """Loads from a copy of the package after `change(its library)`; returns what was said."""
    copy = tmp_path / "sqlite_bge"
    shutil.copytree(Path(sqlite_bge.__file__).parent, copy, ignore=shutil.ignore_patterns("libonnx*", "licenses"))
    change(copy / "libbge.so")
    code = ("import sqlite3, sqlite_bge\n"
            "try: sqlite_bge.load(sqlite3.connect(':memory:'))\n"
            "except sqlite_bge.LoadingFailed as error: print(error)")
    return support.run(sys.executable, "-c", code, cwd=tmp_path).stdout


def test_a_wheel_of_another_processor_is_said(tmp_path):
    def for_aarch64(library):
        with open(library, "r+b") as file:
            file.seek(18)  # e_machine of the ELF header
            file.write(struct.pack("<H", 183))

    said = load_copy(tmp_path, for_aarch64)
    assert "could not load" in said and "manylinux_2_28_x86_64" in said and "this is Linux x86_64" in said


def test_a_wheel_of_another_system_is_said(tmp_path):
    said = load_copy(tmp_path, lambda library: library.rename(library.with_name("libbge.dylib")))
    assert "libbge.so is not there" in said and "manylinux_2_28_x86_64" in said and "this is Linux x86_64" in said


def test_importing_opens_nothing_and_imports_little():
    code = ("import sys; before = set(sys.modules); import sqlite_bge; "
            "print(sorted(name for name in set(sys.modules) - before if not name.startswith('sqlite_bge')))")
    assert support.run(sys.executable, "-c", code).stdout.strip() in ("[]", "['__future__']")


def test_the_gpu_runtime_beside_the_package_is_taken(tmp_path, monkeypatch):
    """Only where the folder has the provider for NVIDIA cards: a CPU runtime there is not better than ours."""
    monkeypatch.setattr(sqlite_bge.loading, "HERE", str(tmp_path / "sqlite_bge"))
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    (capi / "libonnxruntime.so.1.28.0").touch()
    monkeypatch.setenv("BGE_ORT_LIB", "")
    sqlite_bge.loading._prefer_gpu_runtime()
    import os

    assert os.environ["BGE_ORT_LIB"] == ""
    (capi / "libonnxruntime_providers_cuda.so").touch()
    sqlite_bge.loading._prefer_gpu_runtime()
    assert os.environ["BGE_ORT_LIB"] == str(capi / "libonnxruntime.so.1.28.0")
