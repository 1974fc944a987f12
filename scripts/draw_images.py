#!/usr/bin/env python3
"""Draws the pictures of the README: docs/images/figures.svg and docs/images/terminal.svg.

    scripts/draw_images.py [--check]

The chart has no figures of its own: each is read from the table in docs/BENCHMARKS.md whose row is named
here. The terminal shows what sqlite3 really prints for these statements, with the library of dist/.
--check compares with what is there, writes nothing, and ends with 1 where something differs.

Standard library only.
"""

import argparse
import os
import re
import subprocess
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
DIST = Path(os.environ.get("BGE_DIST", ROOT / "dist")).resolve()

# --- the chart ----------------------------------------------------------------------------

# (label, a row of BENCHMARKS.md by the start of its first cell, the figure in its second cell)
SEARCH = [
    ("sqlite-bge, index", "warm query, 200,000 rows", r"^([\d.]+) ms"),
    ("sqlite-vector, INT8 (finds 95 % of the ten)", "sqlite-vector INT8 (recall", r"^([\d.]+) ms"),
    ("sqlite-vector, TURBO4 (finds 91 %)", "sqlite-vector INT8 (recall", r"; ([\d.]+) ms"),
    ("sqlite-vec, vec0", "vec0 (recall 1.000)", r"^([\d.]+) ms"),
    ("sqlite-bge, ORDER BY bge_cosine(...)", "`ORDER BY bge_cosine(...)` over a table", r"^([\d.]+) ms"),
]
SPEED = [
    ("a Python script with ONNX Runtime", None, None),
    ("sqlite-bge, 2,000 sentences", "against the script", r"^([\d.]+) times"),
    ("sqlite-bge, 500 paragraphs", "against the script", r"^([\d.]+) times"),
]
LABEL_WIDTH, BAR_WIDTH, ROW, WIDTH = 290, 330, 26, 720
OURS, PEER = "#2563eb", "#9ca3af"


