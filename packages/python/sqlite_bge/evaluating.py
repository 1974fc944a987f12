"""How good a ranking is, by the user's own questions and judgements: `sqlite-bge evaluate`.

Reads questions and judgements in the forms that information retrieval exchanges them in, asks an index
each question by each ranking, and measures nDCG, recall and the reciprocal rank of the first hit. Two
rankings are compared question by question: `comparing` says whether their difference is more than chance.

The measures are those of trec_eval and BEIR. A grade is its own gain, as in trec_eval's ndcg_cut
(https://github.com/usnistgov/trec_eval, m_ndcg_cut.c: "Gain values are the relevance values in the qrels
file"); a row with a grade above 0 is relevant.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from .indexes import IndexProblem, folded, quoted, ranked_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from .indexes import Index

DEPTH = 100  # rows asked for: recall is measured in so many
SHOWN = 5  # names in a message
HEADINGS = {"score", "grade", "relevance", "rel", "label"}  # what heads the column of the grades

Grades = "dict[str, dict[str, float]]"  # question -> row -> grade


class EvaluationProblem(IndexProblem):
    """Questions, judgements and index do not fit together; the text says where, and the way out."""


@dataclass
class Measures:
    """One ranking's measures: one number for each question, in the questions' order."""

    ranking: str
    ndcg: list[float]
    recall: list[float]
    reciprocal_rank: list[float]


@dataclass
class Judged:
    """What is asked: questions that have something to find, and the grades of their rows, by rowid."""

    questions: dict[str, str]
    grades: dict[str, dict[int, float]]
    left_out: list[str]  # what was not asked and why, for people


# --- files --------------------------------------------------------------------------------


def read_questions(path: str | os.PathLike) -> dict[str, str]:
    """The questions of a file, by id: JSON Lines as BEIR has them (`_id`, `text`), or `id<TAB>text`.

    Raises EvaluationProblem.
    """
    questions: dict[str, str] = {}
    for place, line in _lines(path):
        if line.lstrip().startswith("{"):
            name, text = _json_question(place, line)
        else:
            name, tab, text = line.partition("\t")
            if not tab:
                raise EvaluationProblem(f"{place}: expected id<TAB>text, or a JSON object with _id and text; got {line[:60]!r}")
        name, text = name.strip(), text.strip()
        if not name or not text:
            raise EvaluationProblem(f"{place}: question {name!r} has {'no text' if name else 'no id'}")
        if name in questions:
            raise EvaluationProblem(f"{place}: there are two questions with the id {name!r}")
        questions[name] = text
    if not questions:
        raise EvaluationProblem(f"{path} has no questions; expected lines of id<TAB>text, or JSON Lines with _id and text")
    return questions


def _json_question(place: str, line: str) -> tuple[str, str]:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise EvaluationProblem(f"{place} is no JSON: {error}") from error
    name, text = fields.get("_id", fields.get("id")), fields.get("text")
    if not isinstance(name, (str, int)) or not isinstance(text, str):
        raise EvaluationProblem(f"{place}: expected an object with _id and text, got the keys {', '.join(fields) or 'of none'}")
    return str(name), text


def read_judgements(path: str | os.PathLike) -> Grades:
    """The grades of a file, by question and row: TREC's qrels (question, a column that nobody reads, row,
    grade), or BEIR's (a heading, then question<TAB>row<TAB>grade).

    Raises EvaluationProblem.
    """
    grades: Grades = {}
    for number, (place, line) in enumerate(_lines(path)):
        fields = [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
        if len(fields) == 4:
            question, _, row, grade = fields
        elif len(fields) == 3:
            question, row, grade = fields
            if number == 0 and grade.lower() in HEADINGS:
                continue
        else:
            raise EvaluationProblem(
                f"{place}: expected question, 0, row and grade (TREC) or question, row and grade (BEIR); got {line[:60]!r}")
        known = grades.setdefault(question, {})
        value = _grade(place, grade)
        if known.setdefault(row, value) != value:
            raise EvaluationProblem(f"{place}: question {question} gives row {row} the grade {grade}, and {known[row]:g} before")
    if not grades:
        raise EvaluationProblem(f"{path} has no judgements; expected lines of question, row and grade")
    return grades


def _grade(place: str, text: str) -> float:
    try:
        grade = float(text)
    except ValueError:
        grade = math.nan
    if not math.isfinite(grade):
        raise EvaluationProblem(f"{place}: the grade {text!r} is no number; 0 is for rows of no use, 1 and more for those to be found")
    return grade


def _lines(path: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """The lines of a file that are not blank, each with its place for messages."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise EvaluationProblem(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EvaluationProblem(f"{path} is no text in UTF-8: {error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}, line {number}", line.rstrip("\r")


# --- what is asked ------------------------------------------------------------------------


def judged(db: Any, index: Index, questions: Mapping[str, str], judgements: Grades, id_column: str | None = None) -> Judged:
    """Puts questions, judgements and rows together. Judgements name rows by rowid, or by what they have in
    `id_column`, a column of the index's table. Raises EvaluationProblem."""
    rowids = _rowids(db, index, {row for graded in judgements.values() for row in graded}, id_column)
    asked: dict[str, str] = {}
    grades: dict[str, dict[int, float]] = {}
    for name, text in questions.items():
        graded = _by_rowid(name, judgements.get(name, {}), rowids)
        if any(grade > 0 for grade in graded.values()):
            asked[name], grades[name] = text, graded
    unjudged = [name for name in questions if name not in judgements]
    nothing = [name for name in questions if name in judgements and name not in asked]
    unasked = [name for name in judgements if name not in questions]
    left_out = [f"{len(names)} {what}: {_some(names)}" for names, what in (
        (unjudged, "questions without a judgement are left out"),
        (nothing, "questions without a grade above 0 are left out"),
        (unasked, "judged questions are not among the questions")) if names]
    if not asked:
        raise EvaluationProblem("no question has a row to be found; " + "; ".join(left_out))
    return Judged(asked, grades, left_out)


