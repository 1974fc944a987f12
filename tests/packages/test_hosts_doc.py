"""docs/HOSTS.md, the languages of examples/: its code is theirs, word for word, so it runs when they run."""

import re
import subprocess

import pytest
from languages import DIST, ROOT

DOCUMENT = (ROOT / "docs" / "HOSTS.md").read_text(encoding="utf-8")
LANGUAGES = {"js": ".mjs", "ts": ".ts", "go": ".go", "java": ".java", "rust": ".rs", "c": ".c"}
# (language, the last link before the block, code)
BLOCKS = [(language, re.findall(r"\(\.\./(examples/[^)]+)\)", DOCUMENT[:found.start()])[-1], found[2])
          for found in re.finditer(r"^```(\w+)\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
          if (language := found[1]) in LANGUAGES]


def lines(code):
    """Lines without indentation; blank ones left out."""
    return [line.strip() for line in code.splitlines() if line.strip()]


def test_every_language_has_a_block():
    assert {language for language, _, _ in BLOCKS} == set(LANGUAGES)
    assert len(BLOCKS) == len(re.findall(r"^```(?:js|ts|go|java|rust|c)$", DOCUMENT, re.MULTILINE)) >= 10


@pytest.mark.parametrize("language, example, code", BLOCKS, ids=[f"{example}-{number}" for number, (_, example, _)
                                                                 in enumerate(BLOCKS)])
def test_code_is_that_of_the_example(language, example, code):
    assert example.endswith(LANGUAGES[language]), "the link before the block names the example"
    wanted, there = lines(code), lines((ROOT / example).read_text(encoding="utf-8"))
    assert any(there[at:at + len(wanted)] == wanted for at in range(len(there))), f"not in {example}:\n{code}"


def test_the_shell_s_line():
    [command] = re.findall(r"^```sh\n(sqlite3 .*?)\n```$", DOCUMENT, re.MULTILINE)
    done = subprocess.run(command, shell=True, cwd=DIST, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    version = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert (done.stdout, done.stderr) == (f"{version}\n", "")


def test_links_lead_somewhere():
    for document in ("README.md", "docs/HOSTS.md", "docs/SCALING.md", "examples/README.md", "examples/ray/README.md"):
        folder = (ROOT / document).parent
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / document).read_text(encoding="utf-8")):
            assert (folder / link).exists(), f"{document}: {link}"
