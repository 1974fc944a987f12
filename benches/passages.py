"""How long should a passage be? Long pages and questions in other words than theirs, each with the one page
that answers it, for many ways of cutting: length, overlap, title in front or not, cuts at headings or not.

    .venv/bin/python benches/passages.py [--precision bf16|fp32] [--only CASE ...]

Two kinds of pages, neither of them part of this project: the chapters of the Rust book, as the toolchain's
component rust-docs brings them (`rustup component add rust-docs`), and manual pages of git, from Debian's
package git-doc (of 4,000 to 45,000 characters, without file formats, protocols and pages that are mostly
another one's text). The questions are in benches/passages/: page, tab, question. They were written from what the pages are about,
half of them before anything was measured and half when the first half's means were known, and none was changed
or left out afterwards.

Each case is an index of its own, kept in target/bench-cache/passages: the first run takes about an hour, the
next ones some seconds. A case is called by its tokens, overlap and what is special: `256/32`, `256/32 plain`
(the title only once, at the beginning), `256/32 sections` (each heading begins a row of its own, with the page's
title in front). Differences are to the first case, over the questions of both kinds, with the 95 % interval
of a paired bootstrap.
"""

import argparse
import html.parser
import json
import pathlib
import re
import subprocess
import time

import apsw
import numpy as np

import corpus
import peer

CACHE = corpus.CACHE / "passages"
QUESTIONS = pathlib.Path(__file__).parent / "passages"
GIT = pathlib.Path("/usr/share/doc/git/html")
CASES = ["512/64", "512/0", "512/128", "384/48", "256/32", "256/0", "256/64", "192/24", "128/16", "128/0",
         "128/32", "96/12", "512/64 plain", "256/32 plain", "128/16 plain", "512/64 sections", "256/32 sections",
         "128/16 sections"]
# What is asked of the cases together: in each pair, the first instead of the second.
CONTRASTS = {
    "256 tokens instead of 512": [("256/32", "512/64"), ("256/0", "512/0"), ("256/64", "512/128"),
                                  ("256/32 plain", "512/64 plain"), ("256/32 sections", "512/64 sections")],
    "128 tokens instead of 256": [("128/16", "256/32"), ("128/0", "256/0"), ("128/32", "256/64"),
                                  ("128/16 plain", "256/32 plain"), ("128/16 sections", "256/32 sections")],
    "an eighth repeated, not nothing": [("512/64", "512/0"), ("256/32", "256/0"), ("128/16", "128/0")],
    "a quarter repeated, not an eighth": [("512/128", "512/64"), ("256/64", "256/32"), ("128/32", "128/16")],
    "the title once, not before each passage": [(f"{case} plain", case) for case in ("512/64", "256/32", "128/16")],
    "cut at every heading, not at none": [(f"{case} sections", case) for case in ("512/64", "256/32", "128/16")],
}
TOP = 10

# ---- the pages -------------------------------------------------------------------------------------

BLOCKS = {"p", "div", "li", "dt", "dd", "tr", "table", "ul", "ol", "dl", "blockquote", "section", "main", "br"}
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
SILENT = {"script", "style", "nav", "button", "head"}


class Reader(html.parser.HTMLParser):
    """A page's blocks: (level, text), the level of a heading or None."""

    def __init__(self):
        super().__init__()
        self.blocks, self.line, self.silent, self.listing, self.level = [], [], 0, 0, None

    def end_block(self):
        text = "".join(self.line)
        text = text.strip("\n") if self.listing else " ".join(text.split())
        if text.strip():
            self.blocks.append((self.level, text))
        self.line = []

    def handle_starttag(self, tag, attrs):
        if tag in SILENT:
            self.silent += 1
        elif tag in HEADINGS:
            self.end_block()
            self.level = int(tag[1])
        elif tag == "pre":
            self.end_block()
            self.listing += 1
        elif tag in BLOCKS and not self.listing:
            self.end_block()

    def handle_endtag(self, tag):
        if tag in SILENT:
            self.silent -= 1
        elif tag in HEADINGS:
            self.end_block()
            self.level = None
        elif tag == "pre":
            self.end_block()
            self.listing -= 1
        elif tag in BLOCKS and not self.listing:
            self.end_block()

    def handle_data(self, data):
        if not self.silent:
            self.line.append(data)


def blocks_of(page):
    reader = Reader()
    reader.feed(page)
    reader.end_block()
    return reader.blocks


def book():
    """(name, title, blocks) of each chapter of the Rust book."""
    root = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    folder = pathlib.Path(root) / "share/doc/rust/html/book"
    if not folder.exists():
        raise SystemExit("the Rust book is not there; run: rustup component add rust-docs")
    listed = re.findall(r'href="((?:ch|appendix)[^"#]*|foreword\.html)"', (folder / "toc.html").read_text())
    for file in dict.fromkeys(listed):
        main = re.search(r"<main>(.*?)</main>", (folder / file).read_text(), re.S).group(1)
        (_, title), *blocks = blocks_of(main)
        yield file.removesuffix(".html"), title, blocks


def git():
    """The same of git's manual pages; the title is the line under NAME."""
    if not GIT.exists():
        raise SystemExit("git's manual is not there; run: sudo apt-get install git-doc")
    others = {"git-annotate", "git-diff-files", "git-diff-index", "git-shortlog", "git-pull"}
    for file in sorted(GIT.glob("git*.html")):
        if file.is_symlink() or file.stem in others or file.stem.startswith(("gitprotocol", "gitformat")):
            continue
        blocks = blocks_of(file.read_text())
        if 4_000 <= sum(len(text) for _, text in blocks) <= 45_000:
            yield file.stem, blocks[2][1], blocks[3:]


