"""Bringing things into a folder so that they are there whole or not at all.

Shared by download.py and the scripts of the source tree (get_model.py, get_runtime.py). No command.
It keeps two runs apart, puts a finished folder in the place of another, and turns signals and what
the disk refuses into exceptions whose text a person can use. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import signal
import sys

try:
    import fcntl
except ImportError:  # not on Windows; there two runs at once are not kept apart
    fcntl = None


class Problem(Exception):
    """Ends the run: the text is what the person gets to read."""


class SourceFailed(Exception):
    """This source cannot give what is wanted; the next one may."""


class Interrupted(BaseException):
    """A signal asked us to end; like KeyboardInterrupt, nothing but cleaning up may catch it."""


def say(text):
    print(text, flush=True)


# --- the disk says no ----------------------------------------------------------------------


@contextlib.contextmanager
def writing(path):
    """Turns what the disk refuses into a plain problem: no other source would do better."""
    try:
        yield
    except OSError as error:
        raise Problem(why_not_written(path, error)) from error


def why_not_written(path, error):
    place = error.filename or path
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no room left for {place}; make some, or choose another disk with --into"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{place} may not be written ({error.strerror}); choose another folder with --into"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"{place} is no folder; move it away, or choose another folder with --into"
    return f"{place} cannot be written: {error.strerror}"


# --- putting a folder in place ------------------------------------------------------------


@contextlib.contextmanager
def alone_in(folder):
    """One run at a time in a folder. The lock is on the folder itself: no file is left over."""
    if fcntl is None:
        yield
        return
    with writing(folder):
        handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is at work in {folder}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: then without
        yield
    finally:
        os.close(handle)


def hidden(kind, target):
    """The folder beside the target that this run makes for itself, see clear_leftovers."""
    return target.with_name(f".{target.name}.{kind}-{os.getpid()}")


def clear_leftovers(target, replaced):
    """Removes what killed runs left beside the target, and ends a swap that one of them began."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*-*"):
        kind, _, pid = path.name[len(target.name) + 2:].partition("-")
        if kind not in ("partial", "old") or not pid.isdigit() or is_running(int(pid)):
            continue
        if kind == "old":
            end_swap(path, target, replaced)
        shutil.rmtree(path, ignore_errors=True)
        say(f"removed what an earlier run left: {path}")


def is_running(pid):
    if pid == os.getpid():
        return False  # its number, ours now
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # somebody else's, but running
    return True


def swap(partial, target, replaced):
    """Puts `partial` where `target` is; at no moment is there half of it under that name."""
    old = hidden("old", target)
    with writing(target):
        if target.exists():
            os.rename(target, old)
        try:
            os.rename(partial, target)
        except BaseException:
            if old.exists() and not target.exists():
                os.rename(old, target)
            raise
    if old.exists():
        end_swap(old, target, replaced)
        shutil.rmtree(old, ignore_errors=True)


def end_swap(old, target, replaced):
    """Files of the old folder that `replaced(path within it)` denies are somebody's: they move over."""
    if not target.exists():
        os.rename(old, target)
        return
    for path in [p for p in old.rglob("*") if p.is_file() or p.is_symlink()]:
        file = path.relative_to(old)
        new = target / file
        if new.exists() or replaced(file):
            continue
        new.parent.mkdir(parents=True, exist_ok=True)
        os.rename(path, new)


# --- the run of a script ------------------------------------------------------------------


def run(into, work):
    """Does `work`, which puts something into `into`; returns the exit code, and says why it is not 0.

    An interruption ends the process, with 130."""
    catch_signals()
    try:
        work()
    except (KeyboardInterrupt, Interrupted):
        end_interrupted()
    except Exception as error:
        if HEARD:  # where SQLite was at work, it is SQLite's error that comes here
            end_interrupted()
        if isinstance(error, Problem):
            print(error, file=sys.stderr)
        elif isinstance(error, OSError):
            print(f"{error.filename or into}: {error.strerror or error}", file=sys.stderr)
        else:
            raise
        return 1
    return 0


def end_interrupted():
    print("interrupted; nothing half-made is left", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(130)  # without waiting for downloads that are on their way on threads


HEARD = []  # signals that asked this process to end
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def catch_signals():
    def stop(number, frame):
        HEARD.append(number)
        raise Interrupted

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, stop)


def ignore_signals():
    """Before cleaning up: an impatient second Ctrl-C must not end that half-way."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
