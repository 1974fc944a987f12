"""examples/go: the extension in mattn/go-sqlite3."""

import pytest
from languages import EXAMPLES, KEPT, LIBRARY, RUNTIME, build, check_example, environment, fails_without_model, need, run


@pytest.fixture(scope="module")
def example():
    """The compiled program. Go keeps what it compiles in a cache of its own, so this is slow only once."""
    need("go")
    program = KEPT / "go" / "example"
    build(["go", "build", "-mod=readonly", "-o", program, "."], cwd=EXAMPLES / "go")
    return program


def test_example(example, tmp_path):
    check_example([example, LIBRARY], environment(tmp_path))


def test_no_model(example, tmp_path):
    """The library alone in a folder, with its runtime and without models."""
    for file in (LIBRARY, RUNTIME):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    fails_without_model([example, tmp_path / LIBRARY.name], environment(tmp_path))


def test_no_library(example, tmp_path):
    done = run([example, tmp_path / "libbge.so"], env=environment(tmp_path))
    assert done.returncode == 1 and f"{tmp_path}/libbge.so" in done.stderr
    assert "cannot open shared object file" in done.stderr