def figures(bars, document):
    """(label, figure) of each bar; rows of one name are taken in their order."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in document.splitlines() if line.startswith("|")]
    unused, read = list(rows), {}
    for label, start, pattern in bars:
        if start is None:  # what the ratios are against
            yield label, 1.0
            continue
        # A second figure of the same row comes from the row that was read for the first.
        row = read.get(start) if pattern.startswith("; ") else next((r for r in unused if r[0].startswith(start)), None)
        if row is None:
            raise SystemExit(f"docs/BENCHMARKS.md has no row '{start} ...' for the bar '{label}'")
        if row in unused:
            unused.remove(row)
        read[start] = row
        found = re.search(pattern, row[1])
        if found is None:
            raise SystemExit(f"docs/BENCHMARKS.md: row '{row[0]}' has '{row[1]}', expected a figure like {pattern}")
        yield label, float(found[1])


def panel(top, title, unit, bars):
    """SVG lines of one panel, and its bottom."""
    longest = max(figure for _, figure in bars)
    lines = [f'<text x="20" y="{top}" class="title">{escape(title)}</text>']
    for number, (label, figure) in enumerate(bars):
        y = top + 16 + number * ROW
        length = max(2.0, BAR_WIDTH * figure / longest)
        colour = OURS if label.startswith("sqlite-bge") else PEER
        lines += [f'<text x="{LABEL_WIDTH}" y="{y + 13}" class="label">{escape(label)}</text>',
                  f'<rect x="{LABEL_WIDTH + 10}" y="{y}" width="{length:.1f}" height="18" rx="2" fill="{colour}"/>',
                  f'<text x="{LABEL_WIDTH + 16 + length:.1f}" y="{y + 13}">{figure:g}{unit}</text>']
    return lines, top + 16 + len(bars) * ROW


def chart():
    document = (ROOT / "docs" / "BENCHMARKS.md").read_text(encoding="utf-8")
    first, bottom = panel(32, "Ten nearest of 200,000 vectors: milliseconds, less is better", " ms",
                          list(figures(SEARCH, document)))
    second, bottom = panel(bottom + 34, "Embedding a table: speed as times the script's, more is better", "",
                           list(figures(SPEED, document)))
    note = "AMD EPYC (AVX-512 VNNI), 2 cores, 2026-11-24; bge-small-en-v1.5. All figures: docs/BENCHMARKS.md"
    last = f'<text x="20" y="{bottom + 26}" class="note">{escape(note)}</text>'
    style = "text{font:13px sans-serif;fill:#1f2937}.title{font-weight:bold}.label{text-anchor:end}.note{font-size:11px;fill:#6b7280}"
    return svg(bottom + 40, style, [f'<rect width="{WIDTH}" height="100%" fill="#ffffff"/>', *first, *second, last])


def svg(height, style, lines):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    return "\n".join([head, f"<style>{style}</style>", *lines, "</svg>", ""])


# --- the terminal -------------------------------------------------------------------------

# Typed one after the other. What stands in PREPARED is done before, unseen.
PREPARED = [".load {library}", ".mode csv", ".import --skip 1 {articles} csv",
            "CREATE TABLE articles(id INTEGER PRIMARY KEY, title TEXT, body TEXT, area TEXT)",
            "INSERT INTO articles SELECT * FROM csv", ".mode list"]
TYPED = [
    "CREATE VIRTUAL TABLE articles_bge USING bge(title, body, content='articles');",
    "SELECT bge_sync('articles_bge') || ' articles';",
    "SELECT title, round(score, 2) FROM articles_bge('coffee all over my computer', 3);",
    "SELECT title, round(score, 2) FROM articles_bge('are my children insured too?', 3);",
]
LINE, LEFT = 19, 22


def printed():
    """What sqlite3 prints for each typed statement."""
    mark = "-- end of a statement --"
    prepare = [line.format(library=DIST / "libbge", articles=ROOT / "examples" / "helpdesk" / "articles.csv")
               for line in PREPARED]
    script = ["CREATE TABLE csv(id INTEGER, title TEXT, body TEXT, area TEXT);"]
    script += [line if line.startswith(".") else f"{line};" for line in prepare]
    for statement in TYPED:
        script += [statement.replace("   ...> ", ""), f".print {mark}"]
    env = {**os.environ, "BGE_MODELS": str(DIST / "models")}
    done = subprocess.run(["sqlite3", "-batch", "-init", "/dev/null", ":memory:"], input="\n".join(script), env=env,
                          capture_output=True, text=True)
    if done.returncode or done.stderr:
        raise SystemExit(f"sqlite3 failed: {done.stderr}")
    return done.stdout.split(f"{mark}\n")


def terminal():
    lines = ['<text x="{x}" y="{y}"><tspan class="prompt">sqlite&gt; </tspan>.load ./libbge</text>']
    for statement, output in zip(TYPED, printed()):
        first, *rest = statement.split("\n")
        lines.append(f'<text x="{{x}}" y="{{y}}"><tspan class="prompt">sqlite&gt; </tspan>{escape(first)}</text>')
        for line in rest:
            prompt, text = line[:8], line[8:]
            lines.append(f'<text x="{{x}}" y="{{y}}"><tspan class="prompt">{escape(prompt)}</tspan>{escape(text)}</text>')
        lines += [f'<text x="{{x}}" y="{{y}}" class="out">{escape(line)}</text>' for line in output.splitlines()]
    placed = [line.format(x=LEFT, y=34 + number * LINE) for number, line in enumerate(lines)]
    style = ("text{font:12.5px ui-monospace,Menlo,Consolas,monospace;fill:#e5e7eb;white-space:pre}"
             ".prompt{fill:#9ca3af}.out{fill:#86efac}")
    height = 34 + len(lines) * LINE
    return svg(height, style, [f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#111827"/>', *placed])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for name, draw in {"figures.svg": chart, "terminal.svg": terminal}.items():
        path, drawn = IMAGES / name, draw()
        if check and (not path.exists() or path.read_text(encoding="utf-8") != drawn):
            stale.append(name)
        elif not check:
            path.write_text(drawn, encoding="utf-8")
    if stale:
        print(f"not as they would be drawn now: {', '.join(stale)}; scripts/draw_images.py draws them", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
