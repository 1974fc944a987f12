"""The program that measures sqlite-bge beside its peers runs, and its figures have the shape that publish.py reads.

sqlite-bge alone, tiny sizes: what the figures say is of no interest here.
"""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import support

PROGRAM = support.ROOT / "benches/side_by_side"
NEEDED = ("numpy", "apsw", "tokenizers")


def needed():
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed: `pip install -r benches/requirements.txt`")
    folders = [folder / "models" / support.SMALL for folder in (support.DIST, support.ROOT / "dist")]
    if not any((folder / "onnx/model.onnx").is_file() for folder in folders):
        pytest.skip(f"no models/{support.SMALL} beside the library: `make model`")


@pytest.fixture(scope="module")
def bulk(tmp_path_factory):
    """The figures of one quick run: the whole file."""
    needed()
    file = tmp_path_factory.mktemp("side-by-side") / "figures.json"
    command = [sys.executable, str(PROGRAM), "--quick", "--only", "bulk", "--side", "bge-fp32",
               "--dist", str(support.DIST), "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text())


def test_a_speed_stands_with_what_it_was_measured_on(bulk):
    part = bulk["parts"]["bulk"]
    assert "cores" in bulk["machine"]
    assert part["quick"] is True and part["missing"] == {} and part["rounds"] == 1
    assert len(part["load_average"]) == 2 and len(part["date"]) == len("2026-11-25")
    assert {"sqlite-bge", "SQLite"} <= part["versions"].keys()
    assert list(part["works"]) == ["sentences", "paragraphs", "texts of 512 tokens"]
    for work in part["works"].values():
        assert work["texts"] > 0 and work["tokens"] > 0
        assert list(work["sides"]) == ["bge-fp32"]
        assert work["sides"]["bge-fp32"]["texts_per_second"] > 0


def test_figures_of_a_try_are_not_published(bulk, tmp_path):
    file = tmp_path / "figures.json"
    file.write_text(json.dumps(bulk))
    before = (support.ROOT / "docs/BENCHMARKS.md").read_bytes()
    done = subprocess.run([sys.executable, str(PROGRAM / "publish.py"), str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "bulk" in done.stderr and "--quick" in done.stderr
    assert (support.ROOT / "docs/BENCHMARKS.md").read_bytes() == before


def test_the_section_in_the_documents_is_made_from_the_figures_beside_it():
    """Nobody has edited figures by hand. Publishing again would write the same page and picture."""
    sys.path.insert(0, str(PROGRAM))
    try:
        import chart
        import publish
    finally:
        sys.path.remove(str(PROGRAM))
    figures = json.loads(publish.KEPT.read_text())
    page = publish.PAGE.read_text(encoding="utf-8")
    assert publish.section(figures) in page
    assert publish.PICTURE.read_text(encoding="utf-8") == chart.drawn(figures)
