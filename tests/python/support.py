"""What the tests of the Python packages share: places, a small help desk, and running commands."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import sqlite_bge

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
MODELS = Path(os.environ.get("BGE_TEST_MODELS", DIST / "models")).resolve()
MODEL = "bge-small-en-v1.5"
BIN = Path(sys.executable).parent

# The cosine of FlagEmbedding's README for its first two texts.
GOLDEN = ("SELECT round(bge_cosine(bge_embed('embedding'), bge_embed('I love machine learning and nlp')), 5)", 0.60462)

ROWS = [("Router", "Hold the small button for ten seconds to restore the factory settings."),
        ("Invoice", "You can download last month's bill from the payments page."),
        ("Holidays", "Requests for days off go to your team lead two weeks ahead.")]


def write_desk(path):
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE desk(id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
        db.executemany("INSERT INTO desk(title, body) VALUES (?, ?)", ROWS)


def index_desk(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        sqlite_bge.load(db)
        db.execute("CREATE VIRTUAL TABLE desk_bge USING bge(title, body, content='desk')")
        sqlite_bge.sync(db, "desk_bge", progress=False)


def run(*command, code=0, **options):
    """Runs a command to its end, which must be `code`; a traceback fails the test."""
    options = {"capture_output": True, "text": True, "timeout": 300, "stdin": subprocess.DEVNULL, **options}
    done = subprocess.run([str(word) for word in command], **options)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
    return done


def sqlite_bge_command(*arguments, **options):
    return run(BIN / "sqlite-bge", *arguments, **options)


def environment(**changes):
    """This process's environment with changes; None takes a variable out."""
    merged = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def shell_words(line):
    """The words of a command as a shell reads them, in a shell."""
    done = run("sh", "-c", f'for word in {line}; do printf "%s\\0" "$word"; done')
    return done.stdout.split("\0")[:-1]
