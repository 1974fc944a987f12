"""The section "Side by side" of docs/BENCHMARKS.md and its picture, made from the figures.

    .venv/bin/python benches/side_by_side/publish.py [FIGURES]

FIGURES is what the program has written (target/side-by-side.json): it becomes docs/benchmarks.json. Without it the
section is made again from docs/benchmarks.json. The section stands between two comments, which this program looks
for; nothing else of the document is touched.
"""

import json
import pathlib
import sys

import chart
import search_worker
import sides

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KEPT, PAGE, PICTURE = ROOT / "docs/benchmarks.json", ROOT / "docs/BENCHMARKS.md", ROOT / "docs/images/side-by-side.svg"
BEGIN = "<!-- side by side: made by benches/side_by_side/publish.py from docs/benchmarks.json -->"
END = "<!-- side by side: end -->"


def table(titles, rows):
    """A table in Markdown; the first column is text, the others are numbers."""
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(figures, side, written):
    """What is written of a side's figures, or a dash where it has none."""
    return written(figures[side]) if side in figures else "-"


def accuracy_cells(parts, side):
    """The two columns that stand beside every speed."""
    figures = parts.get("accuracy", {}).get("sides", {})
    return [cell(figures, side, lambda of: f"{of['mean_cosine']:.5f}; {of['least_cosine']:.5f}"),
            cell(figures, side, lambda of: f"{of['overlap'] * 100:.1f} %")]


ACCURACY_TITLES = ["cosine, mean; least", "top 10 shared"]


def times(of):
    return f" ({of['times_base']:.2f})" if "times_base" in of else ""


def of_sides(parts, columns):
    """Rows of the sides that have a figure in one of the columns; a column is (figures, how they are written)."""
    for side in sides.SIDES:
        if any(side in figures for figures, _ in columns):
            cells = [cell(figures, side, written) for figures, written in columns]
            yield [sides.label(side), *cells, *accuracy_cells(parts, side)]


def tables_table(parts):
    """Whole tables: texts a second."""
    works = parts["bulk"]["works"]
    titles = [f"{work['texts']:,} {name}" + ("" if "tokens" in name else f" of {work['tokens']:.0f} tokens")
              for name, work in works.items()]
    columns = [(work["sides"], lambda of: f"{of['texts_per_second']:.1f}{times(of)}") for work in works.values()]
    return ("Whole tables, texts a second; in brackets as times the plain script's speed:\n\n"
            + table(["", *titles, *ACCURACY_TITLES], of_sides(parts, columns)))


def single_table(parts):
    """One text, the first vector of a new process, memory."""
    titles, columns = [], []
    if "one" in parts:
        titles += [f"one text of {parts['one']['tokens']} tokens, median", "95th percentile"]
        figures = parts["one"]["sides"]
        columns += [(figures, lambda of: f"{of['p50_ms']:.2f} ms{times(of)}"), (figures, lambda of: f"{of['p95_ms']:.2f} ms")]
    if "cold" in parts:
        titles += ["program start to first vector", "its peak memory"]
        figures = parts["cold"]["sides"]
        columns += [(figures, lambda of: f"{of['ms']:,.0f} ms{times(of)}"), (figures, lambda of: f"{of['peak_mb']:,.0f} MB")]
    if "memory" in parts:
        titles.append(f"peak memory, {parts['memory']['texts']:,} sentences")
        columns.append((parts["memory"]["sides"], lambda of: f"{of['peak_mb']:,.0f} MB"))
    if not columns:
        return ""
    return ("One text, a new process, memory; in brackets as times the plain script's duration:\n\n"
            + table(["", *titles, *ACCURACY_TITLES], of_sides(parts, columns)))


