"""scripts/get_runtime.py with the real pip, offline: it is given a folder with tiny wheels."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from setup_fakes import SCRIPTS, Scripts, executable, sha256

LICENSES = {"licenses/onnxruntime/LICENSE": b"MIT", "licenses/onnxruntime/ThirdPartyNotices.txt": b"and others"}
GPU = "onnxruntime-gpu"
PROVIDERS = [f"libonnxruntime_providers_{name}.so" for name in ("cuda", "shared", "tensorrt")]


class Runtime(Scripts):
    def __init__(self, tmp_path, bin):
        super().__init__(tmp_path, bin)
        self.into, self.wheels = tmp_path / "lib", tmp_path / "wheels"
        self.wheels.mkdir()
        self.env.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.wheels), PIP_CONFIG_FILE=os.devnull)
        for version in ("1.28.0", "1.29.0"):
            self.make_wheel(version)

    def make_wheel(self, version, leave_out=None, hash_of=None, package="onnxruntime"):
        """A wheel, and a requirements file with its hash or that of `hash_of`."""
        name = package.replace("-", "_")
        wheel = self.wheels / f"{name}-{version}-cp312-cp312-manylinux_2_28_{platform.machine()}.whl"
        info = f"{name}-{version}.dist-info"
        members = {f"onnxruntime/capi/libonnxruntime.so.{version}": f"library {version}",
                   "onnxruntime/LICENSE": "MIT", "onnxruntime/ThirdPartyNotices.txt": "and others",
                   f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
                   f"{info}/WHEEL": "Wheel-Version: 1.0\n", f"{info}/RECORD": ""}
        if package == GPU:
            members.update({f"onnxruntime/capi/{name}": name for name in PROVIDERS})
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, content in members.items():
                if name != leave_out:
                    archive.writestr(name, content)
        hashed = sha256(hash_of or wheel.read_bytes())
        self.requirements(version).write_text(f"{package}=={version} --hash=sha256:{hashed}\n")

    def requirements(self, version):
        return self.tmp / f"requirements-{version}.txt"

    def command_for(self, version, *args):
        return self.command("get_runtime.py", "--version", version, "--into", self.into,
                            "--requirements", self.requirements(version), *args)

    def get(self, version="1.28.0", *args):
        return self.run(self.command_for(version, *args))

    def found(self):
        return {p.relative_to(self.into).as_posix(): p.read_bytes() for p in self.into.rglob("*")
                if p.is_file() and p.name != ".runtime-version"}


@pytest.fixture
def runtime(tmp_path, bin):
    return Runtime(tmp_path, bin)


def test_library_and_licences_come_out_of_the_wheel(runtime):
    done = runtime.get()
    assert done.returncode == 0, done.stderr
    assert runtime.found() == {"libonnxruntime.so": b"library 1.28.0", **LICENSES}
    assert runtime.left() == [".runtime-version", "libonnxruntime.so", "licenses"]
    assert f"ONNX Runtime 1.28.0 is in {runtime.into}\n" in done.stdout
    assert os.access(runtime.into / "libonnxruntime.so", os.X_OK)


def test_a_second_run_starts_no_pip(runtime):
    runtime.get()
    done = runtime.get("1.28.0", "--python", "/nowhere/python")
    assert (done.returncode, done.stdout) == (0, f"ONNX Runtime 1.28.0 is in {runtime.into}\n")


def test_another_version_takes_its_place(runtime):
    runtime.get("1.28.0")
    assert runtime.get("1.29.0").returncode == 0
    assert runtime.found()["libonnxruntime.so"] == b"library 1.29.0"
    assert json.loads((runtime.into / ".runtime-version").read_text())["version"] == "1.29.0"


@pytest.mark.parametrize("name, damage", [("libonnxruntime.so", "other"), ("licenses/onnxruntime/LICENSE", "gone")])
def test_a_damaged_folder_is_made_good(runtime, name, damage):
    runtime.get()
    (runtime.into / name).unlink() if damage == "gone" else (runtime.into / name).write_bytes(b"x")
    assert "with pip" in runtime.get().stdout
    assert runtime.found() == {"libonnxruntime.so": b"library 1.28.0", **LICENSES}


@pytest.mark.parametrize("text", ["[]", '{"version": "1.28.0", "files": 3}'])
def test_a_marker_that_is_not_ours_is_not_believed(runtime, text):
    runtime.into.mkdir()
    (runtime.into / ".runtime-version").write_text(text)
    assert runtime.get().returncode == 0
    assert runtime.found()["libonnxruntime.so"] == b"library 1.28.0"


@pytest.mark.parametrize("version, told", [("1.28.0", False), ("1.29.0", True)])
def test_telemetry_is_told_of_from_1_29_on(runtime, version, told):
    for _ in range(2):
        done = runtime.get(version)
        assert done.returncode == 0
        assert ("telemetry" in done.stdout and "ORT_DISABLE_TELEMETRY=1" in done.stdout) == told


def test_a_wheel_with_another_hash_is_refused_and_what_was_there_stays(runtime):
    runtime.get("1.28.0")
    runtime.make_wheel("1.29.0", hash_of=b"another wheel")
    done = runtime.get("1.29.0")
    assert done.returncode == 1
    assert sha256(b"another wheel") in done.stderr and "BGE_ORT_LIB" in done.stderr
    assert runtime.found() == {"libonnxruntime.so": b"library 1.28.0", **LICENSES}
    assert runtime.left() == [".runtime-version", "libonnxruntime.so", "licenses"]


def test_a_wheel_without_a_hash_is_refused(runtime):
    runtime.requirements("1.28.0").write_text("onnxruntime==1.28.0\n")
    assert runtime.get().returncode == 1
    assert runtime.found() == {}


def test_a_wheel_that_lacks_something(runtime):
    runtime.make_wheel("1.28.0", leave_out="onnxruntime/ThirdPartyNotices.txt")
    done = runtime.get()
    assert done.returncode == 1 and "has no onnxruntime/ThirdPartyNotices.txt in it" in done.stderr
    assert runtime.left() == []


def test_a_version_without_hashes_lists_those_that_have(runtime):
    done = runtime.run(runtime.command("get_runtime.py", "--version", "1.2.3", "--into", runtime.into))
    assert done.returncode == 1
    assert "no SHA-256 for onnxruntime 1.2.3" in done.stderr and "1.28.0" in done.stderr and "1.32.0" in done.stderr
    assert not runtime.into.exists()


@pytest.mark.parametrize("version", ["1", "1.28", "latest", "../1.28.0"])
def test_a_version_that_is_none(runtime, version):
    done = runtime.run(runtime.command("get_runtime.py", "--version", version, "--into", runtime.into))
    assert done.returncode == 2 and f"'{version}'" in done.stderr


def test_a_python_without_pip_is_said_with_the_way_out(runtime, bin):
    python = executable(bin / "bare-python", "#!/bin/sh\necho No module named pip >&2\nexit 1\n")
    done = runtime.get("1.28.0", "--python", python)
    assert done.returncode == 1 and f"{python} has no pip" in done.stderr and "-m venv" in done.stderr
    done = runtime.get("1.28.0", "--python", "/nowhere/python")
    assert done.returncode == 1 and "/nowhere/python cannot be run" in done.stderr
    assert runtime.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_the_old_version_whole(runtime, bin, tmp_path, number):
    runtime.get("1.28.0")
    started = tmp_path / "pip-started"
    python = executable(bin / "slow-python", f"#!/bin/sh\n[ \"$3\" = --version ] && exit\ntouch {started}\nexec sleep 60\n")
    process = runtime.start(runtime.command_for("1.29.0", "--python", python))
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "interrupted; nothing half-made is left\n")
    assert runtime.found() == {"libonnxruntime.so": b"library 1.28.0", **LICENSES}
    assert runtime.left() == [".runtime-version", "libonnxruntime.so", "licenses"]


needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="not run: onnxruntime-gpu is for x86_64 only")


@needs_x86
def test_the_gpu_library_comes_with_its_providers_and_goes_with_them(runtime):
    runtime.make_wheel("1.29.0", package=GPU)
    done = runtime.get("1.29.0", "--gpu")
    assert done.returncode == 0, done.stderr
    assert runtime.left() == [".runtime-version", "libonnxruntime.so", *PROVIDERS, "licenses"]
    assert all(os.access(runtime.into / name, os.X_OK) for name in PROVIDERS)
    assert json.loads((runtime.into / ".runtime-version").read_text())["package"] == GPU
    assert runtime.get("1.29.0", "--gpu", "--python", "/nowhere/python").returncode == 0
    (runtime.into / PROVIDERS[0]).unlink()
    assert "with pip" in runtime.get("1.29.0", "--gpu").stdout
    # The other library of the same version takes their place.
    runtime.make_wheel("1.29.0")
    assert runtime.get("1.29.0").returncode == 0
    assert runtime.left() == [".runtime-version", "libonnxruntime.so", "licenses"]


@needs_x86
def test_a_gpu_wheel_without_a_provider_is_refused(runtime):
    runtime.make_wheel("1.29.0", package=GPU, leave_out=f"onnxruntime/capi/{PROVIDERS[0]}")
    done = runtime.get("1.29.0", "--gpu")
    assert done.returncode == 1 and f"has no onnxruntime/capi/{PROVIDERS[0]} in it" in done.stderr
    assert runtime.left() == []


def test_a_gpu_version_without_hashes_lists_those_that_have(runtime):
    done = runtime.run(runtime.command("get_runtime.py", "--version", "1.32.0", "--gpu", "--into", runtime.into))
    assert done.returncode == 1
    assert "no SHA-256 for onnxruntime-gpu 1.32.0; known are 1.28.0" in done.stderr


def test_what_a_killed_run_left_is_removed(runtime):
    process = subprocess.Popen(["true"])
    process.wait()
    (runtime.into / f".runtime-partial-{process.pid}").mkdir(parents=True)
    (runtime.into / f".runtime-partial-{os.getpid()}").mkdir()
    runtime.get()
    assert [name for name in runtime.left() if "partial" in name] == [f".runtime-partial-{os.getpid()}"]


def test_a_folder_that_may_not_be_written_is_a_plain_message(runtime):
    runtime.into = Path("/sys/bge-test") if os.geteuid() == 0 else runtime.into
    if os.geteuid():
        runtime.into.mkdir(mode=0o555)
    done = runtime.get()
    assert done.returncode == 1 and "may not be written" in done.stderr


@pytest.mark.parametrize("version", ["1.28.0", "1.32.0"])
def test_the_shipped_requirements_pin_one_version_with_eight_wheels(version):
    files = [path for path in SCRIPTS.glob("requirements-runtime*.txt") if f"onnxruntime=={version} " in path.read_text()]
    assert len(files) == 1
    hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})\b", files[0].read_text())
    assert len(set(hashes)) == len(hashes) == 8
    assert len(re.findall(r"^onnxruntime==", files[0].read_text(), re.MULTILINE)) == 1


def test_this_python_has_pip():
    """Or nothing above has tried anything."""
    assert subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0
