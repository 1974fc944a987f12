"""scripts/gpu-prepare and scripts/gpu-check from preparation to report, on the CPU: one shape of one layer."""

import re
import subprocess
import sys

import pytest
from support import DIST, ROOT, run

SCRIPTS = ROOT / "scripts"
FEW = ("--shapes", "small", "--lengths", "16,32", "--tokens", "256")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu") / "prepared"
    done = run([sys.executable, SCRIPTS / "gpu-prepare", "--into", folder, "--dist", DIST, "--without-model"])
    assert done.returncode == 0, done.stderr
    return folder


def check(folder, *arguments):
    return run([folder / "gpu-check", *arguments], timeout=170)


def test_the_parts_are_small_and_have_sums(prepared):
    parts = sorted(path for path in prepared.iterdir() if path.name.startswith("part-"))
    assert parts and all(path.stat().st_size < 60 << 20 for path in prepared.iterdir())
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=prepared).returncode == 0
    assert len((prepared / "SHA256SUMS").read_text().splitlines()) == len(parts)


def test_a_dry_run_goes_from_preparation_to_report(prepared, tmp_path):
    done = check(prepared, "--dry-run", *FEW, "--report", tmp_path / "report.md", "--work", tmp_path / "work")
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    report = (tmp_path / "report.md").read_text()
    assert report in done.stdout and report.endswith("All checks passed.\n")
    assert "figures say nothing of a GPU" in report and "got cpu" in report
    rows = re.findall(r"^\| small \| (fp32|fp16) \| (16|32) \| (\d+) \| (\d+) \| (\d+) \((\d+)\)", report, re.MULTILINE)
    assert [row[:2] for row in rows] == [("fp32", "16"), ("fp32", "32"), ("fp16", "16"), ("fp16", "32")]
    assert all(int(number) > 0 for row in rows for number in row[2:])


def test_without_a_gpu_it_fails_with_the_runtimes_reason(prepared, tmp_path):
    done = check(prepared, *FEW, "--work", tmp_path / "work", "--device", "cuda:0")
    assert done.returncode == 1
    assert "FAILED: random small: fp32 loads on cuda:0" in done.stdout and "device 'cuda:0' cannot be had: " in done.stdout


@pytest.mark.parametrize("damage, words", [("cut", "part-000 is damaged"), ("gone", "part-000 is missing"), ("bit", "part-000 is damaged")])
def test_a_damaged_part_is_named(prepared, tmp_path, damage, words):
    folder = tmp_path / "copy"
    run(["cp", "-r", prepared, folder])
    part = folder / "part-000"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.unlink() if damage == "gone" else part.write_bytes(content if damage == "bit" else content[:-1000])
    done = check(folder, "--dry-run", *FEW)
    assert done.returncode == 1 and words in done.stderr and not (folder / "unpacked" / ".unpacked").exists()


def test_wrong_arguments(prepared, tmp_path):
    for arguments, words in ((["--shapes", "huge"], "known are small, base, large"), (["--device", "tensorrt"], "wanted is one like cuda:0"),
                             (["--folder", tmp_path], "has no SHA256SUMS")):
        done = check(prepared, "--dry-run", *arguments)
        assert done.returncode == 2 and words in done.stderr
    done = run([sys.executable, SCRIPTS / "gpu-prepare", "--into", prepared])
    assert done.returncode == 2 and "is not empty" in done.stderr
    done = run([sys.executable, SCRIPTS / "gpu-prepare", "--into", tmp_path / "new", "--dist", tmp_path])
    assert done.returncode == 1 and "make build GPU=1" in done.stderr
