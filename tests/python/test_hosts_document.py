"""Runs the Python part of docs/HOSTS.md: each `python` and `sh` block, in order, in one folder, each in a process of
its own. The `text` block after one is what it prints."""

import os
import re
import sys

import pytest
import support


def examples():
    """(heading, language, code, expected output) of the blocks below `## Python`."""
    document = (support.ROOT / "docs" / "HOSTS.md").read_text(encoding="utf-8")
    part = re.search(r"^## Python\n(.*?)(?=^## |\Z)", document, re.DOTALL | re.MULTILINE).group(1)
    for section in re.split(r"^### ", part, flags=re.MULTILINE)[1:]:
        heading = section.splitlines()[0]
        for language, code, output in re.findall(r"^```(python|sh)\n(.*?)^```\n+^```text\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
            yield heading, language, code, output


def test_every_host_of_the_document_has_an_example():
    assert {heading for heading, *_ in examples()} >= {
        "sqlite3", "pysqlite3", "apsw", "SQLAlchemy 2", "Django", "LangChain", "The command", "sqlite-utils", "llm"}


@pytest.fixture(scope="module")
def pysqlite3(tmp_path_factory):
    """pysqlite3 in a folder of its own: Datasette and sqlite-utils would take it instead of sqlite3 if they saw it."""
    folder = tmp_path_factory.mktemp("pysqlite3")
    support.run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", folder,
                "pysqlite3-binary==0.5.4.post2")
    return folder


def test_the_examples_print_what_the_document_says(tmp_path, pysqlite3):
    env = support.environment(PATH=f"{support.BIN}{os.pathsep}{os.environ['PATH']}", LLM_USER_PATH=str(tmp_path / "llm"))
    for heading, language, code, output in examples():
        command = [sys.executable, "-c", code] if language == "python" else ["sh", "-ec", code]
        paths = {"PYTHONPATH": str(pysqlite3)} if heading == "pysqlite3" else {}
        done = support.run(*command, cwd=tmp_path, env={**env, **paths})
        assert done.stdout == output, (heading, code)


def test_the_lines_of_the_packages_readme_run(tmp_path):
    """Its Python makes the database that its commands are about."""
    readme = (support.ROOT / "packages" / "python" / "README.md").read_text(encoding="utf-8")
    made = support.run(sys.executable, "-c", re.search(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE).group(1), cwd=tmp_path)
    assert made.stdout.startswith("(1, 0.")
    lines = re.findall(r"^    (sqlite-bge (?:index|search) .*)$", readme, re.MULTILINE)
    assert len(lines) == 2
    env = support.environment(PATH=f"{support.BIN}{os.pathsep}{os.environ['PATH']}")
    assert [support.run("sh", "-ec", line, cwd=tmp_path, env=env).stdout.splitlines()[0] for line in lines] == [
        "notes_bge: 1 rows, 0 of them new or changed", "1. 0.64  row 1"]
