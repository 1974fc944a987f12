"""Making a semantic index and searching it, for the commands: what one line of them needs several of SQL for.

An index is found by what SQLite says of it (a virtual table with the hidden columns of ours), and its
content by bge_status; nothing here reads SQL text. Connections are of sqlite3 or pysqlite3, with the
extension loaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

HIDDEN = {"k", "distance", "score", "passage", "embedding"}  # of every index, whatever else it has


class IndexProblem(Exception):
    """What was asked for cannot be done; the text says why, and the way out."""


@dataclass
class Index:
    """A semantic index of the main schema."""

    name: str
    columns: list[str]
    content: str | None  # the table or view that texts are read from; None where the index keeps them, or keeps none
    key: str | None  # the column of it that the index's rowid is


def quoted(name: str) -> str:
    """A name as SQL wants it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def all_indexes(db: Any) -> list[Index]:
    """The indexes of the database, by name."""
    names = db.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual' ORDER BY name").fetchall()
    return [index for (name,) in names if (index := read_index(db, name)) is not None]


def read_index(db: Any, name: str) -> Index | None:
    """The index of this name; None where the table is another one, or none."""
    try:
        columns = db.execute("SELECT name, hidden FROM pragma_table_xinfo(?, 'main')", (name,)).fetchall()
    except Exception:  # a virtual table whose module is not loaded
        return None
    hidden = [column for column, is_hidden in columns if is_hidden]
    if not HIDDEN.issubset(hidden) or not _has(db, f"{name}_config"):
        return None
    shown = [column for column, is_hidden in columns if not is_hidden]
    settings = dict(db.execute(f"SELECT k, v FROM {quoted(name + '_config')} WHERE k IN ('content', 'key')"))
    if not settings.get("content"):
        return Index(name, shown, None, None)
    status = json.loads(db.execute("SELECT bge_status(?)", (quoted(name),)).fetchone()[0])
    # The status follows a rename at once, the setting with the next sync.
    return Index(name, shown, status.get("content") or settings["content"], settings.get("key"))


def _has(db: Any, table: str) -> bool:
    return db.execute("SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)).fetchone() is not None


def find_index(db: Any, table: str) -> Index:
    """The index over a table, or the index itself where its own name is given. Raises IndexProblem."""
    own = read_index(db, table)
    if own:
        return own
    there = all_indexes(db)
    over = [index for index in there if index.content and index.content.lower() == table.lower()]
    if len(over) == 1:
        return over[0]
    if over:
        raise IndexProblem(f"{table} has several indexes; name one of them: " + ", ".join(i.name for i in over))
    if not _has(db, table):
        logs = {f"{index.name}_log" for index in there}
        tables = [name for (name,) in db.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite_%' ORDER BY name LIMIT 20") if name not in logs]
        raise IndexProblem(f"there is no table {table}; there are: {', '.join(tables) or 'none'}")
    raise IndexProblem(f"{table} has no semantic index; `sqlite-bge index DB {table} COLUMN...` makes one")


def create_index(db: Any, table: str, columns: Sequence[str], *, name: str | None = None, model: str | None = None,
                 filters: Sequence[str] = (), key: str | None = None, storage: str | None = None) -> Index:
    """Makes an index over `columns` of a table or view, or gives the one that is there if it is the same.

    `filters` are columns that queries may compare and that are not embedded; `key` the integer column
    that identifies a row, where that is not the INTEGER PRIMARY KEY. Nothing is embedded yet.
    Raises IndexProblem.
    """
    name = name or f"{table}_bge"
    wanted = [*columns, *filters]
    there = read_index(db, name)
    if there:
        if there.columns != wanted or (there.content or "").lower() != table.lower():
            raise IndexProblem(
                f"there is an index {name} already, over {', '.join(there.columns)} of {there.content or 'its own text'}; "
                f"wanted: {', '.join(wanted)} of {table}; choose another name with --name, or DROP TABLE it")
        return there
    options = {"content": table, "model": model, "content_rowid": key, "storage": storage}
    arguments = [quoted(column) for column in columns] + [f"{quoted(column)} UNINDEXED" for column in filters]
    arguments += [f"{option}='{value.replace(chr(39), chr(39) * 2)}'" for option, value in options.items() if value]
    try:
        db.execute(f"CREATE VIRTUAL TABLE {quoted(name)} USING bge({', '.join(arguments)})")
    except Exception as error:
        raise IndexProblem(f"{error}{_way_to_a_key(db, table, columns) if key is None else ''}") from error
    index = read_index(db, name)
    assert index is not None, name
    return index


def _way_to_a_key(db: Any, table: str, columns: Sequence[str]) -> str:
    """For a table whose primary key is not an integer: the two lines that give its rows numbers."""
    keys = [(name, kind) for name, kind in db.execute(
        "SELECT name, type FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))]
    if len(keys) != 1 or keys[0][1].upper() == "INTEGER":
        return ""
    key = quoted(keys[0][0])
    numbers, view = quoted(f"{table}_numbers"), quoted(f"{table}_numbered")
    shown = ", ".join(f"t.{quoted(column)}" for column in columns)
    return (f"\n{table} has no integer key. Two lines give its rows one:\n"
            f"  CREATE TABLE {numbers}(id INTEGER PRIMARY KEY, {key} UNIQUE); "
            f"INSERT INTO {numbers}({key}) SELECT {key} FROM {quoted(table)};\n"
            f"  CREATE VIEW {view} AS SELECT n.id, {shown} FROM {numbers} AS n JOIN {quoted(table)} AS t USING ({key});\n"
            f"then: sqlite-bge index DB {table}_numbered {' '.join(columns)} --key id")


def search(db: Any, index: Index, query: str, limit: int = 10) -> tuple[list[str], Iterator[tuple]]:
    """The names of the columns and the rows nearest to `query`, best first.

    Columns are rowid, score (the cosine), passage (the best passage's text), and those of the table, or
    of the index where it keeps the text itself. A column of the table that is called like one of the
    first three is given as table.column.
    """
    first = ["rowid", "score", "passage"]
    if index.content:
        shown = [row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (index.content,))]
        sql = (f"SELECT s.rowid, s.score, s.passage, {', '.join('t.' + quoted(c) for c in shown)} "
               f"FROM {quoted(index.name)}(?1) AS s JOIN {quoted(index.content)} AS t "
               f"ON t.{quoted(index.key or 'rowid')} = s.rowid ORDER BY s.distance LIMIT ?2")
    else:
        shown = index.columns
        sql = (f"SELECT s.rowid, s.score, s.passage, {', '.join('s.' + quoted(c) for c in shown)} "
               f"FROM {quoted(index.name)}(?1) AS s ORDER BY s.distance LIMIT ?2")
    names = first + [f"{index.content or index.name}.{c}" if c in first else c for c in shown]
    return names, db.execute(sql, (query, limit))
