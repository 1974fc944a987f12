"""examples/c: the extension loaded at run time, and linked into a program beside another one."""

import shutil

import pytest
from languages import (EXAMPLES, KEPT, LIBRARY, ROOT, RUNTIME, build, check_example, environment, fails_without_model,
                       need, output, run)

C = EXAMPLES / "c"
STRICT = ["-Wall", "-Wextra", "-Werror", "-O1"]


@pytest.fixture(scope="module")
def compiler():
    need("libsqlite3")
    (KEPT / "c").mkdir(parents=True, exist_ok=True)
    return "cc"


@pytest.fixture(scope="module")
def loaded(compiler):
    program = KEPT / "c" / "loaded"
    output([compiler, *STRICT, C / "loaded.c", "-o", program, "-lsqlite3"])
    return program


@pytest.fixture(scope="module")
def linked(compiler):
    """The program with the extension in it, and ONNX Runtime beside it as it will be looked for."""
    need("rust")
    build(["cargo", "rustc", "--quiet", "--release", "--lib", "--crate-type", "staticlib"], cwd=ROOT)
    program = KEPT / "c" / "linked"
    archive = ROOT / "target" / "release" / "libbge.a"
    output([compiler, *STRICT, C / "linked.c", "-o", program, archive, "-lsqlite3", "-lm", "-lpthread", "-ldl"])
    shutil.copy(RUNTIME, program.parent)
    return program


def test_loaded_at_run_time(loaded, tmp_path):
    check_example([loaded, LIBRARY], environment(tmp_path))


def test_loaded_without_a_library(loaded, tmp_path):
    done = run([loaded, tmp_path / "libbge.so"], env=environment(tmp_path))
    assert done.returncode == 1 and f"{tmp_path}/libbge.so" in done.stderr
    assert "cannot open shared object file" in done.stderr


def test_linked_beside_another_extension(linked, tmp_path):
    """The program itself checks that both answer, and ends with an error where one does not."""
    check_example([linked], environment(tmp_path))


def test_linked_without_model(linked, tmp_path):
    fails_without_model([linked], environment(tmp_path))


def test_linked_has_no_name_that_another_extension_has(linked):
    """`sqlite3_extension_init` is every loadable extension's name: two in one program would not link."""
    need("binutils")
    symbols = output(["nm", "--defined-only", linked])
    assert " sqlite3_bge_init\n" in symbols and "sqlite3_extension_init" not in symbols
