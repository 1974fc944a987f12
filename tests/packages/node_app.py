"""The npm tarballs in an empty folder, and the JavaScript hosts that use them."""

import hashlib
import platform
import re
import shutil
from pathlib import Path

import pytest
from languages import DIST, EXAMPLES, KEPT, ROOT, environment, need, output, run

HERE = Path(__file__).resolve().parent
VERSION = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
ARCH = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
TARBALLS = [DIST / f"sqlite-bge-{VERSION}.tgz", DIST / f"sqlite-bge-linux-{ARCH}-{VERSION}.tgz"]
QUIET = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--no-update-notifier"]


def installed(lock_folder):
    """node_modules of a locked list, kept between runs while the list is the same."""
    lock = (lock_folder / "package-lock.json").read_bytes()
    folder = KEPT / f"{lock_folder.name}-{hashlib.sha256(lock).hexdigest()[:8]}"
    if not (folder / "whole").exists():
        need("node")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(lock_folder / name, folder)
        output(["npm", "ci", *QUIET], cwd=folder, timeout=600)
        (folder / "whole").touch()
    return folder / "node_modules"


def new_app(folder):
    """An empty folder, and in it what `npm install` of the tarballs makes."""
    need("node")
    for tarball in TARBALLS:
        assert tarball.is_file(), f"{tarball} is missing: `make packages` makes it"
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "node" / "app" / name, folder)
    output(["npm", "ci", *QUIET], cwd=folder)
    output(["npm", "install", "--no-save", *QUIET, *TARBALLS], cwd=folder)
    return folder


class App:
    """The folder, and programs that run in it."""

    def __init__(self, folder, home):
        self.folder, self.home = folder, home
        for example in (EXAMPLES / "node").iterdir():
            shutil.copy(example, folder)

    def env(self, **changes):
        return environment(self.home, **changes)

    def borrow(self, package, node_modules):
        """Makes a package that was installed elsewhere one of this folder's."""
        link = self.folder / "node_modules" / package
        if not link.exists():
            link.symlink_to(node_modules / package)

    def node(self, code, node="node", **changes):
        """Runs JavaScript (a CommonJS script) in the machine's Node, or another one."""
        return run([node, "-e", code], env=self.env(**changes), cwd=self.folder)

    def error(self, code, node="node"):
        """The message of the error that code throws."""
        done = self.node(f"try {{ {code} }} catch (error) {{ console.log(error.message) }}", node)
        assert done.returncode == 0 and done.stdout, done.stderr
        return done.stdout

    @property
    def bin(self):
        """The command `sqlite-bge`."""
        return self.folder / "node_modules" / ".bin" / "sqlite-bge"

    def command(self, *words, path=None, **changes):
        """Runs it to its end."""
        if path:
            changes["PATH"] = path
        return run([self.bin, *words], env=self.env(**changes), cwd=self.folder, timeout=300)


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    folder = new_app(tmp_path_factory.mktemp("app"))
    return App(folder, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def hosts():
    """node_modules with the hosts; none of them is compiled on the spot."""
    return installed(HERE / "node")


@pytest.fixture(scope="session")
def new_node(hosts):
    """A Node that has node:sqlite; the machine's own may be older."""
    return hosts / f"node-linux-{ARCH}" / "bin" / "node"
