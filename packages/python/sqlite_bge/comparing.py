"""Whether two rankings differ by more than chance, from their measures of the same questions.

The verdict is that of a paired randomisation test: where two rankings are equally good, each question's difference
might as well have the other sign, so all ways of giving signs (or many drawn ones) say how often chance alone makes a
mean difference as large as the one that is there. Beside it, for description: the paired bootstrap draws the questions
anew, with repeats, and the middle 95 % of its means is where another set of such questions would have put the
difference; it is no test for few questions, whose interval is too narrow. The sign test counts only which ranking
was the better one. Seeded: the same numbers give the same answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from operator import mul

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DRAWS = 10_000  # sets of questions, or of signs
FEWEST_DRAWS = 1_000
NUMBERS = 10_000_000  # drawn at most, some seconds, unless FEWEST_DRAWS needs more
SEED = 1
ALL_SIGNS = 13  # differing questions of which all ways of giving signs, 2^13, are looked at
FEWEST = 6  # differing questions below which the rarest outcome, 2 of 2^5, has a p above LEVEL: nothing can be told
LEVEL = 0.05


@dataclass
class Difference:
    """The first ranking's mean less the second's, and how sure that is."""

    mean: float
    low: float  # of the bootstrap's 95 % interval
    high: float
    better: int  # questions that the first ranking answers better
    worse: int
    sign_p: float  # how often a fair coin would be so uneven, 0 to 1
    p: float  # of the randomisation test: how often chance alone makes the mean so large, 0 to 1

    @property
    def more_than_chance(self) -> bool | None:
        """What the randomisation test says; None where too few questions differ to tell."""
        return None if self.better + self.worse < FEWEST else self.p <= LEVEL


def compare(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compares two rankings' measures of the same questions, in the same order; at least one question."""
    differences = [a - b for a, b in zip(first, second)]
    count = len(differences)
    draws = min(DRAWS, max(FEWEST_DRAWS, NUMBERS // count))
    drawn = random.Random(SEED)
    means = sorted(sum(drawn.choices(differences, k=count)) / count for _ in range(draws))
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return Difference(sum(differences) / count, means[draws * 25 // 1000], means[draws - 1 - draws * 25 // 1000],
                      better, worse, sign_test(better, worse), randomisation_test(differences))


def randomisation_test(differences: Sequence[float]) -> float:
    """The two-sided probability that the sum is at least as far from 0 where each difference has either sign by chance.

    Exact for at most ALL_SIGNS differences that are not 0, else from seeded draws, of which what is there counts as one.
    """
    sizes = [abs(d) for d in differences if d]
    # Sums in another order differ in their last digits, and equal ones must count.
    reached = abs(sum(differences)) - 1e-9 * sum(sizes)
    if len(sizes) <= ALL_SIGNS:
        sums = [0.0]
        for size in sizes:
            sums = [total + signed for total in sums for signed in (size, -size)]
        return sum(abs(total) >= reached for total in sums) / len(sums)
    draws = min(DRAWS, max(FEWEST_DRAWS, NUMBERS // len(sizes)))
    drawn = random.Random(SEED)
    extreme = sum(abs(sum(map(mul, sizes, drawn.choices((1, -1), k=len(sizes))))) >= reached for _ in range(draws))
    return (extreme + 1) / (draws + 1)


def sign_test(better: int, worse: int) -> float:
    """The two-sided probability that a fair coin falls at least as unevenly as `better` to `worse`."""
    count, fewer = better + worse, min(better, worse)
    ways = term = 1
    for heads in range(1, fewer + 1):
        term = term * (count - heads + 1) // heads
        ways += term
    return min(1.0, 2 * ways / 2**count)
