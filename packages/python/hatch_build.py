"""Puts the compiled parts into the wheel and says for which machines it is.

The parts are a folder that ../build.py makes, named in BGE_PARTS: the libraries, bge-install.json,
licences, and a file `platform` with the platform tag. There is no pure wheel: without parts the build fails.
"""

import os
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Parts(BuildHookInterface):
    def initialize(self, version, build_data):
        named = os.environ.get("BGE_PARTS", "")
        parts = Path(named)
        if not named or not (parts / "platform").is_file():
            raise SystemExit(f"BGE_PARTS is '{named}', expected the folder of parts that packages/build.py makes")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{(parts / 'platform').read_text().strip()}"
        for path in sorted(parts.rglob("*")):
            name = path.relative_to(parts).as_posix()
            if path.is_file() and name != "platform":
                build_data["force_include"][str(path)] = f"sqlite_bge/{name}"
        catalog = Path(self.root).parents[1] / "src" / "engine" / "catalog.json"
        build_data["force_include"][str(catalog)] = "sqlite_bge/catalog.json"