KINDS = {"book": book, "git": git}


def text_of(blocks):
    return "\n\n".join("#" * level + " " + text if level else text for level, text in blocks)


def rows(kind, special):
    """(page, title, text) for each row of an index: a page, or a part of one."""
    for page, title, blocks in KINDS[kind]():
        parts = [[]]
        for block in blocks:
            if special == "sections" and block[0] and block[0] <= 4:
                parts.append([])
            parts[-1].append(block)
        for part in [part for part in parts if part] or [[]]:
            yield page, title, text_of(part)


# ---- indexes ---------------------------------------------------------------------------------------

def connect(file, precision):
    db = apsw.Connection(str(file))
    db.enable_load_extension(True)
    db.load_extension(str(peer.DIST / "libbge"))
    folder = str(peer.DIST / "models" / peer.MODEL)
    db.execute("SELECT bge_load('m', ?, ?)", (folder, json.dumps({"precision": precision, "cache_mb": 0}))).get
    return db


def built(kind, case, precision):
    """A connection to the index of this case, made if it is not there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    size, _, special = case.partition(" ")
    tokens, overlap = size.split("/")
    file = CACHE / f"{kind}-{tokens}-{overlap}-{special or 'title'}-{precision}.db"
    if not file.exists():
        unfinished = file.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        db = connect(unfinished, precision)
        with db:
            db.execute("CREATE TABLE docs(id INTEGER PRIMARY KEY, page, title, body)")
            put = "INSERT INTO docs(page, title, body) VALUES (?, ?, ?)"
            for page, title, text in rows(kind, special):
                db.execute(put, (page, title, f"{title}\n\n{text}" if special == "plain" else text))
        columns = "body" if special == "plain" else "title, body"
        db.execute(f"CREATE VIRTUAL TABLE idx USING bge({columns}, content='docs', model='m', triggers=off, "
                   f"chunk_tokens={tokens}, overlap={overlap})")
        begun = time.process_time()
        db.execute("SELECT bge_sync('idx')").get
        db.execute("CREATE TABLE took AS SELECT ? AS cpu", (time.process_time() - begun,))
        db.close()
        unfinished.rename(file)
    return connect(file, precision)


def questions(kind):
    lines = (QUESTIONS / f"{kind}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines]


def measure(kind, case, precision):
    """The place of the right page for each question (a large number: not found), passages, CPU seconds of embedding."""
    db = built(kind, case, precision)
    places = []
    for page, question in questions(kind):
        # A page may have several rows: more rows than pages are asked for.
        found = db.execute("SELECT page FROM (SELECT rowid AS row, distance FROM idx WHERE idx MATCH ? AND k = 60) "
                           "JOIN docs ON row = id ORDER BY distance", (question,))
        found = list(dict.fromkeys(page for page, in found))
        places.append(found.index(page) + 1 if page in found else 1_000)
    counted = db.execute("SELECT (SELECT count(*) FROM idx_passages), (SELECT cpu FROM took)").fetchone()
    db.close()
    return np.array(places), *counted


def reciprocal(places):
    return np.where(places <= TOP, 1 / places, 0)


def among_five(places):
    return (places <= 5).astype(float)


def interval(difference):
    """The 95 % interval of a mean, by a bootstrap over questions."""
    chance = np.random.default_rng(1)
    means = difference[chance.integers(0, len(difference), (10_000, len(difference)))].mean(axis=1)
    return np.quantile(means, [0.025, 0.975])


def shown(difference):
    low, high = interval(difference)
    return f"{difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def contrasts(measured):
    """A table of CONTRASTS: a question's difference is its mean over the pairs of which both were measured."""
    print(f"\n| | pairs | " + " | ".join(f"{kind}: MRR@{TOP}; recall@5" for kind in [*KINDS, "both"]) + " |\n"
          + "| --- " * (len(KINDS) + 3) + "|")
    for name, pairs in CONTRASTS.items():
        pairs = [(measured[one], measured[other]) for one, other in pairs if one in measured and other in measured]
        if not pairs:
            continue
        differences = {score: [np.mean([score(one[n]) - score(other[n]) for one, other in pairs], axis=0)
                               for n in range(len(KINDS))] for score in (reciprocal, among_five)}
        for kinds in differences.values():
            kinds.append(np.concatenate(kinds))
        cells = [f"{shown(mrr)}; {shown(recall)}" for mrr, recall in zip(*differences.values())]
        print(f"| {name} | {len(pairs)} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="bf16", choices=("bf16", "fp32"))
    parser.add_argument("--only", nargs="+", metavar="CASE", help="these cases; differences are to the first")
    arguments = parser.parse_args()
    cases = arguments.only or CASES
    print("| tokens/overlap | " + " | ".join(f"{kind}: passages; MRR@{TOP}; recall@5; CPU s" for kind in KINDS)
          + f" | both: MRR@{TOP}, and against {cases[0]} | both: recall@5, and against {cases[0]} |\n| --- | " + " | ".join("---" for _ in KINDS) + " | --- | --- |")
    base, measured = None, {}
    for case in cases:
        cells, both = [], []
        for kind in KINDS:
            places, passages, cpu = measure(kind, case, arguments.precision)
            both.append(places)
            cells.append(f"{passages:,}; {reciprocal(places).mean():.3f}; {among_five(places).mean():.3f}; {cpu:.0f}")
        measured[case] = both
        both = np.concatenate(both)
        base = both if base is None else base
        for score in (reciprocal, among_five):
            cells.append(f"{score(both).mean():.3f}; {shown(score(both) - score(base))}")
        print(f"| {case} | " + " | ".join(cells) + " |", flush=True)
    contrasts(measured)


if __name__ == "__main__":
    main()
