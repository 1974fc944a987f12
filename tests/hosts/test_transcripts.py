"""Golden transcripts: transcripts/NAME.sql typed into the machine's sqlite3, compared with NAME.out.

What is shown, errors included, is what a user of sqlite3 3.40 sees. Write the .out files again, and read the
difference before committing it: BGE_TEST_UPDATE_TRANSCRIPTS=1 pytest tests/hosts/test_transcripts.py
"""

import os
import pty
import subprocess

import pytest
from support import DIST, EXTENSION, FIXTURES, HERE, ROOT, environment

FOLDER = HERE / "transcripts"
SCRIPTS = sorted(FOLDER.glob("*.sql"))


def transcript(script):
    """What a terminal shows of a session, the statements echoed. A terminal, because only then do
    results and errors come in their order."""
    ours, theirs = pty.openpty()
    commands = f'.load "{EXTENSION}"\n.echo on\n{script.read_text(encoding="utf-8")}'
    process = subprocess.Popen(["sqlite3", "-batch", "-init", "/dev/null", ":memory:"], stdin=subprocess.PIPE,
                               stdout=theirs, stderr=theirs, env=environment())
    os.close(theirs)
    process.stdin.write(commands.encode())
    process.stdin.close()
    shown = bytearray()
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    process.wait()
    return normalised(shown.decode().replace("\r\n", "\n"))


def normalised(text):
    """Places of this machine by names."""
    places = {FIXTURES: "FIXTURES", DIST: "DIST", ROOT: "REPOSITORY", os.environ["HOME"]: "HOME"}
    for path, name in places.items():
        text = text.replace(str(path), name)
    return text


def test_there_are_transcripts():
    assert {script.stem for script in SCRIPTS} >= {"vectors", "embed", "errors"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_transcript(script):
    shown, golden = transcript(script), script.with_suffix(".out")
    if os.environ.get("BGE_TEST_UPDATE_TRANSCRIPTS"):
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")
