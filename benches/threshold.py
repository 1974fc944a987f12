"""Whether a number of the first row says "nothing here answers this": its cosine, its place among all rows (z), or
its lead over the tenth.

Two indexes, each asked its own questions and the other's: Cranfield (see ranking.py) and 20,000 descriptions
of Debian packages, whose own questions are the descriptions of 500 other packages. A number is as good as its
AUC: how often an own question has a higher one than a foreign question, 0.5 being a coin. z is how many
standard deviations the first row's cosine is above the mean of this question's cosines with all rows, which
takes all distances: here they are exact.

    PYTHONPATH=benches .venv/bin/python benches/threshold.py [--cranfield FOLDER]
"""

import json

import numpy as np

import corpus
import ranking

DRAWS = 1_000  # sets of questions, for the intervals


def main():
    options = ranking.parser().parse_args()
    rows, questions = cranfield(options)
    packages, descriptions = corpus.embedded(20_000)
    own = {"Cranfield": numbers(rows, questions), "Debian": numbers(packages, descriptions)}
    foreign = {"Cranfield": numbers(rows, descriptions), "Debian": numbers(packages, questions)}
    print("| index | questions, own and foreign | cosine | z | lead over the tenth | z less cosine, 95 % |")
    print("|---|---|---|---|---|---|")
    for names in (["Cranfield"], ["Debian"], ["Cranfield", "Debian"]):
        line(" and ".join(names), [own[name] for name in names], [foreign[name] for name in names])


def cranfield(options):
    """Vectors of the abstracts and of the questions."""
    with (options.cranfield / "docs.jsonl").open(encoding="utf-8") as lines:
        docs = [(int(doc["id"]), doc["title"], doc["text"]) for doc in map(json.loads, lines)]
    db = ranking.database(options, "cranfield", docs)
    rows = [blob for (blob,) in db.execute(f"SELECT embedding FROM {ranking.INDEX}")]
    asked = ranking.read_questions(options.cranfield / "queries.jsonl").values()
    questions = [db.execute("SELECT bge_embed_query(?)", (text,)).fetchone()[0] for text in asked]
    return vectors(rows), vectors(questions)


def vectors(blobs):
    """[texts, dimensions], without the rows that have no vector."""
    return np.array([np.frombuffer(blob, "<f4") for blob in blobs if blob is not None])


def numbers(rows, questions):
    """The three numbers of each question's first row; {name: [questions]}."""
    cosines = questions @ rows.T
    best = -np.sort(-cosines, axis=1)
    return {"cosine": best[:, 0], "z": (best[:, 0] - cosines.mean(axis=1)) / cosines.std(axis=1),
            "lead": best[:, 0] - best[:, 9]}


def auc(own, foreign):
    """How often a number of `own` is above one of `foreign`; equal ones count half."""
    below = np.searchsorted(np.sort(foreign), own, side="left") + np.searchsorted(np.sort(foreign), own, side="right")
    return below.sum() / 2 / len(own) / len(foreign)


def line(title, own, foreign):
    found = {name: auc(*joined(own, foreign, name)) for name in ("cosine", "z", "lead")}
    chance = np.random.default_rng(1)
    drawn = []
    for _ in range(DRAWS):
        # One draw of the questions serves both numbers: their difference is paired.
        picked = [[chance.integers(0, len(each["z"]), len(each["z"])) for each in side] for side in (own, foreign)]
        drawn.append({name: auc(*joined(own, foreign, name, picked)) for name in found})
    cells = [f"{found[name]:.3f} ({interval([draw[name] for draw in drawn])})" for name in found]
    difference = f"{found['z'] - found['cosine']:+.3f} ({interval([draw['z'] - draw['cosine'] for draw in drawn], '+')})"
    asked = [sum(len(each["z"]) for each in side) for side in (own, foreign)]
    print(f"| {title} | {asked[0]}, {asked[1]} | {' | '.join(cells)} | {difference} |", flush=True)


def joined(own, foreign, name, picked=None):
    """A number of all indexes together, as one threshold for all of them meets it."""
    return [np.concatenate([each[name] if picked is None else each[name][picked[side][i]] for i, each in enumerate(them)])
            for side, them in enumerate((own, foreign))]


def interval(values, sign=""):
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{low:{sign}.3f} to {high:{sign}.3f}"


if __name__ == "__main__":
    main()
