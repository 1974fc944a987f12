"""What the tests of other languages share: their tools, a plain environment, and the two things that
every example does.

An example without texts makes a small index and prints the two best titles with their scores; with texts
it prints the vector of each as a JSON array. So one check compares every language with the golden vectors.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIST = Path(os.environ.get("BGE_DIST", ROOT / "dist")).resolve()
# What the packages carry, where `make packages` has made it: the tests load that.
PARTS = next(folder for folder in (ROOT / "target" / "packages" / "parts", DIST) if (folder / "libbge.so").is_file())
LIBRARY = PARTS / "libbge.so"
RUNTIME = PARTS / "libonnxruntime.so"
MODELS = DIST / "models"
SMALL = "bge-small-en-v1.5"
EXAMPLES = ROOT / "examples"
# What is slow to install or compile is kept here between runs; `make clean` removes it.
KEPT = ROOT / "target" / "languages"
SEARCH_RESULT = "Router 0.61\nInvoice 0.46\n"


def need(what):
    """Skips the test where scripts/setup.sh says that a need of its is not there, or too old."""
    check = "check_rust" if what == "rust" else f"has_{what}"
    done = subprocess.run(["bash", "-c", f'source "{ROOT}/scripts/setup.sh"; {check}'], capture_output=True)
    if done.returncode:
        pytest.skip(f"not run: {what} is missing on this machine, or too old; scripts/setup.sh {what} says more")


def environment(home, **changes):
    """This process's environment without settings of ours; models are found in dist/ alone, or where
    `changes` say. None removes a variable."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("BGE_", "HF_", "XDG_", "ORT_", "NODE_", "npm_")) and k != "LD_LIBRARY_PATH"}
    env.update(HOME=str(home), BGE_MODELS=str(MODELS), LC_ALL="C.UTF-8")
    for key, setting in changes.items():
        env.pop(key, None) if setting is None else env.update({key: str(setting)})
    return env


def run(command, env=None, cwd=None, timeout=120, stdin=subprocess.DEVNULL):
    """Runs a program to its end; stdout and stderr as text."""
    return subprocess.run([str(word) for word in command], env=env, cwd=cwd, timeout=timeout, stdin=stdin,
                          capture_output=True, text=True)


def output(command, **options):
    """What a program prints; a return code other than 0 fails the test, with its words."""
    done = run(command, **options)
    assert done.returncode == 0, f"rc {done.returncode} of {command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def build(command, lock=None, **options):
    """As `output`, for what compiles: under a lock, where BGE_BUILD_LOCK names one, and kept cheap for others."""
    lock = os.environ.get("BGE_BUILD_LOCK")
    return output([*(["flock", lock] if lock else []), "nice", *command], timeout=1500, **options)


def fails_without_model(command, env, cwd=None):
    """What an example says on stderr where there is no model: the extension's own words, and no crash."""
    done = run(command, env={k: v for k, v in env.items() if k != "BGE_MODELS"}, cwd=cwd)
    assert done.returncode > 0, f"rc {done.returncode}"
    assert f"no model '{SMALL}' found" in done.stderr, done.stderr


def golden():
    """Rows of the reference: one word, other scripts, the empty text, thousands of words, ..."""
    with open(ROOT / "tests" / "fixtures" / "reference" / f"{SMALL}.jsonl", encoding="ascii") as lines:
        rows = [json.loads(line) for line in lines]
    plain = [row for row in rows if not row["query"]]
    empty = next(row for row in plain if row["text"] == "")
    longest = max(plain, key=lambda row: len(row["text"]))
    return [*plain[::8], empty, longest]


def check_example(command, env, cwd=None):
    """Both things that an example does."""
    assert output(command, env=env, cwd=cwd) == SEARCH_RESULT
    rows = golden()
    lines = output([*command, *(row["text"] for row in rows)], env=env, cwd=cwd).splitlines()
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines):
        vector = json.loads(line)
        assert len(vector) == len(row["cls"])
        worst = max(abs(got - wanted) for got, wanted in zip(vector, row["cls"]))
        assert worst < 1e-5, f"row {row['id']} ({row['note']}) differs by {worst}"
