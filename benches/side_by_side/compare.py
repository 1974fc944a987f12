"""How near the sides' vectors are: `PYTHON compare.py < {"base": side, "sides": {side: {"reference": FILE, ...}}}`.

Prints for each side the least and mean cosine to FlagEmbedding's vectors of the reference texts (and the least of
the printable ASCII ones, as one peer's tokenizer knows no other), the largest
difference of one component, and how many of the base's ten nearest descriptions it finds too, as a fraction.
"""

import json
import sys

import numpy as np

import data


def nearest(files):
    """The ten nearest descriptions of each query, by the side's own vectors."""
    scores = np.load(files["queries"]) @ np.load(files["descriptions"]).T
    return np.argsort(-scores, axis=1, kind="stable")[:, :data.TOP]


def main():
    asked = json.load(sys.stdin)
    wanted, plain = np.load(data.CACHE / "reference.npy"), np.load(data.CACHE / "reference-ascii.npy")
    best = nearest(asked["sides"][asked["base"]])
    figures = {}
    for side, files in asked["sides"].items():
        got = np.load(files["reference"])
        cosines = np.sum(got * wanted, axis=1) / np.linalg.norm(got, axis=1) / np.linalg.norm(wanted, axis=1)
        overlap = np.mean([len(set(a) & set(b)) for a, b in zip(best, nearest(files))]) / data.TOP
        figures[side] = {"least_cosine": float(cosines.min()), "mean_cosine": float(cosines.mean()),
                         "least_cosine_ascii": float(cosines[plain].min()),
                         "largest_difference": float(np.abs(got - wanted).max()), "overlap": float(overlap)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
