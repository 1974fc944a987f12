"""Embedding what is pending in an index, with a progress bar."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A step ends after so long, so that the bar moves and Ctrl-C is heard.
STEP_SECONDS = 1


def sync(connection: Any, index: str, progress: bool = True) -> int:
    """Embeds what is pending in `index`, and gives the number of rows whose place in it changed.

    `index` is named as in SQL, quoted where SQL would want quotes. The work is done in steps of about
    a second, committed one by one unless a transaction is open; Ctrl-C and errors keep what was
    committed. `progress=True` shows a bar on standard error.

    Raises the SQLite module's own errors: no such index, no model, a locked database.
    """
    from tqdm import tqdm

    pending, changed = _pending(connection, index), 0
    with tqdm(total=pending, unit="row", desc=index.strip('"'), disable=not progress) as bar:
        while True:
            step = _value(connection, "SELECT bge_sync(?, ?)", index, STEP_SECONDS)
            before, pending = pending, _pending(connection, index)
            changed += step
            _show(bar, pending)
            if pending == 0:
                return changed
            if step == 0 and pending >= before:
                # Rows that another process holds, or that never stay as they are: bge_sync without
                # a limit knows when to give up.
                changed += _value(connection, "SELECT bge_sync(?)", index)
                _show(bar, _pending(connection, index))
                return changed


def _pending(connection: Any, index: str) -> int:
    import json

    return json.loads(_value(connection, "SELECT bge_status(?)", index))["pending"] or 0


def _show(bar: Any, pending: int) -> None:
    bar.total = max(bar.total, pending)  # rows may be added meanwhile
    bar.n = bar.total - pending
    bar.refresh()


def _value(connection: Any, sql: str, *arguments: Any) -> Any:
    return connection.execute(sql, arguments).fetchall()[0][0]
