"""Runs every SQL example of the documents and compares with the results printed there.

An example is a fenced `sql` block; `-- => RESULT` after a statement is what it gives: columns joined
by `|`, rows by line breaks (each on a `-- =>` line of its own), or `error: MESSAGE`.
"""

import pathlib
import re

import apsw
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ["docs/SQL.md", "docs/SCALING.md", "README.md"]


def examples(document):
    """(statement, expected lines) of every sql block."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for block in re.findall(r"```sql\n(.*?)```", text, re.DOTALL):
        statement, expected = "", []
        for line in block.splitlines():
            if line.startswith("-- => "):
                expected.append(line[6:])
                continue
            if expected:
                yield statement, expected
                statement, expected = "", []
            statement += line + "\n"
        yield statement, expected


def outcome(db, statement):
    try:
        rows = list(db.execute(statement))
    except apsw.Error as error:
        return [f"error: {error}"]
    return ["|".join("" if cell is None else str(cell) for cell in row) for row in rows]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_examples_give_what_the_document_says(document, connect):
    db = connect()
    compared = 0
    for statement, expected in examples(document):
        lines = [line for line in statement.splitlines() if not line.startswith(".load")]
        got = outcome(db, "\n".join(lines))
        if expected:
            assert got == expected, statement
            compared += len(expected)
        else:
            assert not any(line.startswith("error") for line in got), (statement, got)
    assert compared >= 3, f"{document} compares only {compared} results"


# --- names in the documents ----------------------------------------------------------------------

ARCHITECTURE = "docs/ARCHITECTURE.md"
WRITTEN = [ARCHITECTURE, "CHANGELOG.md", *DOCUMENTS, *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]


def named_tests(text):
    """(file, function) of every `FILE::FUNCTION`."""
    return re.findall(r"`((?:tests|src)/[\w/.-]+\.(?:py|rs))::(\w+)`", text)


def test_tests_that_hold_an_invariant_exist():
    text = (ROOT / ARCHITECTURE).read_text(encoding="utf-8")
    for file, name in named_tests(text):
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^\s*(?:def|fn) {name}\(", source, re.MULTILINE), f"{file} has no test {name}"


def test_every_invariant_has_a_test():
    text = (ROOT / ARCHITECTURE).read_text(encoding="utf-8")
    invariants = re.split(r"^\d+\. ", text.split("\n## Invariants\n")[1].split("\n## ")[0], flags=re.MULTILINE)[1:]
    assert len(invariants) >= 10
    for invariant in invariants:
        assert named_tests(invariant), invariant


@pytest.mark.parametrize("document", sorted(set(WRITTEN)))
def test_files_that_a_document_names_exist(document):
    """`src/...`, `tests/...` and the like in code, and what links lead to."""
    text = (ROOT / document).read_text(encoding="utf-8")
    spans = re.findall(r"`((?:src|tests|docs|sql|benches|scripts|examples)/[\w/.-]+)(?:::\w+)?`", text)
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", text)
    missing = [name for name in spans if not (ROOT / name).exists()]
    missing += [link for link in links if not (ROOT / document).parent.joinpath(link).exists()]
    assert not missing, f"{document} names {missing}"


def test_decisions_are_all_listed_and_have_their_headings():
    listed = re.findall(r"\]\(decisions/(\S+)\)", (ROOT / ARCHITECTURE).read_text(encoding="utf-8").split("\n## Decisions\n")[1].split("\n## ")[0])
    files = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert listed == [file.name for file in files] and files
    for file in files:
        headings = re.findall(r"^## (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Problem", "Choice", "Measured", "Reconsider when"], file.name
