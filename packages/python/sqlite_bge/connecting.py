"""Opening databases for the commands: with the first SQLite module here that can load extensions."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from .fetching import HEARD
from .loading import LoadingUnavailable, load, why_unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

STEPS = 100_000  # of SQLite's machine, some milliseconds, between two looks for a signal


def sqlite_module() -> ModuleType:
    """sqlite3, or pysqlite3 where only that one can load extensions. Raises LoadingUnavailable."""
    for name in ("sqlite3", "pysqlite3"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(module.Connection, "enable_load_extension"):
            return module
    import sqlite3

    raise LoadingUnavailable(why_unavailable(sqlite3.connect(":memory:")))


def open_database(path: str | os.PathLike = ":memory:", readonly: bool = False, any_thread: bool = False) -> Any:
    """A connection with the extension loaded; every statement is its own transaction unless BEGIN is said.

    A file must be there already. `readonly` opens it without the right to write.
    """
    module = sqlite_module()
    if os.fspath(path) == ":memory:":
        connection = module.connect(":memory:", isolation_level=None, check_same_thread=not any_thread)
    else:
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no database {path}")
        uri = f"{Path(path).resolve().as_uri()}?mode={'ro' if readonly else 'rw'}"
        connection = module.connect(uri, uri=True, isolation_level=None, check_same_thread=not any_thread)
    load(connection)
    # Python hears signals in Python code alone, which a long statement does not come to by itself: the handler is that.
    connection.set_progress_handler(lambda: bool(HEARD), STEPS)
    return connection


def not_utf8(error: UnicodeEncodeError) -> str:
    """What to say of a text that SQLite cannot have: an argument's bytes, or half a character of JSON."""
    text = error.object[max(0, error.start - 20):error.end + 20]
    try:
        shown: str | bytes = os.fsencode(text)
    except UnicodeEncodeError:
        shown = text
    return f"{shown!r} is no text in UTF-8, as SQLite has them"
