"""Fixtures of the host tests. Helpers without state are in support.py.

Locations: BGE_DIST names the folder with the built library (default: dist/ of the repository),
BGE_TEST_OLDEST_HOST the program with SQLite 3.38 (default: target/release/oldest-host).
"""

import os
import shutil

import pytest
import support


@pytest.fixture(scope="session", autouse=True)
def plain_environment(tmp_path_factory):
    """Models are found in the fixtures and beside the library, nowhere on the user's machine."""
    assert support.EXTENSION.with_suffix(".so").is_file(), \
        f"{support.DIST} has no libbge.so: `make build` makes it, or name its folder in BGE_DIST"
    with pytest.MonkeyPatch.context() as patch:
        for variable in [v for v in os.environ if v.startswith(("BGE_", "HF_", "XDG_", "ORT_"))]:
            if not variable.startswith("BGE_TEST_"):
                patch.delenv(variable)
        patch.delenv("LD_LIBRARY_PATH", raising=False)
        patch.setenv("BGE_DIST", str(support.DIST))
        patch.setenv("BGE_MODELS", str(support.FIXTURES))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        before = files_of_dist()
        yield
        assert files_of_dist() == before, "a test changed dist/ (or somebody else did meanwhile)"


def files_of_dist():
    paths = sorted(path for path in support.DIST.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


@pytest.fixture
def connect():
    """Makes connections with the extension loaded; closes them afterwards."""
    made = []

    def make(*arguments, **options):
        made.append(support.connect(*arguments, **options))
        return made[-1]

    yield make
    for connection in made:
        connection.close(True)


@pytest.fixture
def db(connect):
    return connect()


@pytest.fixture
def name(db):
    """A name for a model that no other test loads; unloaded afterwards."""
    made = support.fresh_text("model").replace(" ", "-")
    yield made
    support.unload(db, made)


@pytest.fixture(params=[support.CommandLine, support.Newest, support.Oldest], ids=lambda h: h.__name__)
def any_host(request):
    return request.param()


@pytest.fixture
def host():
    """Starts processes of their own; each must end in order and must have printed nothing."""
    made = []

    def start(*arguments, **options):
        made.append(support.Host(*arguments, **options))
        return made[-1]

    yield start
    try:
        for process in made:
            process.close()
    finally:
        for process in made:
            process.process.kill()


@pytest.fixture
def dist_copy(tmp_path):
    """A copy of dist/ without its models, to be broken. Real copies: a link would let a test that
    writes to a file of the copy write to dist/ itself."""
    folder = tmp_path / "copy of dist"
    folder.mkdir()
    for file in ("libbge.so", support.RUNTIME):
        shutil.copy(support.DIST / file, folder)
    yield folder
    shutil.rmtree(folder)  # pytest keeps the folders of three runs


@pytest.fixture
def model_folder(tmp_path, monkeypatch):
    """Makes a folder with a copy of a fixture model that this process finds by `name`."""
    models = tmp_path / "models"
    models.mkdir()
    monkeypatch.setenv("BGE_MODELS", f"{models}{os.pathsep}{support.FIXTURES}")

    def make(name, source=support.TINY):
        return shutil.copytree(support.FIXTURES / source, models / name)

    return make


def pytest_terminal_summary(terminalreporter):
    """What was not run is said in every summary, not only with -rs."""
    for report in terminalreporter.stats.get("skipped", []):
        terminalreporter.write_line(f"{report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}")
