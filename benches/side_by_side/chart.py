"""The picture of the figures: bars in one SVG, on a white card, so that it can be read on a dark page too."""

from html import escape

import sides

WIDTH, LEFT, LONGEST, STEP = 760, 330, 330, 26
STYLE = ("text{font:13px sans-serif;fill:#1f2937}.title{font-weight:bold}.label{text-anchor:end}"
         ".note{font-size:11px;fill:#4b5563}")
OURS, PEERS = "#2563eb", "#6b7280"


def text(x, y, words, kind=None):
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{named}>{escape(words)}</text>'


def bars(top, title, rows):
    """A title and a bar for each (label, figure, figure in words, whether it is ours); and where they end."""
    lines, most, y = [text(20, top, title, "title")], max(figure for _, figure, _, _ in rows), top + 14
    for label, figure, words, ours in rows:
        width = LONGEST * figure / most
        lines += [text(LEFT - 10, y + 13, label, "label"),
                  f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="18" rx="2" fill="{OURS if ours else PEERS}"/>',
                  text(round(LEFT + width + 6, 1), y + 13, words)]
        y += STEP
    return lines, y + 34


def labelled(parts, side):
    """The side's name with its accuracy, which no speed stands without."""
    figures = parts.get("accuracy", {}).get("sides", {})
    return sides.label(side) + (f" (cosine {figures[side]['mean_cosine']:.4f})" if side in figures else "")


def panels(parts):
    """(title, rows) of each group of bars."""
    def rows(figures, key, unit):
        return [(labelled(parts, side), figures[side][key], f"{figures[side][key]:.1f}{unit}", side.startswith("bge-"))
                for side in sides.SIDES if side in figures]
    for name, work in parts.get("bulk", {}).get("works", {}).items():
        if name != "sentences":  # one picture, the others are in the table
            continue
        of = "" if "tokens" in name else f" of {work['tokens']:.0f} tokens"
        yield f"{name.capitalize()}{of}: texts a second, more is better", rows(work["sides"], "texts_per_second", "")
    if "one" in parts:
        yield (f"One text of {parts['one']['tokens']} tokens: milliseconds, less is better",
               rows(parts["one"]["sides"], "p50_ms", " ms"))


def drawn(figures):
    """The SVG of all figures that have bars."""
    parts, lines, y = figures["parts"], [], 32
    for title, rows in panels(parts):
        more, y = bars(y, title, rows)
        lines += more
    dates = " and ".join(sorted({part["date"] for part in parts.values()}))
    notes = [f"{figures['machine']}, {dates}; {sides.MODEL}.",
             "Cosine: the mean to FlagEmbedding's vectors of the reference texts. All figures: docs/BENCHMARKS.md"]
    lines += [text(20, y - 8 + 16 * n, note, "note") for n, note in enumerate(notes)]
    height = y + 24
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
            f"<style>{STYLE}</style>", f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>']
    return "\n".join([*head, *lines, "</svg>"]) + "\n"
