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
