"""Fixtures of the tests of the Python packages. Helpers without state are in support.py.

The tests run in a Python environment of their own that has the packaged wheels installed and whose sqlite3
loads extensions (`make test-packages` makes it). Models come from BGE_TEST_MODELS, by default dist/models.
"""

import os
import sqlite3

import pytest
import sqlite_bge
import support


@pytest.fixture(scope="session", autouse=True)
def plain_environment(tmp_path_factory):
    """Models are found in dist/models, nowhere on the user's machine."""
    assert (support.MODELS / support.MODEL / "onnx/model.onnx").is_file(), f"{support.MODELS} has no model: `make model`"
    with pytest.MonkeyPatch.context() as patch:
        for variable in [v for v in os.environ if v.startswith(("BGE_", "HF_", "XDG_", "PYTHON"))]:
            if not variable.startswith("BGE_TEST_"):
                patch.delenv(variable)
        patch.setenv("BGE_MODELS", str(support.MODELS))
        patch.setenv("ORT_DISABLE_TELEMETRY", "1")
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def db():
    connection = sqlite3.connect(":memory:")
    sqlite_bge.load(connection)
    yield connection
    connection.close()


@pytest.fixture
def desk(tmp_path):
    """The path of a database with the table `desk`, three rows, and no index."""
    path = tmp_path / "desk.db"
    support.write_desk(path)
    return path


@pytest.fixture
def indexed(desk):
    """The same with the index `desk_bge`, in step."""
    support.index_desk(desk)
    return desk


def pytest_terminal_summary(terminalreporter):
    """What was not run is said in every summary, not only with -rs."""
    for report in terminalreporter.stats.get("skipped", []):
        terminalreporter.write_line(f"not run: {report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}")
