"""scripts/setup.sh on made-up machines: PATH is one folder of stand-ins, so nothing real is
found or installed."""

import os
import shutil
import subprocess
import sys

import pytest
from setup_fakes import SCRIPTS, executable

BASH = shutil.which("bash")
SETUP = SCRIPTS / "setup.sh"
TOOLS = {"cc": ["cc"], "sqlite3": ["sqlite3"], "maven": ["mvn", "java"], "strace": ["strace"],
         "binutils": ["nm", "readelf"], "unzip": ["unzip"], "node": ["npm", "node"], "go": ["go"],
         "jdk": ["java", "javac"], "qemu": ["qemu-x86_64-static"]}
PACKAGES = {"cc": "gcc libc6-dev", "sqlite3": "sqlite3", "libsqlite3": "libsqlite3-dev", "python3": "python3", "venv": "python3-venv",
            "maven": "maven default-jre-headless", "strace": "strace", "binutils": "binutils", "unzip": "unzip",
            "node": "nodejs npm", "go": "golang-go", "jdk": "default-jdk-headless",
            "qemu": "qemu-user-static"}


class Machine:
    """A machine with nothing on it but what a test puts into `bin`."""

    def __init__(self, tmp_path, bin):
        self.tmp, self.bin = tmp_path, bin
        self.env = {"PATH": str(bin), "HOME": str(tmp_path), "LOG": str(tmp_path / "apt-log")}
        for tool in ("sed", "head", "touch", "chmod"):
            (bin / tool).symlink_to(shutil.which(tool))
        self.user(1000)
        self.tool("apt-get", 'echo "$DEBIAN_FRONTEND $*" >> "$LOG"')

    def user(self, number):
        self.tool("id", f'[ "$*" = -u ] && echo {number}')

    def tool(self, name, script=""):
        executable(self.bin / name, f"#!{BASH}\n{script}\n")

    def python(self, code=None):
        self.tool("python3", code or f'exec {sys.executable} "$@"')

    def everything(self):
        for tools in TOOLS.values():
            for tool in tools:
                self.tool(tool)
        self.python()
        self.tool("node", "echo 20.20.2")
        self.tool("go", "echo 'go version go1.26.8 linux/amd64'")
        self.tool("cargo", "echo 'cargo 1.95.0 (f2d3ce0bd 2026-03-21)'")
        (self.tmp / "libclang.so.1").touch()
        self.env["LIBCLANG_PATH"] = str(self.tmp)

    def setup(self, *needs):
        return subprocess.run([BASH, str(SETUP), *needs], env=self.env, capture_output=True, text=True, timeout=30)

    def apt(self):
        log = self.tmp / "apt-log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path, bin):
    return Machine(tmp_path, bin)


def test_nothing_is_said_or_done_when_nothing_is_missing(machine):
    machine.everything()
    done = machine.setup(*PACKAGES, "libclang", "rust")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.apt() == []


@pytest.mark.parametrize("need", PACKAGES)
def test_a_user_gets_the_exact_command(machine, need):
    done = machine.setup(need)
    assert done.returncode == 1
    assert f"missing: {need};" in done.stderr
    command = f"sudo apt-get update && sudo apt-get install -y --no-install-recommends {PACKAGES[need]}"
    assert done.stderr.splitlines()[-1] == command
    assert machine.apt() == []


def test_only_what_is_missing_is_in_the_command(machine):
    machine.tool("sqlite3")
    done = machine.setup("sqlite3", "strace", "unzip")
    assert done.stderr.endswith("--no-install-recommends strace unzip\n") and "missing: strace unzip;" in done.stderr


@pytest.mark.parametrize("need, tool", [("maven", "java"), ("maven", "mvn"), ("binutils", "readelf"), ("node", "npm"),
                                        ("jdk", "javac")])
def test_half_of_a_need_is_not_enough(machine, need, tool):
    machine.everything()
    (machine.bin / tool).unlink()
    assert machine.setup(need).returncode == 1


def test_a_compiler_without_headers_is_not_enough(machine):
    machine.tool("cc", "exit 1")
    assert machine.setup("cc").returncode == 1


@pytest.mark.parametrize("need, tool, says, works", [
    ("node", "node", "18.17.0", True), ("node", "node", "16.20.2", False), ("node", "node", "", False),
    ("go", "go", "go version go1.23 linux/amd64", True), ("go", "go", "go version go1.19.8 linux/amd64", False),
    ("go", "go", "no version", False),
])
def test_other_languages_are_new_enough(machine, need, tool, says, works):
    machine.everything()
    machine.tool(tool, f"echo '{says}'")
    assert machine.setup(need).returncode == (0 if works else 1)


@pytest.mark.parametrize("need, code, works", [
    ("python3", "echo old; exit 1", False), ("python3", "echo new; exit 1", True), ("venv", "echo new; exit 1", False),
])
def test_python_is_asked_what_it_can(machine, need, code, works):
    machine.python(code)
    assert machine.setup(need).returncode == (0 if works else 1)


