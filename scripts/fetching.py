"""What get_model.py and get_runtime.py share: bringing things into a folder so that they are
there whole or not at all, and telling the person who waits.

No command. It writes one file with its hash and progress, keeps two runs apart, puts a finished
folder in the place of another, and turns signals and what the disk refuses into exceptions whose
text a person can use. Standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import queue
import shutil
import signal
import sys
import threading
import time

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


def mb(count):
    return f"{count / 1e6:.1f} MB"


# --- writing one file ---------------------------------------------------------------------


class Progress:
    """How far one file is: one line kept up to date on a terminal, a line at each quarter in a log."""

    def __init__(self, file, total):
        self.file, self.total = file, total
        self.done, self.start, self.shown = 0, time.monotonic(), 0.0
        self.terminal = sys.stdout.isatty()

    def add(self, count):
        self.done += count
        if self.terminal:
            now = time.monotonic()
            if now - self.shown >= 0.1:
                self.shown = now
                line = self.line()[: shutil.get_terminal_size().columns - 1]
                print(f"\r{line}\x1b[K", end="", flush=True)
        elif self.total and self.total > 1_000_000:
            quarter = 4 * self.done // self.total
            if self.shown < quarter < 4:
                self.shown = quarter
                say(self.line())

    def line(self):
        rate = self.done / max(time.monotonic() - self.start, 1e-3)
        if not self.total:
            return f"{self.file}  {mb(self.done)}  {mb(rate)}/s"
        return f"{self.file}  {100 * self.done // self.total} %  {self.done / 1e6:.1f} of {mb(self.total)}  {mb(rate)}/s"

    def wipe(self):
        if self.terminal:
            print("\r\x1b[K", end="", flush=True)


def store(blocks, path, file, total=None, wanted=None, whose="the catalogue"):
    """Writes what `blocks` brings to `path`, hashing as it goes; a wrong SHA-256 leaves no file."""
    progress, digest = Progress(file, total), hashlib.sha256()
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as out:
                for block in blocks:
                    digest.update(block)
                    out.write(block)
                    progress.add(len(block))
                out.flush()
                os.fsync(out.fileno())  # or a power cut leaves a folder that looks whole
    finally:
        progress.wipe()
    if wanted and digest.hexdigest() != wanted:
        path.unlink()
        raise SourceFailed(f"{file} came with the SHA-256 {digest.hexdigest()}, {whose} wants {wanted}")
    if file.endswith(".json") and not wanted:
        check_json(path, file)
    say(f"{file}  {mb(progress.done) if progress.done >= 100_000 else f'{progress.done} bytes'}")


def check_json(path, file):
    """A proxy's log-in page comes with status 200 too; no SHA-256 would show it here."""
    content = path.read_bytes()
    try:
        if isinstance(json.loads(content), dict):
            return
    except ValueError:
        pass
    path.unlink()
    raise SourceFailed(f"{file} came as something that is no JSON object; it starts with {content[:40]!r}")


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


# --- a call that may hang -----------------------------------------------------------------


def within(seconds, call):
    """What `call` returns or raises, or TimeoutError after `seconds`.

    A socket's own timeout is one for each address of a host, and does not count looking the
    name up: where a firewall swallows everything, those add up to minutes."""
    answer = queue.Queue()

    def ask():
        try:
            answer.put((call(), None))
        except BaseException as error:
            answer.put((None, error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        result, error = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s; --timeout SECONDS waits longer") from None
    if error:
        raise error
    return result


# --- the run of a script ------------------------------------------------------------------


def run(into, work):
    """Does `work`, which puts something into `into`; returns the exit code, and says why it is not 0."""
    catch_signals()
    try:
        work()
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or into}: {error.strerror or error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Interrupted):
        print("interrupted; nothing half-made is left", file=sys.stderr)
        return 130
    return 0


SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def catch_signals():
    def stop(number, frame):
        raise Interrupted

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, stop)


def ignore_signals():
    """Before cleaning up: an impatient second Ctrl-C must not end that half-way."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
