"""The whole library as other CPUs run it: the machine's sqlite3 under qemu's user-mode emulation.

What a kernel gives on AVX-512, on AVX2 and without either must round to the same printed figure, and a
CPU that lacks an instruction must never meet it. An emulated model takes some ten seconds.
"""

import platform
import re
import shutil

import pytest
from support import run, shell_command

QEMU = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
LOADER = "/lib64/ld-linux-x86-64.so.2"
SHOWN = "bge_cosine(bge_embed('embedding', '{0}'), bge_embed('I love machine learning and nlp', '{0}'))"
FP32 = 0.604624  # FlagEmbedding's, see test_reference.py

# The levels of the x86-64 ABI that a program sees there: Nehalem has SSE4.2, Haswell AVX2 and FMA.
# `max` is whatever this qemu can emulate.
CPUS = {"qemu64": {1}, "Nehalem": {1, 2}, "Haswell": {1, 2, 3}, "max": {1, 2, 3}}
# How far the cosine may be from FlagEmbedding's. fp32's is what rounds to the documented 0.60462.
# Emulated CPUs have no VNNI, so int8 has seven-bit weights there.
PRECISIONS = {"fp32": 4e-6, "int8": 0.02}
# Emulation is slow: what is not the default runs on the least CPU and on the first with AVX2.
CASES = [(cpu, "fp32") for cpu in CPUS] + [(cpu, p) for p in PRECISIONS if p != "fp32" for cpu in ("qemu64", "Haswell")]

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason=f"not run: the library here is for {platform.machine()}"),
    pytest.mark.skipif(QEMU is None, reason="not run: qemu-x86_64-static is missing here; scripts/setup.sh qemu says more"),
]


def emulated(cpu, *command, timeout=180):
    """Runs a program as `cpu`; its stdout. It must end well and say nothing but qemu's warnings of features."""
    done = run([QEMU, "-cpu", cpu, shutil.which(command[0]), *command[1:]], timeout=timeout)
    said = [line for line in done.stderr.splitlines() if ": warning: TCG doesn't support requested feature" not in line]
    assert (done.returncode, said) == (0, []), f"{cpu}: {done.returncode}, {said}"
    return done.stdout


@pytest.mark.parametrize("cpu", CPUS)
def test_programs_see_the_cpu_that_is_named(cpu):
    """Else the tests below would say nothing of other CPUs."""
    levels = re.findall(r"x86-64-v(\d) \(supported", emulated(cpu, LOADER, "--help"))
    assert {1, *map(int, levels)} == CPUS[cpu]


@pytest.mark.parametrize("cpu, precision", CASES)
def test_the_tutorial_cosine(cpu, precision):
    statements = ["SELECT bge_load('here', 'bge-small-en-v1.5', '{\"precision\": \"%s\"}') IS NULL" % precision,
                  f"SELECT {SHOWN.format('here')}"]
    _, cosine = emulated(cpu, *shell_command(*statements)).splitlines()
    assert float(cosine) == pytest.approx(FP32, abs=PRECISIONS[precision])
    if precision == "fp32":
        assert f"{float(cosine):.5f}" == "0.60462"
