"""The show of `make demo`, run as make runs it: in the sqlite3 shell, and once more over the same file."""

import re
import subprocess

import pytest
from support import DIST, ROOT

FOLDER = ROOT / "examples" / "helpdesk"


def shown(file):
    """What the demo prints over this file; cells of a line are separated by one bar."""
    with (FOLDER / "demo.sql").open(encoding="utf-8") as script:
        done = subprocess.run(["sqlite3", "-batch", str(file)], cwd=FOLDER, stdin=script, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return re.sub(r" *│ *", "|", done.stdout)


@pytest.mark.skipif(DIST.resolve() != (ROOT / "dist").resolve(), reason="the demo loads dist/libbge")
def test_the_demo_shows_what_it_says(tmp_path):
    first = shown(tmp_path / "demo.db")
    assert "Embedding 320 articles" in first and "Embedding 73 tickets" in first
    assert "|My coffee tipped over onto the computer, what now?" in first and "|Spilt drink on keyboard" in first
    travel = first[first.index("only articles of the area travel"):first.index("Embedding 73")]
    assert len(re.findall(r"\|0\.\d+\|travel\|", travel)) == 3
    # The name is first by words, far behind by meaning, and first in the ranking.
    by_meaning, by_words, note = re.search(r"\|(\d+)\|(\d+)\|(INC-\d+: [^|]+)\|", first).groups()
    assert note.startswith("INC-20814: ") and by_words == "1" and int(by_meaning) > 3
    assert "|9 of 24|0|6|16|0|16|" in first
    again = shown(tmp_path / "demo.db")
    assert "Embedding 0 articles" in again and "Embedding 0 tickets" in again
    assert again[again.index("By meaning and by words"):] == first[first.index("By meaning and by words"):]
