#!/usr/bin/env python3
"""Writes DIST/manifest.json: what packages there are, their sizes and SHA-256 sums, and what they are made of.

    packages/manifest.py DIST

Packages are the files *.whl, *.tgz and *.tar.gz in DIST. The sums of the libraries inside are there too,
so that anybody can see that all packages carry the same ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path

SUFFIXES = (".whl", ".tgz", ".tar.gz")
LIBRARIES = ("libbge.so", "libonnxruntime.so")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def libraries_in(path: Path) -> dict[str, str]:
    """{file name: SHA-256} of the libraries that a package carries."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            inside = {name: wheel.read(name) for name in wheel.namelist() if name.endswith(LIBRARIES)}
    else:
        with tarfile.open(path) as tar:
            inside = {member.name: tar.extractfile(member).read() for member in tar
                      if member.isfile() and member.name.endswith(LIBRARIES)}
    return {os.path.basename(name): sha256(content) for name, content in sorted(inside.items())}


def main() -> None:
    dist = Path(sys.argv[1])
    packages = {}
    for path in sorted(dist.iterdir()):
        if path.name.endswith(SUFFIXES):
            packages[path.name] = {"bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()),
                                   "libraries": libraries_in(path)}
    manifest = {"commit": os.environ.get("BGE_COMMIT") or None, "packages": packages}
    (dist / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    for name, facts in packages.items():
        print(f"{facts['sha256'][:16]}  {facts['bytes'] / 1e6:6.2f} MB  {name}")


if __name__ == "__main__":
    main()
