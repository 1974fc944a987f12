"""Making an index for the commands, and putting another one in its place.

What an index was made with (columns, model, storage, words) stays as it is. So `create_index` gives the index
that is there only where it is what was asked for, and otherwise says how another one takes its place:
`replace_index`, which is sql/change-model.sql in one call.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from dataclasses import dataclass

from .indexes import RANKED, Index, IndexProblem, find_index, folded, quoted, read_index
from .syncing import sync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

DEFAULT_RANKING = "hybrid"  # of a new index with words: docs/BENCHMARKS.md, "Rankings"
SECONDS, ATTEMPTS = 2, 5  # for which other writers wait while an index takes another's place, and how often that is tried


@dataclass
class Wanted:
    """What an index is to be made with. None: as the index that is there has it, or as is usual.

    `columns` are texts, embedded in this order; `filters` are columns that queries may compare and that are not
    embedded; `key` is the integer column that identifies a row. `words` says whether the index keeps words beside
    vectors; None gives them to a new index wherever it can have them.
    """

    columns: Sequence[str]
    filters: Sequence[str] = ()
    model: str | None = None
    key: str | None = None
    storage: str | None = None
    words: bool | None = None


def create_index(db: Any, table: str, wanted: Wanted, name: str | None = None) -> tuple[Index, str | None]:
    """Makes an index of a table or view, or gives the one that is there if it is what is wanted. Nothing is embedded
    yet. Beside it comes a note for people, where a new index has no words because it cannot. Raises IndexProblem.
    """
    given, name = name, name or f"{table}_bge"
    there = read_index(db, name)
    if there:
        refuse_another(db, there, table, wanted)
        return there, None
    # A missing model should be said before an index is made that then waits for it.
    db.execute("SELECT bge_tokens('', coalesce(?, json_extract(bge_info(), '$.default_model')))", (wanted.model,)).fetchall()
    why_none = _why_no_words(db, table, [*wanted.columns, *wanted.filters])
    words = why_none is None if wanted.words is None else wanted.words
    db.execute("SAVEPOINT making")
    ended = ""
    try:
        db.execute(_statement(table, wanted, name, "on" if words else None))
        if words:
            db.execute(f"INSERT INTO {quoted(name)}({quoted(name)}, rank) VALUES ('rank', ?)", (DEFAULT_RANKING,))
    except BaseException as error:
        if db.in_transaction:
            db.execute("ROLLBACK TO making")
        else:  # and the savepoint is gone with it
            ended = "; nothing was made: SQLite ended the transaction, as it does when it is interrupted, the disk is full or memory runs out"
        if not isinstance(error, Exception) or isinstance(error, UnicodeEncodeError):  # Ctrl-C, or a text that never came to SQLite
            raise
        raise IndexProblem(f"{error}{ended}{_way_to_a_key(db, table, wanted, given) if wanted.key is None else ''}") from error
    finally:
        if db.in_transaction:
            db.execute("RELEASE making")
    index = read_index(db, name)
    assert index is not None, name
    return index, why_none if wanted.words is None else None


def _statement(table: str, wanted: Wanted, name: str, words: str | None) -> str:
    """The SQL that makes an index; `words` as its option has them."""
    options = {"content": table, "model": wanted.model, "content_rowid": wanted.key, "storage": wanted.storage, "words": words}
    arguments = [quoted(column) for column in wanted.columns] + [f"{quoted(column)} UNINDEXED" for column in wanted.filters]
    arguments += [f"{option}='{value.replace(chr(39), chr(39) * 2)}'" for option, value in options.items() if value]
    return f"CREATE VIRTUAL TABLE {quoted(name)} USING bge({', '.join(arguments)})"


def _why_no_words(db: Any, table: str, columns: Sequence[str]) -> str | None:
    """Why an index of a table cannot keep words; None where it can."""
    kind = db.execute("SELECT type FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE", (table,)).fetchone()
    if kind and kind[0] == "view":
        return f"without words, which need a table, and {table} is a view"
    if not db.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone():
        return "without words, which need FTS5, and this SQLite has none"
    taken = [column for column in columns if folded(column) in RANKED]
    return f"without words, whose own column would be called {taken[0]} too" if taken else None


def _way_to_a_key(db: Any, table: str, wanted: Wanted, name: str | None) -> str:
    """For a table whose primary key is not an integer: the two lines that give its rows numbers, and the index of those."""
    shape = db.execute("SELECT name, type, pk FROM pragma_table_info(?)", (table,)).fetchall()
    keys = [(column, kind) for column, kind, place in shape if place]
    if len(keys) != 1 or keys[0][1].upper() == "INTEGER":
        return ""
    taken = {folded(column) for column, _, _ in shape}
    number = next(free for free in ("id", "number", *(f"number{n}" for n in range(2, len(taken) + 3))) if free not in taken)
    key, counted = quoted(keys[0][0]), quoted(number)
    numbers, view = quoted(f"{table}_numbers"), f"{table}_numbered"
    shown = ", ".join(f"t.{quoted(column)}" for column in [*wanted.columns, *wanted.filters])
    # A view has no words.
    of_view = Wanted(wanted.columns, wanted.filters, wanted.model, number, wanted.storage, words=False)
    return (f"\n{table} has no integer key. Two lines give its rows one:\n"
            f"  CREATE TABLE {numbers}({counted} INTEGER PRIMARY KEY, {key} UNIQUE); "
            f"INSERT INTO {numbers}({key}) SELECT {key} FROM {quoted(table)};\n"
            f"  CREATE VIEW {quoted(view)} AS SELECT n.{counted}, {shown} FROM {numbers} AS n JOIN {quoted(table)} AS t USING ({key});\n"
            f"then: {_command(view, of_view, name or view + '_bge')}")


# --- an index that is there ---------------------------------------------------------------


def refuse_another(db: Any, there: Index, table: str, wanted: Wanted) -> None:
    """Raises IndexProblem where an index is not what is wanted: it names both, and the way to have the other."""
    over = f"over {_told(there.texts, there.filters)} of {there.content or 'its own text'}; wanted: {_told(wanted.columns, wanted.filters)} of {table}"
    if folded(there.content or "") != folded(table):
        raise IndexProblem(f"there is an index {there.name} already, {over}; choose another name with --name, or DROP TABLE it")
    status = _status(db, there.name)
    if not status.get("model"):  # it cannot be read
        raise IndexProblem(f"{there.name}: {'; '.join(status['wrong'])}")
    has = {"model": status["model"]["name"], "key": there.key, "storage": status["storage"]}
    differing = [f"its {option} is {has[option]}, and --{option} is {asked}" for option in has
                 if (asked := getattr(wanted, option)) is not None and folded(asked) != folded(str(has[option]))]
    if _folded(there.texts) != _folded(wanted.columns) or _folded(there.filters) != _folded(wanted.filters):
        differing.insert(0, over)
    if wanted.words is not None and wanted.words != (there.words is not None):
        differing.append("it has no words, and --words asks for them" if wanted.words else "it has words, and --no-words asks for none")
    if not differing:
        return
    anew = Wanted(wanted.columns, wanted.filters, wanted.model or has["model"], wanted.key or has["key"],
                  wanted.storage or has["storage"], there.words is not None if wanted.words is None else wanted.words)
    raise IndexProblem(
        f"there is an index {there.name} already, {'; '.join(differing)}. What an index was made with stays. To have another "
        "beside it, choose another name with --name; to put another in its place, while it goes on answering"
        f"{_replacement(there, table, anew)}")


@contextlib.contextmanager
def way_to_words(db: Any, index: Index) -> Iterator[None]:
    """Ends the error of a search by words in an index that has none with the commands that give it some."""
    try:
        yield
    except Exception as error:
        if index.words or not index.content or "has no words" not in str(error) or _why_no_words(db, index.content, index.columns):
            raise
        status = _status(db, index.name)
        if not status.get("model"):
            raise
        anew = Wanted(index.texts, index.filters, status["model"]["name"], index.key, status["storage"], words=True)
        raise IndexProblem(f"{error}; another with words in its place{_replacement(index, index.content, anew)}") from error


def _replacement(there: Index, table: str, wanted: Wanted) -> str:
    """The end of a message: what makes another index, and puts it in the place of one that is there."""
    new = f"{there.name}_new"
    by_hand = wanted.words and there.words and folded(there.words) != folded(f"{there.name}_words")
    first = _statement(table, wanted, new, there.words) + ";" if by_hand else _command(table, wanted, new)
    return ((f", with the words of {there.words}, which only SQL can name" if by_hand else "") +
            f":\n  {first}\n  sqlite-bge replace DB {shlex.quote(there.name)} {shlex.quote(new)}")


def _status(db: Any, name: str) -> dict:
    return json.loads(db.execute("SELECT bge_status(?)", (quoted(name),)).fetchone()[0])


def _folded(names: Sequence[str]) -> list[str]:
    return [folded(name) for name in names]


def _told(columns: Sequence[str], filters: Sequence[str]) -> str:
    return ", ".join(columns) + (f" (filters: {', '.join(filters)})" if filters else "")


def _command(table: str, wanted: Wanted, name: str) -> str:
    """The command that makes an index, with all that can be said."""
    words = ["sqlite-bge", "index", "DB", table, *wanted.columns, "--name", name]
    for option, value in [*(("filter", column) for column in wanted.filters), ("model", wanted.model), ("key", wanted.key),
                          ("storage", wanted.storage)]:
        words += [f"--{option}", value] if value else []
    return shlex.join([*words, "--words" if wanted.words else "--no-words"])


def replace_index(db: Any, name: str, by: str, progress: bool = True) -> None:
    """Puts an index, in step, in the place of another one over the same table, which is dropped: in one transaction, so
    that a search sees the one or the other. The default ranking stays, unless the new index was given one.

    The connection must not be in a transaction. Raises IndexProblem; SQLite's own errors leave both as they were.
    """
    old, new = find_index(db, name), find_index(db, by)
    if old.name == new.name or not old.content or folded(old.content) != folded(new.content or ""):
        raise IndexProblem(
            f"{new.name} cannot take the place of {old.name}: expected two indexes over one table, and they are over "
            f"{old.content or 'its own text'} and {new.content or 'its own text'}")
    # Views and triggers that name the old index shall mean the new one, which then has its name.
    [legacy] = db.execute("PRAGMA legacy_alter_table").fetchone()
    db.execute("PRAGMA legacy_alter_table = ON")
    try:
        for _ in range(ATTEMPTS):
            sync(db, quoted(new.name), progress)
            if _replaced(db, old, new):
                return
    finally:
        db.execute(f"PRAGMA legacy_alter_table = {legacy}")
    raise IndexProblem(f"{old.name} is as it was: rows are written faster than {new.name} embeds them; try again when less is written")


def _replaced(db: Any, old: Index, new: Index) -> bool:
    """Whether the new index was in step after SECONDS, and so has the old one's place now."""
    before, after = quoted(old.name), quoted(new.name)
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("SELECT bge_sync(?, ?)", (after, SECONDS)).fetchall()
        if _status(db, new.name)["pending"]:
            return False
        _keep_ranking(db, old, new)
        db.execute(f"DROP TABLE {before}")
        db.execute(f"ALTER TABLE {after} RENAME TO {before}")
        db.execute("COMMIT")
        return True
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _keep_ranking(db: Any, old: Index, new: Index) -> None:
    """The name keeps its default ranking, unless somebody has given the new index one, or only words make a difference."""
    before, now = (_default_ranking(db, index.name) for index in (old, new))
    is_usual = not new.words if before == DEFAULT_RANKING else before is None and not old.words
    if is_usual or now not in (None, DEFAULT_RANKING):
        return
    try:
        db.execute(f"INSERT INTO {quoted(new.name)}({quoted(new.name)}, rank) VALUES ('rank', ?)", (before,))
    except Exception as error:
        raise IndexProblem(
            f"{old.name} is as it was: {new.name} cannot have its default ranking, {before}: {error}; take that away first: "
            f"INSERT INTO {quoted(old.name)}({quoted(old.name)}, rank) VALUES ('rank', NULL)") from error


def _default_ranking(db: Any, name: str) -> str | None:
    return _status(db, name)["rank"]