def search_tables(parts):
    """Vector tables: one table for each number of rows. Recall is the accuracy here."""
    for rows, measured in parts.get("search", {}).get("sizes", {}).items():
        lines = [[search_worker.SEARCHES[side][0], f"{of['warm_ms']:.2f} ms", f"{of['first_ms']:.1f} ms",
                  f"{of['rows_per_second']:,.0f}", f"{of['bytes_a_row']:,.0f}", f"{of['recall'] * 100:.1f} %"]
                 for side, of in measured["sides"].items()]
        titles = ["", "warm top 10", "first query of a process", "rows/s written", "bytes a row", "recall"]
        yield f"Ten nearest of {int(rows):,} vectors of 384 dimensions:\n\n" + table(titles, lines)


def union(parts, key):
    return {name: value for part in parts.values() for name, value in part.get(key, {}).items()}


def conditions(figures):
    """Machine, dates, versions, and how busy the machine was: what the figures cannot be read without."""
    parts = figures["parts"]
    dates = sorted({part["date"] for part in parts.values()})
    versions = ", ".join(f"{name} {version}" for name, version in sorted(union(parts, "versions").items()))
    busy = [load for part in parts.values() for load in part["load_average"]]
    said = [f"{figures['machine']}, {' and '.join(dates)}; {sides.MODEL}.", f"Versions: {versions}.",
            f"Load average before and after the parts: {min(busy):.1f} to {max(busy):.1f}, the measured process included."]
    if "bulk" in parts:
        said.append(f"Whole tables: medians of {parts['bulk']['rounds']} interleaved rounds.")
    if "one" in parts:
        said.append(f"One text: {parts['one']['texts']} different texts a side.")
    if "cold" in parts:
        starts = sorted({of["starts"] for of in parts["cold"]["sides"].values()})
        said.append(f"First vector: medians of {' to '.join(map(str, dict.fromkeys((starts[0], starts[-1]))))} starts "
                    "with the files in the page cache; `sqlite3` for sqlite-bge, Python for the others.")
    if "accuracy" in parts:
        of = parts["accuracy"]
        said.append(f"\"Cosine\" is to FlagEmbedding's vectors of {of['reference']} texts; \"top 10 shared\" is the part of "
                    f"the script's ten nearest of {of['descriptions']:,} package descriptions that a side finds too, over "
                    f"{of['queries']:,} queries.")
    # What the person who measured has to say of a part stands in the file of the figures.
    said += [part["note"] for part in parts.values() if "note" in part]
    missing = union(parts, "missing")
    if missing:
        said.append("Not measured: " + "; ".join(f"{name} ({why})" for name, why in missing.items()) + ".")
    return "\n".join(said)


def section(figures):
    """The text between the two comments."""
    parts = figures["parts"]
    made = [tables_table(parts) if "bulk" in parts else "", single_table(parts), *search_tables(parts)]
    return "\n\n".join(filter(None, [
        BEGIN, "## Side by side: `make bench-peers`, then `benches/side_by_side`",
        "Every side is a process of its own and is called as its user would call it; every peer gets texts sorted by\n"
        "length, 32 a batch, and all cores. The plain script is Python with ONNX Runtime's own API.",
        "![Speed of embedding beside the peers](images/side-by-side.svg)", *made, conditions(figures), END]))


def placed(page, made):
    """The document with the section in its place: between the comments, or else before the first section."""
    if BEGIN in page:
        head, rest = page.split(BEGIN, 1)
        return head + made + rest.split(END, 1)[1]
    head, rest = page.split("\n## ", 1)
    return f"{head}\n{made}\n\n## {rest}"


def main():
    source = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else KEPT
    figures = json.loads(source.read_text())
    tries = [name for name, part in figures["parts"].items() if part["quick"]]
    if tries:
        raise SystemExit(f"{source}: the figures of {', '.join(tries)} come from --quick and say nothing: measure without it")
    KEPT.write_text(json.dumps(figures, indent=1) + "\n")
    PAGE.write_text(placed(PAGE.read_text(encoding="utf-8"), section(figures)), encoding="utf-8")
    PICTURE.write_text(chart.drawn(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