def _by_rowid(question: str, grades: Mapping[str, float], rowids: Mapping[str, int]) -> dict[int, float]:
    """Grades by rowid, of which 1 and 01 are one. Raises EvaluationProblem where such a row has two."""
    found: dict[int, float] = {}
    for row, grade in grades.items():
        if found.setdefault(rowids[row], grade) != grade:
            raise EvaluationProblem(
                f"question {question} gives row {rowids[row]} the grades {found[rowids[row]]:g} and {grade:g}, the one of them as {row!r}")
    return found


def _rowids(db: Any, index: Index, rows: set[str], id_column: str | None) -> dict[str, int]:
    """The rowid of each row that is named. Raises EvaluationProblem for those that are not there."""
    table, key = index.content or index.name, index.key or "rowid"
    columns = [name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    if id_column is not None and folded(id_column) not in map(folded, columns):
        raise EvaluationProblem(f"{table} has no column {id_column}; it has {', '.join(columns)}")
    found: dict[str, int] = {}
    if id_column is None:
        for row in rows:
            if _is_rowid(row) and db.execute(
                    f"SELECT 1 FROM {quoted(table)} WHERE {quoted(key)} = ?", (int(row),)).fetchone():
                found[row] = int(row)
    else:
        for rowid, value in db.execute(
                f"SELECT {quoted(key)}, {quoted(id_column)} FROM {quoted(table)} WHERE {quoted(id_column)} IS NOT NULL"):
            name = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
            if name in rows and found.setdefault(name, rowid) != rowid:
                raise EvaluationProblem(f"rows {found[name]} and {rowid} of {table} both have {name!r} in {id_column}")
    unknown = sorted(rows - set(found))
    if unknown:
        way = ("if they are named by a column, say which: --id-column COLUMN, of " + ", ".join(columns)
               if id_column is None else f"they are looked for in {id_column}")
        raise EvaluationProblem(f"{len(unknown)} judged rows are not in {table}: {_some(unknown)}; {way}")
    return found


def _is_rowid(text: str) -> bool:
    digits = text[1:] if text.startswith("-") else text
    return digits.isascii() and digits.isdigit() and len(digits) <= 19 and -(2**63) <= int(text) < 2**63


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


# --- asking and measuring -----------------------------------------------------------------


def measure(asked: Judged, rankers: Mapping[str, Callable[[str], list[int]]], k: int = 10,
            progress: bool = True) -> list[Measures]:
    """Asks every question by every ranking. A ranker gives rowids for a question, best first; `rankers` are by
    the ranking's name. nDCG and the reciprocal rank are of the first `k` rows, recall of the first 100.
    `progress=True` shows a bar on standard error once it takes more than three seconds.

    Raises what the rankers raise.
    """
    from tqdm import tqdm

    found = [Measures(name, [], [], []) for name in rankers]
    with tqdm(total=len(asked.questions), unit="question", delay=3, disable=not progress) as bar:
        for name, text in asked.questions.items():
            grades = asked.grades[name]
            for measures in found:
                rows = rankers[measures.ranking](text)
                measures.ndcg.append(ndcg(rows, grades, k))
                measures.recall.append(recall(rows[:DEPTH], grades))
                measures.reciprocal_rank.append(reciprocal_rank(rows[:k], grades))
            bar.update()
    return found


def ranker(db: Any, index: Index, ranking: str, k: int = 10) -> Callable[[str], list[int]]:
    """What asks an index by a ranking, such as 'hybrid, mmr(0.7)', for `measure`. Raises IndexProblem where it cannot be
    given one; what it gives raises the SQLite module's own errors when it is called."""
    where, order = ranked_by(index, ranking)
    sql = f"SELECT s.rowid FROM {quoted(index.name)}(:query) AS s{where} ORDER BY {order} LIMIT :limit"
    return lambda question: [rowid for (rowid,) in db.execute(sql, {"query": question, "ranking": ranking, "limit": max(k, DEPTH)})]


def ndcg(rows: Sequence[int], grades: Mapping[int, float], k: int) -> float:
    """The discounted gain of the first `k` rows as a share of the best that any order could have, 0 to 1."""
    best = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    return _gain((grades.get(row, 0) for row in rows[:k])) / _gain(best[:k])


def _gain(grades: Iterable[float]) -> float:
    return sum(max(grade, 0) / math.log2(place + 1) for place, grade in enumerate(grades, 1))


def recall(rows: Sequence[int], grades: Mapping[int, float]) -> float:
    """The share of the relevant rows that are among `rows`, 0 to 1."""
    relevant = {row for row, grade in grades.items() if grade > 0}
    return len(relevant.intersection(rows)) / len(relevant)


def reciprocal_rank(rows: Sequence[int], grades: Mapping[int, float]) -> float:
    """One divided by the place of the first relevant row; 0 where there is none."""
    return next((1 / place for place, row in enumerate(rows, 1) if grades.get(row, 0) > 0), 0.0)
