"""examples/ray: 5,000 texts, two workers, one of them killed. Installs 600 MB: part of `make test-all`."""

import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest
from languages import EXAMPLES, KEPT, LIBRARY, ROOT, build, environment, golden, need, output

pytestmark = pytest.mark.slow
RAY = EXAMPLES / "ray"
ROWS = 5_000


@pytest.fixture(scope="module")
def python():
    """A Python whose sqlite3 loads extensions, with Ray."""
    need("loading_python")
    base = output(["bash", ROOT / "scripts" / "loading_python.sh"]).strip()
    wanted = hashlib.sha256((RAY / "requirements.txt").read_bytes()).hexdigest()[:8]
    folder = KEPT / f"ray-{wanted}"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        output([base, "-m", "venv", folder])
        build([folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "-r", RAY / "requirements.txt"])
        (folder / "whole").touch()
    return folder / "bin" / "python"


def texts(count):
    """Golden texts first, then sentences that are all different."""
    known = [row["text"] for row in golden() if row["text"]]
    return [*known, *(f"Case {n}: the machine in room {n % 97} shows an error when it is switched on"
                      for n in range(count - len(known)))]


def sqlite_file(path, rows):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE texts(id INTEGER PRIMARY KEY, text TEXT)")
    db.executemany("INSERT INTO texts VALUES (?, ?)", enumerate(rows, start=1))
    db.commit()
    db.close()


def start(python, home, *words):
    command = ["nice", python, RAY / "embed.py", "--library", LIBRARY, "--workers", "2", *words]
    return subprocess.Popen([str(word) for word in command], env=environment(home, RAY_AUTH_MODE="disabled"),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def descendants(pid):
    """Processes below this one: id -> command line."""
    parents, commands = {}, {}
    for folder in os.listdir("/proc"):
        if folder.isdigit():
            try:
                with open(f"/proc/{folder}/stat") as stat, open(f"/proc/{folder}/cmdline") as command:
                    parents[int(folder)] = int(stat.read().rpartition(")")[2].split()[1])
                    commands[int(folder)] = command.read().replace("\0", " ")
            except OSError:
                continue
    below = {pid}
    while grown := {child for child, parent in parents.items() if parent in below} - below:
        below |= grown
    return {child: commands[child] for child in below - {pid}}


def workers(process):
    return {pid for pid, command in descendants(process.pid).items() if "MapWorker(MapBatches(Embedder))" in command}


def wait_for(condition, process, seconds=180):
    for _ in range(seconds * 5):
        if found := condition():
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    raise AssertionError("it did not happen")


def checked(path, rows):
    """Every row is in the index with a vector, and the golden ones have the golden vectors."""
    done = output(["sqlite3", path, f'.load "{LIBRARY}"', "SELECT bge_status('texts_bge')",
                   "INSERT INTO texts_bge(texts_bge) VALUES ('integrity-check')",
                   "SELECT bge_to_json(embedding) FROM texts_bge WHERE rowid <= 12 ORDER BY rowid"], env=environment("/"))
    status, *vectors = [json.loads(line) for line in done.splitlines()]
    assert (status["rows"], status["pending"], status["problems"], status["wrong"]) == (len(rows), 0, 0, [])
    known = {row["text"]: row["cls"] for row in golden()}
    for text, vector in zip(rows, vectors, strict=False):
        if text in known:
            assert max(abs(a - b) for a, b in zip(vector, known[text])) < 1e-5, text


def finished(process):
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err[-3000:]
    return out, err


def test_parquet_with_a_killed_worker(python, tmp_path):
    rows = texts(ROWS)
    source = tmp_path / "texts.json"
    source.write_text(json.dumps(rows))
    output([python, "-c", "import json, sys, pyarrow, pyarrow.parquet as parquet\n"
            "texts = json.load(open(sys.argv[1]))\n"
            "table = pyarrow.table({'id': range(1, len(texts) + 1), 'text': texts})\n"
            "parquet.write_table(table, sys.argv[2])", source, tmp_path / "texts.parquet"])
    process = start(python, tmp_path, "--texts", tmp_path / "texts.parquet", "--into", tmp_path / "search.db")
    victims = wait_for(lambda: len(found := workers(process)) == 2 and found, process)
    time.sleep(8)  # both are at work
    victim = min(victims)
    assert victim in workers(process)
    os.kill(victim, signal.SIGKILL)
    replaced = wait_for(lambda: workers(process) - victims, process)
    out, err = finished(process)
    print(out, f"killed {victim}, in its place came {replaced}")
    # Ray prints about the dead worker in between.
    assert re.search(rf"^{ROWS} rows: embedded in [0-9.]+ s, merged in [0-9.]+ s$", out, re.MULTILINE), out
    assert f"Worker PID: {victim}" in out + err
    checked(tmp_path / "search.db", rows)


def test_sqlite(python, tmp_path):
    rows = texts(600)
    sqlite_file(tmp_path / "texts.db", rows)
    process = start(python, tmp_path, "--texts", tmp_path / "texts.db", "--into", tmp_path / "search.db")
    finished(process)
    checked(tmp_path / "search.db", rows)


def test_a_file_that_is_there_is_not_written_over(python, tmp_path):
    (tmp_path / "search.db").write_text("somebody's")
    process = start(python, tmp_path, "--texts", "none.parquet", "--into", tmp_path / "search.db")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "search.db is there already; name a new file" in err
    assert (tmp_path / "search.db").read_text() == "somebody's"
