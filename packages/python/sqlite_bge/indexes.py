"""Finding a semantic index and searching it, for the commands: what one line of them needs several of SQL for.

An index is found by what SQLite says of it (a virtual table with the hidden columns of ours), and its
content by bge_status; nothing here reads SQL text. Connections are of sqlite3 or pysqlite3, with the
extension loaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

HIDDEN = {"k", "distance", "score", "passage", "embedding"}  # of every index, whatever else it has
# Of an index that has no columns of these names itself; one with words has all of them.
RANKED = {"rank", "by_meaning", "by_words", "bm25", "rerank", "start", "stop"}
MOST_ROWS = 2**63 - 1  # SQLite's largest integer


class IndexProblem(Exception):
    """What was asked for cannot be done; the text says why, and the way out."""


@dataclass
class Index:
    """A semantic index of the main schema."""

    name: str
    columns: list[str]  # as declared: the texts, and among them those of `filters`
    content: str | None  # the table or view that texts are read from; None where the index keeps them, or keeps none
    key: str | None  # the column of it that the index's rowid is
    filters: list[str] = field(default_factory=list)  # columns that queries may compare and that are not embedded
    words: str | None = None  # the FTS5 table that is searched by words
    hidden: set[str] = field(default_factory=lambda: set(RANKED))  # those of RANKED that are there

    @property
    def texts(self) -> list[str]:
        """The columns that are embedded, in their order."""
        return [column for column in self.columns if column not in self.filters]


def quoted(name: str) -> str:
    """A name as SQL wants it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def folded(name: str) -> str:
    """A name as SQLite compares names: A to Z are a to z, and no other letters are the same."""
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in name)


def all_indexes(db: Any) -> list[Index]:
    """The indexes of the database, by name."""
    names = db.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual' ORDER BY name").fetchall()
    return [index for (name,) in names if (index := read_index(db, name)) is not None]


def read_index(db: Any, name: str) -> Index | None:
    """The index of this name, in any case; None where the table is another one, or none."""
    name = _called(db, name) or name
    try:
        columns = db.execute("SELECT name, hidden FROM pragma_table_xinfo(?, 'main')", (name,)).fetchall()
    except Exception:  # a virtual table whose module is not loaded
        return None
    hidden = [column for column, is_hidden in columns if is_hidden]
    if not HIDDEN.issubset(hidden) or not _called(db, f"{name}_config"):
        return None
    shown = [column for column, is_hidden in columns if not is_hidden]
    numbers = {column for (column,) in db.execute("SELECT name FROM pragma_table_info(?)", (f"{name}_rows",))}
    filters = [column for number, column in enumerate(shown) if f"c{number}" in numbers]
    settings = dict(db.execute(f"SELECT k, v FROM {quoted(name + '_config')} WHERE k IN ('content', 'key')"))
    status = json.loads(db.execute("SELECT bge_status(?)", (quoted(name),)).fetchone()[0])
    # The status follows a rename at once, the setting with the next sync.
    content = (status.get("content") or settings["content"]) if settings.get("content") else None
    return Index(name, shown, content, settings.get("key") if content else None, filters, status.get("words"),
                 RANKED.intersection(hidden))


def _called(db: Any, table: str) -> str | None:
    """The name of a table as it was made; None where there is none."""
    row = db.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE", (table,)).fetchone()
    return row[0] if row else None


def find_index(db: Any, table: str) -> Index:
    """The index of this name, or the one over a table of this name: of several the one called TABLE_bge.

    Raises IndexProblem where there is none, or none of several is called so.
    """
    there = indexes_over(db, table)
    if len(there) > 1:
        raise IndexProblem(f"{table} has several indexes; name one of them: " + ", ".join(index.name for index in there))
    return there[0]


def indexes_over(db: Any, table: str, all_of_it: bool = False) -> list[Index]:
    """What `choose` gives, or all the indexes over a table. Raises IndexProblem where there is none."""
    own = read_index(db, table)
    if own:
        return [own]
    there = all_indexes(db)
    found = over(there, table) if all_of_it else choose(there, table)
    if found:
        return found
    if not _called(db, table):
        logs = {f"{index.name}_log" for index in there}
        tables = [name for (name,) in db.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite_%' ORDER BY name LIMIT 20") if name not in logs]
        raise IndexProblem(f"there is no table {table}; there are: {', '.join(tables) or 'none'}")
    raise IndexProblem(f"{table} has no semantic index; `sqlite-bge index DB {table} COLUMN...` makes one")


def choose(indexes: Sequence[Index], table: str) -> list[Index]:
    """Of `indexes`: the one of this name, or the one called TABLE_bge over a table of this name; where none is called so,
    all of them over the table, by name."""
    named = [index for index in indexes if folded(index.name) == folded(table)]
    of_it = over(indexes, table)
    return named or [index for index in of_it if folded(index.name) == folded(f"{table}_bge")] or of_it


def over(indexes: Sequence[Index], table: str) -> list[Index]:
    """Those of `indexes` over a table of this name."""
    return [index for index in indexes if index.content and folded(index.content) == folded(table)]


def search(db: Any, index: Index, query: str, limit: int = 10, ranking: str | None = None) -> tuple[list[str], Iterator[tuple]]:
    """The names of the columns and the rows found for `query`, best first, by `ranking` or the index's default one.

    Columns are rowid, score (the cosine; None where only words find a row), passage (the best passage's text), by_meaning,
    by_words (the row's places, None where it was not found so), and those of the table, or of the index where it keeps the
    text itself. A column of the table that is called like one of the first five is given as table.column.
    """
    if index.content:
        shown = [row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (index.content,))]
        cells = [f"t.{quoted(column)}" for column in shown]
        joined = f" JOIN {quoted(index.content)} AS t ON t.{quoted(index.key or 'rowid')} = s.rowid"
    else:
        shown = index.columns
        cells, joined = [f"s.{quoted(column)}" for column in shown], ""
    names = FIRST + [f"{index.content or index.name}.{column}" if column in FIRST else column for column in shown]
    where, order = ranked_by(index, ranking)
    sql = f"SELECT {', '.join([first_columns(index), *cells])} FROM {quoted(index.name)}(:query) AS s{joined}{where} ORDER BY {order} LIMIT :limit"
    return names, db.execute(sql, {"query": query, "limit": limit, "ranking": ranking})


FIRST = ["rowid", "score", "passage", "by_meaning", "by_words"]


def first_columns(index: Index) -> str:
    """FIRST as columns of the index, there called `s`."""
    return ", ".join(f"s.{column}" if column in index.hidden or column not in RANKED else "NULL" for column in FIRST)


def ranked_by(index: Index, ranking: str | None) -> tuple[str, str]:
    """The WHERE clause, with :ranking, and the ORDER BY of a ranking, or of the default one; of the index, there called `s`.

    An index with a column of the user's that is called `rank` is only ranked by distance, which is 'meaning'; for any
    other ranking of it IndexProblem is raised.
    """
    if "rank" in index.hidden:
        return (" WHERE s.rank MATCH :ranking" if ranking is not None else ""), "s.rank"
    if ranking is not None and folded(ranking.strip()) != "meaning":
        raise IndexProblem(f"{index.name} has a column of its own called rank, so that no ranking but 'meaning' can be given")
    return "", "s.distance"
