"""One database file, asked in three versions of SQLite: what each of them answers to a list of questions.

A question is SQL and the values of its named parameters. An answer is a list of rows, or a HostError.
"""

import ctypes
import json
import subprocess

import apsw
from support import EXTENSION, OLDEST_HOST, HostError, SystemSqlite, connect


def literal(given):
    """A value as SQL."""
    if given is None:
        return "NULL"
    if isinstance(given, bytes):
        return f"x'{given.hex()}'"
    return "'" + given.replace("'", "''") + "'" if isinstance(given, str) else repr(given)


class NewestSession:
    """apsw, in this process."""

    def __init__(self, file):
        self.db = connect(database=file)
        self.version = apsw.sqlite_lib_version()

    def ask(self, questions):
        return [self.answer(sql, bound) for sql, bound in questions]

    def answer(self, sql, bound):
        try:
            return [list(row) for row in self.db.execute(sql, bound)]
        except apsw.Error as error:
            return HostError(str(error))

    def close(self):
        self.db.close(True)


class SystemSession:
    """The system's libsqlite3, through its C interface, in this process."""

    def __init__(self, file):
        self.lib, self.host = SystemSqlite.load(), SystemSqlite(database=file)
        self.version = SystemSqlite.version()
        for name, kind in {"column_int64": ctypes.c_int64, "column_double": ctypes.c_double, "column_blob": ctypes.c_void_p}.items():
            getattr(self.lib, f"sqlite3_{name}").restype = kind

    def ask(self, questions):
        return [self.answer(sql, bound) for sql, bound in questions]

    def answer(self, sql, bound):
        lib, statement = self.lib, ctypes.c_void_p()
        if lib.sqlite3_prepare_v2(self.host.db, sql.encode(), -1, ctypes.byref(statement), None):
            return HostError(self.host.error().decode())
        for name, given in bound.items():
            if index := lib.sqlite3_bind_parameter_index(statement, f":{name}".encode()):
                self.bind(statement, index, given)
        rows = []
        while (rc := lib.sqlite3_step(statement)) == 100:
            rows.append([self.column(statement, n) for n in range(lib.sqlite3_column_count(statement))])
        answer = rows if rc == 101 else HostError(self.host.error().decode())
        lib.sqlite3_finalize(statement)
        return answer

    def bind(self, statement, index, given):
        lib, transient = self.lib, ctypes.c_void_p(-1)
        if given is None:
            lib.sqlite3_bind_null(statement, index)
        elif isinstance(given, int):
            lib.sqlite3_bind_int64(statement, index, ctypes.c_int64(given))
        elif isinstance(given, float):
            lib.sqlite3_bind_double(statement, index, ctypes.c_double(given))
        elif isinstance(given, str):
            lib.sqlite3_bind_text(statement, index, given.encode(), len(given.encode()), transient)
        else:
            lib.sqlite3_bind_blob(statement, index, given, len(given), transient)

    def column(self, statement, n):
        lib = self.lib
        kind = lib.sqlite3_column_type(statement, n)
        if kind == 1:
            return lib.sqlite3_column_int64(statement, n)
        if kind == 2:
            return lib.sqlite3_column_double(statement, n)
        if kind == 5:
            return None
        start = (lib.sqlite3_column_text if kind == 3 else lib.sqlite3_column_blob)(statement, n)
        if kind == 3:
            return start.decode(errors="replace")
        return ctypes.string_at(start, lib.sqlite3_column_bytes(statement, n)) if start else b""

    def close(self):
        assert self.lib.sqlite3_close(self.host.db) == 0


class OldestSession:
    """SQLite 3.38: a process for each list of questions."""

    version = "3.38"

    def __init__(self, file):
        self.file = file

    def ask(self, questions):
        script = []
        for sql, bound in questions:
            binds = "".join(f";;bind :{name} {literal(given)}\n" for name, given in bound.items())
            script += [binds + sql, "SELECT ';;'"]
        done = subprocess.run([OLDEST_HOST, EXTENSION, self.file], input="\n;;\n".join(script), text=True, timeout=600,
                              capture_output=True, encoding="utf-8")
        assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr, done.stdout[-300:])
        version, *lines = done.stdout.splitlines()
        assert version.startswith("SQLite 3.38."), version
        answers, rows = [], []
        for line in lines:
            if line == '[";;"]':
                answers.append(rows)
                rows = []
            elif line.startswith("ERROR: "):
                rows = HostError(line.removeprefix("ERROR: "))
            elif isinstance(rows, HostError):
                rows = HostError(f"{rows} {line}")  # an error of several lines
            else:
                rows.append(json.loads(line))
        assert len(answers) == len(questions)
        return answers

    def close(self):
        pass


SESSIONS = [NewestSession, SystemSession, OldestSession]