def test_root_installs_after_one_update(machine):
    machine.user(0)
    machine.tool("apt-get", 'echo "$DEBIAN_FRONTEND $*" >> "$LOG"\n'
                            f'case "$*" in *install*) for t in strace unzip; do echo "#!{BASH}" > {machine.bin}/$t; '
                            f'chmod +x {machine.bin}/$t; done ;; esac')
    done = machine.setup("strace", "unzip")
    assert (done.returncode, done.stdout, done.stderr) == (0, "installing strace unzip with apt-get\n", "")
    update, install = machine.apt()
    assert update.startswith("noninteractive ") and update.endswith(" update")
    assert install.endswith(" install -y --no-install-recommends strace unzip")
    machine.setup("strace", "unzip")
    assert len(machine.apt()) == 2


def test_a_tool_that_is_still_missing_after_installing_is_an_error(machine):
    machine.user(0)
    done = machine.setup("strace")
    assert done.returncode == 1 and "strace is still missing" in done.stderr


def test_a_python_that_lacked_venv_is_asked_again_after_installing(machine):
    machine.user(0)
    machine.python("echo new; exit 1")
    machine.tool("python3-with-venv", "echo new venv")
    machine.tool("apt-get", f'case "$*" in *install*python3-venv) {shutil.which("cp")} {machine.bin}/python3-with-venv '
                            f'{machine.bin}/python3 ;; esac')
    assert machine.setup("venv").returncode == 0


def test_a_python_that_debians_package_does_not_mend_is_named(machine):
    machine.user(0)
    machine.python("echo new; exit 1")
    done = machine.setup("venv")
    assert done.returncode == 1 and f"{machine.bin}/python3 still does not do" in done.stderr


@pytest.mark.parametrize("failing", ["update", "install"])
def test_what_apt_get_says_is_shown_when_it_fails(machine, failing):
    machine.user(0)
    machine.tool("apt-get", f'echo chatter; case "$*" in *{failing}*) echo "E: no luck" >&2; exit 100 ;; esac')
    done = machine.setup("strace")
    assert done.returncode == 1 and "E: no luck" in done.stderr and "this failed: apt-get" in done.stderr
    assert done.stdout == "installing strace with apt-get\n"


def test_a_machine_without_apt_get(machine):
    (machine.bin / "apt-get").unlink()
    done = machine.setup("cc", "strace")
    assert done.returncode == 1 and "no apt-get" in done.stderr and "gcc libc6-dev strace" in done.stderr


@pytest.mark.parametrize("needs", [["strace", "coffee"], []])
def test_an_unknown_need_and_none_at_all_list_the_known(machine, needs):
    machine.user(0)
    done = machine.setup(*needs)
    known = "cc libclang sqlite3 libsqlite3 python3 venv loading_python maven strace binutils unzip chromium qemu node go jdk rust"
    assert done.returncode == 2 and known in done.stderr
    assert machine.apt() == []


# --- libclang, whose places are fixed: the functions by themselves -------------------------


def function(call, **env):
    return subprocess.run([BASH, "-c", f"source {SETUP}; {call}"], env={**os.environ, **env},
                          capture_output=True, text=True).returncode


@pytest.mark.parametrize("file, code", [
    ("libclang.so", 0), ("libclang.so.1", 0), ("libclang-14.so.1", 0), ("libclang-14.so", 0),
    ("libclang-cpp.so.14", 1), ("libclangBasic.a", 1), (None, 1),
])
def test_libclang_is_told_from_its_neighbours(tmp_path, file, code):
    if file:
        (tmp_path / file).touch()
    assert function(f"any_libclang_in {tmp_path}") == code


def test_a_libclang_that_the_user_names_is_believed(tmp_path):
    (tmp_path / "libclang.so.13").touch()
    assert function("has_libclang", LIBCLANG_PATH=str(tmp_path)) == 0
    assert function("has_libclang", LIBCLANG_PATH=str(tmp_path / "libclang.so.13")) == 0


# --- rust ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version, works", [
    ("1.92.0", True), ("1.95.0-nightly", True), ("1.100.0", True), ("2.0.0", True), ("1.91.1", False), ("1.63.0", False),
    ("0.99.0", False),
])
def test_rust_is_new_enough(machine, version, works):
    machine.tool("cargo", f"echo 'cargo {version} (abc 2026-01-01)'")
    done = machine.setup("rust")
    assert done.returncode == (0 if works else 1), done.stderr
    if not works:
        assert f"cargo {version} is too old, 1.92 or newer is wanted" in done.stderr and "rustup.rs" in done.stderr


def test_the_way_out_for_who_has_rustup(machine):
    machine.tool("cargo", "echo cargo 1.63.0")
    machine.tool("rustup")
    assert "rustup update stable" in machine.setup("rust").stderr


def test_no_cargo_and_a_cargo_that_does_not_work(machine):
    done = machine.setup("rust")
    assert done.returncode == 1 and "cargo is not here" in done.stderr and "rustup.rs" in done.stderr
    machine.tool("cargo", "echo 'error: no default toolchain' >&2; exit 1")
    done = machine.setup("rust")
    assert done.returncode == 1 and "no default toolchain" in done.stderr


def test_rust_is_never_installed_and_does_not_stop_what_is(machine):
    machine.user(0)
    done = machine.setup("rust", "strace")
    assert done.returncode == 1 and "cargo is not here" in done.stderr
    assert machine.apt()[-1].endswith("--no-install-recommends strace")
