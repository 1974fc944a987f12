"""Whether two rankings differ by more than chance, from their measures of the same questions.

Two tests, side by side. The paired bootstrap draws the questions anew, with repeats, many times: the middle
95 % of the mean differences is where another set of such questions would have put it. The sign test counts
only which ranking was the better one, question by question. Seeded: the same numbers give the same answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DRAWS = 10_000  # sets of questions
FEWEST_DRAWS = 1_000
NUMBERS = 10_000_000  # drawn at most, some seconds, unless FEWEST_DRAWS needs more
SEED = 1


@dataclass
class Difference:
    """The first ranking's mean less the second's, and how sure that is."""

    mean: float
    low: float  # of the bootstrap's 95 % interval
    high: float
    better: int  # questions that the first ranking answers better
    worse: int
    sign_p: float  # how often a fair coin would be so uneven, 0 to 1

    @property
    def more_than_chance(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def compare(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compares two rankings' measures of the same questions, in the same order; at least one question."""
    differences = [a - b for a, b in zip(first, second)]
    count = len(differences)
    draws = min(DRAWS, max(FEWEST_DRAWS, NUMBERS // count))
    drawn = random.Random(SEED)
    means = sorted(sum(drawn.choices(differences, k=count)) / count for _ in range(draws))
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return Difference(sum(differences) / count, means[draws * 25 // 1000], means[draws - 1 - draws * 25 // 1000],
                      better, worse, sign_test(better, worse))


def sign_test(better: int, worse: int) -> float:
    """The two-sided probability that a fair coin falls at least as unevenly as `better` to `worse`."""
    count, fewer = better + worse, min(better, worse)
    ways = term = 1
    for heads in range(1, fewer + 1):
        term = term * (count - heads + 1) // heads
        ways += term
    return min(1.0, 2 * ways / 2**count)
