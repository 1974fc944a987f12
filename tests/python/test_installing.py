"""The wheel in a clean environment, as somebody without a compiler installs it; and what the packages carry."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import support

PYTHON = os.path.realpath(sys.executable)


def wheel(name):
    found = list(support.DIST.glob(f"{name}-*.whl"))
    assert len(found) == 1, found
    return found[0]


FIVE_LINES = f"""\
import {{module}} as sqlite3, sqlite_bge
db = sqlite3.connect(":memory:")
sqlite_bge.load(db)
query = {support.GOLDEN[0]!r}
print(db.execute(query).fetchone()[0])
"""


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A fresh environment with the wheel and pysqlite3, made with nothing but Python's folder and the system's in PATH."""
    folder = tmp_path_factory.mktemp("clean")
    env = support.environment(PATH="/usr/bin:/bin", HOME=str(folder), BGE_MODELS=str(support.MODELS))
    assert subprocess.run(["sh", "-c", "command -v cargo rustc"], env=env).returncode, "Rust is on this PATH"
    support.run(PYTHON, "-m", "venv", folder / "venv")
    pip = [folder / "venv/bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    support.run(*pip, "install", "-c", support.ROOT / "tests/python/requirements.txt", wheel("sqlite_bge"), env=env)
    return folder / "venv", pip, env


def test_install_five_lines_and_uninstall(clean, tmp_path):
    venv, pip, env = clean
    script = tmp_path / "five.py"
    script.write_text(FIVE_LINES.format(module="sqlite3"))
    assert support.run(venv / "bin/python", script, env=env).stdout == "0.60462\n"
    assert "It works" in support.run(venv / "bin/sqlite-bge", "info", env=env).stdout
    support.run(*pip, "install", "-c", support.ROOT / "tests/python/requirements.txt", "pysqlite3-binary==0.5.4.post2", env=env)
    script.write_text(FIVE_LINES.format(module="pysqlite3"))
    assert support.run(venv / "bin/python", script, env=env).stdout == "0.60462\n"
    assert any(path.name == "sqlite_bge" for path in venv.rglob("*"))
    support.run(*pip, "uninstall", "--yes", "sqlite-bge", env=env)
    assert [path for path in venv.rglob("*") if "sqlite_bge" in path.name or "sqlite-bge" in path.name] == []


def test_the_library_opens_nothing_to_a_datasette():
    """The wheel of the library has no entry point of Datasette; that one is a wheel of its own."""
    with zipfile.ZipFile(wheel("sqlite_bge")) as archive:
        entry_points = next(archive.read(n).decode() for n in archive.namelist() if n.endswith("entry_points.txt"))
    assert "datasette" not in entry_points and "sqlite_utils" in entry_points and "llm" in entry_points


def test_the_manifest_has_every_package_and_all_carry_the_same_libraries():
    manifest = json.loads((support.DIST / "manifest.json").read_text())["packages"]
    there = {p.name for p in support.DIST.iterdir() if p.name.endswith((".whl", ".tgz", ".tar.gz"))}
    assert set(manifest) == there and len(there) >= 3
    for name, facts in manifest.items():
        content = (support.DIST / name).read_bytes()
        assert (facts["bytes"], facts["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    carried = [tuple(sorted(facts["libraries"].items())) for facts in manifest.values() if facts["libraries"]]
    assert len(carried) >= 2 and len(set(carried)) == 1


def test_the_libraries_need_no_newer_glibc_than_the_tag_says(tmp_path):
    with zipfile.ZipFile(wheel("sqlite_bge")) as archive:
        for name in ("libbge.so", "libonnxruntime.so"):
            archive.extract(f"sqlite_bge/{name}", tmp_path)
            said = support.run("objdump", "-T", tmp_path / "sqlite_bge" / name).stdout
            wanted = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([0-9.]+)", said)}
            assert wanted and max(wanted) <= (2, 28), (name, max(wanted))


def test_licences_of_everything_are_in_every_package():
    with zipfile.ZipFile(wheel("sqlite_bge")) as archive:
        texts = {Path(n).name: archive.read(n).decode() for n in archive.namelist() if "licenses/" in n}
    with tarfile.open(next(support.DIST.glob("sqlite-bge-*.tar.gz"))) as tar:
        assert {Path(m.name).name for m in tar if m.isfile() and "/licenses/" in m.name} <= set(texts)
    assert {"LICENSE-MIT", "LICENSE-APACHE", "LICENSE", "ThirdPartyNotices.txt", "rust-crates.txt"} <= set(texts)
    lock = (support.ROOT / "Cargo.lock").read_text()
    for crate in ("tokenizers", "ort", "serde_json", "sqlite-loadable", "ndarray"):
        version = re.search(rf'name = "{crate}"\nversion = "([^"]+)"', lock).group(1)
        assert f"\n{crate} {version}: " in texts["rust-crates.txt"]
    assert "proptest" not in texts["rust-crates.txt"]  # it tests and is not compiled in


def test_the_tar_works_with_the_sqlite_shell(tmp_path):
    with tarfile.open(next(support.DIST.glob("sqlite-bge-*.tar.gz"))) as tar:
        tar.extractall(tmp_path)
    folder = next(tmp_path.iterdir())
    said = support.run("sqlite3", ":memory:", f".load {folder}/libbge", support.GOLDEN[0] + ";").stdout
    assert said == f"{support.GOLDEN[1]}\n"


def test_the_extra_gpu_is_the_runtime_that_the_wheel_was_made_with():
    makefile = (support.ROOT / "Makefile").read_text()
    version = re.search(r"^ORT \?= (\S+)", makefile, re.MULTILINE).group(1)
    assert f'gpu = ["onnxruntime-gpu=={version}"]' in (support.ROOT / "packages/python/pyproject.toml").read_text()
