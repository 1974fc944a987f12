#!/usr/bin/env python3
"""Puts one version of the ONNX Runtime library into a folder, out of its Python wheel.

    scripts/get_runtime.py --version 1.28.0 --into DIR [--gpu] [--python PATH] [--requirements PATH]

Makes DIR/libonnxruntime.so and DIR/licenses/onnxruntime/{LICENSE,ThirdPartyNotices.txt}; with --gpu from
the wheel for NVIDIA GPUs, and its providers beside it (they need CUDA, which is not brought). The
wheel is fetched by pip, so that pip's settings (mirror, proxy, certificates) hold, and only a
wheel whose SHA-256 is in scripts/requirements-runtime*.txt is taken. A marker,
DIR/.runtime-version, is written last; a second run that finds it does nothing.

Standard library only, Python 3.9 or newer. Exit codes: 0 the library is there, 1 it could not
be had, 2 asked for in a wrong way, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # no __pycache__ among the scripts
sys.path.insert(0, str(SCRIPTS.parent / "packages" / "python"))
from sqlite_bge.fetching import Problem, alone_in, ignore_signals, is_running, run, say, writing  # noqa: E402

MARKER = ".runtime-version"
LIBRARY = "libonnxruntime.so"
PROVIDERS = tuple(f"libonnxruntime_providers_{name}.so" for name in ("shared", "cuda", "tensorrt"))
NOTICES = ("LICENSE", "ThirdPartyNotices.txt")
FIRST_WITH_TELEMETRY = (1, 29)

# The library in the wheel is the same for every Python, so one Python's wheel is taken on all
# machines: the same bytes everywhere, and a Python too old or too new for the wheel will do.
WHEEL_PYTHON = "3.12"
WHEEL_GLIBC = ("2_28", "2_27", "2_17")


def package(gpu):
    return "onnxruntime-gpu" if gpu else "onnxruntime"


def is_there(version, gpu, into):
    """Whether the marker is of this version and the files are as they were when it was written."""
    try:
        marker = json.loads((into / MARKER).read_text(encoding="utf-8"))
        same = (marker["version"], marker.get("package", package(False))) == (version, package(gpu))
        return same and all(
            facts == facts_of(into / name) for name, facts in marker["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def facts_of(path):
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def find_requirements(version, gpu):
    """The requirements file that has this version's hashes."""
    known, name = [], package(gpu)
    for path in sorted(SCRIPTS.glob("requirements-runtime*.txt")):
        pinned = re.findall(rf"^{name}==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if version in pinned:
            return path
        known += pinned
    raise Problem(
        f"there is no SHA-256 for {name} {version}; known are {', '.join(known)}. To add it, write a "
        f"scripts/requirements-runtime-{version}.txt as the others are, and say in it how you checked the wheel")


def wheel_machine(gpu):
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if platform.system() != "Linux" or machine not in ("x86_64", "aarch64"):
        raise Problem(
            f"this script brings the library for Linux on x86_64 and aarch64, this is {platform.system()} on "
            f"{machine}; get one from the ONNX Runtime project and name it in BGE_ORT_LIB")
    if gpu and machine != "x86_64":
        raise Problem(f"onnxruntime-gpu has wheels for x86_64 only, this is {machine}; name a library of your own in BGE_ORT_LIB")
    return machine


def download(version, gpu, python, requirements, folder):
    """Lets pip put the wheel into `folder`; returns its path."""
    command = [python, "-m", "pip", "download", "--require-hashes", "--no-deps", "--only-binary=:all:",
               "--implementation", "cp", "--python-version", WHEEL_PYTHON, "-d", str(folder), "-r", str(requirements)]
    for glibc in WHEEL_GLIBC:
        command += ["--platform", f"manylinux_{glibc}_{wheel_machine(gpu)}"]
    # pip's own progress bar on a terminal; in a log its words only where they are wanted.
    shown = {} if sys.stdout.isatty() else {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        pip = subprocess.run(command, stdin=subprocess.DEVNULL, text=True, errors="replace", **shown,
                             env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    except OSError as error:
        raise Problem(f"--python {python} cannot be run: {error.strerror}")
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        raise Problem((pip.stdout or "") + why_no_wheel(version, gpu, python))
    return wheels[0]


def why_no_wheel(version, gpu, python):
    if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode:
        return f"{python} has no pip; a way out: python3 -m venv /tmp/venv, then --python /tmp/venv/bin/python"
    return (f"pip did not bring {package(gpu)} {version}, see above; a way out: pip's own settings for a mirror or "
            "a proxy, or a library of your own, named in BGE_ORT_LIB")


def unpack(wheel, version, gpu, folder):
    """What is wanted of the wheel; returns {name below DIR: path in `folder`}."""
    members = {LIBRARY: f"onnxruntime/capi/{LIBRARY}.{version}"}
    if gpu:
        members.update({name: f"onnxruntime/capi/{name}" for name in PROVIDERS})
    members.update({f"licenses/onnxruntime/{name}": f"onnxruntime/{name}" for name in NOTICES})
    unpacked = {}
    with zipfile.ZipFile(wheel) as archive:
        for name, member in members.items():
            path = folder / Path(name).name
            try:
                with archive.open(member) as source, writing(path), open(path, "wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                    os.fsync(out.fileno())
            except KeyError:
                raise Problem(f"{wheel.name} has no {member} in it; other versions may be laid out in another way")
            unpacked[name] = path
            if path.suffix == ".so":
                path.chmod(0o755)
    return unpacked


def put_in_place(version, gpu, wheel, unpacked, into):
    """Each file by a rename, the marker last: until then an older one does not fit the files, and
    a run that was killed here is done again."""
    with writing(into):
        for name in set(PROVIDERS) - set(unpacked):
            (into / name).unlink(missing_ok=True)  # of another kind of library
        for name, path in unpacked.items():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, into / name)
        marker = {"version": version, "package": package(gpu), "wheel": wheel.name, "files": {n: facts_of(into / n) for n in unpacked}}
        (into / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")


def clear_leftovers(into):
    for path in into.glob(".runtime-partial-*"):
        pid = path.name.rpartition("-")[2]
        if pid.isdigit() and not is_running(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
            say(f"removed what an earlier run left: {path}")


def get(version, gpu, into, python, requirements):
    if tuple(int(part) for part in version.split(".")[:2]) >= FIRST_WITH_TELEMETRY:
        say("official builds of this version have telemetry; the extension sets ORT_DISABLE_TELEMETRY=1 before it starts it")
    name = f"ONNX Runtime {version}{' for GPUs' if gpu else ''}"
    if is_there(version, gpu, into):
        say(f"{name} is in {into}")
        return
    requirements = requirements or find_requirements(version, gpu)
    with writing(into):
        into.mkdir(parents=True, exist_ok=True)
    with alone_in(into):
        clear_leftovers(into)
        if not is_there(version, gpu, into):  # again: who was waited for may have got it
            say(f"getting {name} with pip{', a wheel of 250 MB' if gpu else ''}")
            make(version, gpu, into, python, requirements)
    say(f"{name} is in {into}")


def make(version, gpu, into, python, requirements):
    partial = into / f".runtime-partial-{os.getpid()}"
    try:
        with writing(partial):
            partial.mkdir()
        wheel = download(version, gpu, python, requirements, partial)
        put_in_place(version, gpu, wheel, unpack(wheel, version, gpu, partial), into)
    finally:
        ignore_signals()
        shutil.rmtree(partial, ignore_errors=True)


def arguments():
    parser = argparse.ArgumentParser(description="Puts one version of the ONNX Runtime library into a folder.")
    parser.add_argument("--version", metavar="V", required=True, help="such as 1.28.0")
    parser.add_argument("--into", metavar="DIR", required=True, type=Path, help="the library becomes DIR/" + LIBRARY)
    parser.add_argument("--gpu", action="store_true", help="the library for NVIDIA GPUs, with its providers")
    parser.add_argument("--python", metavar="PATH", default=sys.executable,
                        help="a Python that has pip (the one that runs this; Debian's has none, a venv's has)")
    parser.add_argument("--requirements", metavar="PATH", type=Path,
                        help="the file with the wheel's hashes (the one beside this script that has the version)")
    options = parser.parse_args()
    if not re.fullmatch(r"\d+\.\d+\.\d+", options.version):
        parser.error(f"--version is '{options.version}', wanted is one like 1.28.0")
    return options


def main():
    options = arguments()
    return run(options.into, lambda: get(options.version, options.gpu, options.into, options.python, options.requirements))


if __name__ == "__main__":
    sys.exit(main())
