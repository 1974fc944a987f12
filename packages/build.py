#!/usr/bin/env python3
"""Makes the Python wheels and the tar.gz of this version in dist/. `make packages` calls it.

    packages/build.py --library PATH --runtime DIR --into DIST

PATH is the library that packages/zigbuild.sh built; DIR has libonnxruntime.so and licenses/onnxruntime
(scripts/get_runtime.py). Run by the Python of the build tools (packages/requirements-build.txt).

It first gathers the *parts* in target/packages/parts: library, runtime, licences of everything in them,
and `platform`. All packages are made of these, so what one of them carries the others carry too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ROOT / "target" / "packages" / "parts"
PLATFORM, MACHINE = "manylinux_2_28_x86_64", "linux-x86_64"
RUST_TARGET = "x86_64-unknown-linux-gnu"

# Read by the library to name the way to a model in its errors.
INSTALLS = {"python": "sqlite-bge download", "tar": "pip install sqlite-bge && sqlite-bge download"}


def version() -> str:
    return re.search(r'^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)


# --- the parts ----------------------------------------------------------------------------


def check_runtime(runtime: Path) -> None:
    """The packages are for machines without a GPU: the extra `gpu` brings the other runtime."""
    marker = json.loads((runtime / ".runtime-version").read_text())
    if marker.get("package", "onnxruntime") != "onnxruntime":
        raise SystemExit(f"{runtime} has the runtime of {marker['package']}; make the packages without GPU=1")


def gather(library: Path, runtime: Path) -> None:
    check_runtime(runtime)
    shutil.rmtree(PARTS, ignore_errors=True)
    (PARTS / "licenses").mkdir(parents=True)
    shutil.copy(library, PARTS / "libbge.so")
    shutil.copy(runtime / "libonnxruntime.so", PARTS)
    shutil.copytree(runtime / "licenses" / "onnxruntime", PARTS / "licenses" / "onnxruntime")
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        shutil.copy(ROOT / name, PARTS / "licenses")
    (PARTS / "licenses" / "rust-crates.txt").write_text(crate_licences(), encoding="utf-8")
    (PARTS / "platform").write_text(PLATFORM + "\n")


def say_how_to_get_models(folder: Path, kind: str) -> None:
    (folder / "bge-install.json").write_text(json.dumps({"download": INSTALLS[kind]}) + "\n")


def crate_licences() -> str:
    """Name, version, licence and licence texts of every crate that is compiled into the library."""
    metadata = json.loads(subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--features", "loadable",
         "--filter-platform", RUST_TARGET], cwd=ROOT, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    chapters = ["Rust crates compiled into libbge.so, and their licences.\n"]
    for crate in sorted(compiled_in(metadata), key=lambda id: packages[id]["name"]):
        package = packages[crate]
        if package["source"] is None:
            continue  # our own
        folder = Path(package["manifest_path"]).parent
        texts = sorted(path for path in folder.iterdir() if path.is_file() and re.match(
            r"(licen[cs]e|copying|notice|unlicense)", path.name, re.IGNORECASE))
        chapters.append(f"{'=' * 78}\n{package['name']} {package['version']}: {package['license']}\n"
                        f"{package['repository'] or ''}\n{'=' * 78}\n")
        chapters += [path.read_text(encoding="utf-8", errors="replace") + "\n" for path in texts]
    return "\n".join(chapters)


def compiled_in(metadata: dict) -> set[str]:
    """Crates reached by normal dependencies: what builds or tests the library is not in it."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    reached, waiting = set(), [metadata["resolve"]["root"]]
    while waiting:
        crate = waiting.pop()
        if crate in reached:
            continue
        reached.add(crate)
        waiting += [dependency["pkg"] for dependency in nodes[crate]["deps"]
                    if any(kind["kind"] is None for kind in dependency["dep_kinds"])]
    return reached


# --- the packages -------------------------------------------------------------------------


def wheel(project: Path, into: Path, licences: bool) -> Path:
    before = set(into.glob("*.whl"))
    if licences:
        for name in ("LICENSE-MIT", "LICENSE-APACHE"):
            shutil.copy(ROOT / name, project)
    try:
        subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)], cwd=project,
                       check=True, stdout=subprocess.DEVNULL, env={**os.environ, "BGE_PARTS": str(PARTS)})
    finally:
        if licences:
            for name in ("LICENSE-MIT", "LICENSE-APACHE"):
                (project / name).unlink()
    made = set(into.glob("*.whl")) - before
    assert len(made) == 1, made
    return made.pop()


def check_platform(path: Path) -> None:
    """auditwheel is the judge of what the library needs of the machine that loads it."""
    said = subprocess.run([sys.executable, "-m", "auditwheel", "show", str(path)], check=True, capture_output=True,
                          text=True).stdout
    tag = re.search(r'following\s+platform\s+tag:\s+"([a-z0-9_]+)"', said)
    glibc = re.fullmatch(r"manylinux_2_(\d+)_x86_64", tag.group(1)) if tag else None
    if not glibc or int(glibc.group(1)) > 28:
        raise SystemExit(f"auditwheel finds that {path.name} is not {PLATFORM}:\n{said}")
    print(f"{path.name}: auditwheel says {tag.group(1)}")


def archive(into: Path) -> Path:
    name = f"sqlite-bge-{version()}-loadable-{MACHINE}"
    folder = PARTS.parent / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PARTS, folder, ignore=shutil.ignore_patterns("platform", "bge-install.json"))
    say_how_to_get_models(folder, "tar")
    shutil.copy(ROOT / "packages" / "README-tar.md", folder / "README.md")
    path = into / f"{name}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, arcname=name)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the Python wheels and the tar.gz.")
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument("--into", type=Path, required=True)
    options = parser.parse_args()
    into = options.into.resolve()
    for old in [*into.glob("sqlite_bge-*.whl"), *into.glob("datasette_sqlite_bge-*.whl"), *into.glob("sqlite-bge-*.tar.gz")]:
        old.unlink()
    gather(options.library, options.runtime)
    say_how_to_get_models(PARTS, "python")
    check_platform(wheel(ROOT / "packages" / "python", into, licences=True))
    if (ROOT / "packages" / "datasette").is_dir():
        wheel(ROOT / "packages" / "datasette", into, licences=True)
    archive(into)


if __name__ == "__main__":
    main()
