"""examples/java: the extension in sqlite-jdbc."""

import shutil

import pytest
from languages import EXAMPLES, KEPT, LIBRARY, RUNTIME, build, check_example, environment, fails_without_model, need, run


@pytest.fixture(scope="module")
def example():
    """The command that runs the compiled class, as the project's pom.xml makes it."""
    need("jdk")
    need("maven")
    project = KEPT / "java"
    shutil.copytree(EXAMPLES / "java", project, dirs_exist_ok=True)
    build(["mvn", "-q", "-B", "compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath"],
          cwd=project)
    classes = f"{project / 'target' / 'classes'}:{(project / 'classpath').read_text().strip()}"
    return ["java", "-cp", classes, "Search"]


def test_example(example, tmp_path):
    check_example([*example, LIBRARY], environment(tmp_path))


def test_no_model(example, tmp_path):
    """The library alone in a folder, with its runtime and without models."""
    for file in (LIBRARY, RUNTIME):
        shutil.copy(file, tmp_path)
    fails_without_model([*example, tmp_path / LIBRARY.name], environment(tmp_path))


def test_no_library(example, tmp_path):
    done = run([*example, tmp_path / "libbge.so"], env=environment(tmp_path))
    assert done.returncode == 1 and f"{tmp_path}/libbge.so" in done.stderr
    assert "cannot open shared object file" in done.stderr
