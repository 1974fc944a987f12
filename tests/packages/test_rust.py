"""examples/rust: the extension in rusqlite, and the engine as a plain library."""

import os

import pytest
from languages import (EXAMPLES, LIBRARY, ROOT, RUNTIME, build, check_example, environment, fails_without_model,
                       need, output, run)

# As the main package is built, so that the compiled dependencies in target/ are used again.
PROFILE = {"CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "4", "CARGO_PROFILE_RELEASE_STRIP": "debuginfo"}


@pytest.fixture(scope="module")
def programs():
    """The folder with the compiled programs."""
    need("rust")
    build(["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", ROOT / "target"],
          cwd=EXAMPLES / "rust", env={**os.environ, **PROFILE})
    return ROOT / "target" / "release"


def test_rusqlite(programs, tmp_path):
    check_example([programs / "search", LIBRARY], environment(tmp_path))


def test_rusqlite_without_a_library(programs, tmp_path):
    done = run([programs / "search", tmp_path / "libbge.so"], env=environment(tmp_path))
    assert done.returncode == 1 and "cannot open shared object file" in done.stderr


def test_the_engine_as_a_library(programs, tmp_path):
    check_example([programs / "vectors"], environment(tmp_path, BGE_ORT_LIB=RUNTIME))


def test_the_engine_without_model(programs, tmp_path):
    fails_without_model([programs / "vectors"], environment(tmp_path, BGE_ORT_LIB=RUNTIME))


def test_the_engine_brings_no_sqlite(programs):
    """Built with default-features = false: no symbol of the extension, none of SQLite."""
    need("binutils")
    symbols = output(["nm", programs / "vectors"])
    assert "sqlite3_" not in symbols
