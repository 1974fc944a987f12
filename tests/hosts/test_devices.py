"""Devices, as far as a machine without a GPU shows them: what cannot be had is an error with the runtime's
words, `auto` goes on with the CPU and says why, and bge_info tells which provider runs the nodes.

With BGE_TEST_GPU_LIB=/path/to/libonnxruntime.so of the onnxruntime-gpu wheel (its providers beside it) the
last tests run too; on a machine with CUDA they are not meant to pass.
"""

import json
import os

import pytest
from support import TINY, embed, failure, load, loaded, run_python, value

NOT_IN_BUILD = "execution provider is not enabled in this build."


def refusal(db, name, **options):
    return str(failure(db, "SELECT bge_load(?, ?, ?)", name, TINY, json.dumps(options)))


def test_the_cpu_runs_all_nodes_and_has_no_reason(db, name):
    load(db, name, device="cpu", encoder="graph")
    device = loaded(db)[name]["device"]
    assert (device["asked"], device["got"], device["reason"]) == ("cpu", "cpu", None)
    assert list(device["nodes"]) == ["CPUExecutionProvider"] and device["nodes"]["CPUExecutionProvider"] > 20
    assert value(db, "SELECT device FROM bge_models WHERE name = ?", name) == "cpu"


def test_auto_goes_on_with_the_cpu_and_keeps_the_runtimes_words(db, name):
    load(db, name)
    device = loaded(db)[name]["device"]
    assert (device["asked"], device["got"]) == ("auto", "cpu")
    assert device["reason"] == f"CUDA {NOT_IN_BUILD}"
    assert value(db, "SELECT device FROM bge_models WHERE name = ?", name) == "cpu"


def test_auto_leaves_int8_to_the_cpu(db, name):
    load(db, name, precision="int8")
    assert loaded(db)[name]["device"]["reason"] == "int8 is made for CPUs"


@pytest.mark.parametrize("device, provider", [
    ("cuda", "CUDA"), ("cuda:0", "CUDA"), ("cuda:7", "CUDA"), ("tensorrt", "TensorRT"), ("tensorrt:3", "TensorRT")])
def test_a_device_that_cannot_be_had_is_an_error_with_the_runtimes_words(db, name, device, provider):
    message = refusal(db, name, device=device)
    assert f"device '{device}' cannot be had: {provider} {NOT_IN_BUILD}" in message
    assert "docs/GPU.md" in message and name not in loaded(db)


def test_what_was_loaded_stays(db, name):
    load(db, name)
    before = embed(db, "reset", name)
    refusal(db, name, device="cuda")
    assert embed(db, "reset", name) == before


@pytest.mark.parametrize("device", ["gpu", "CUDA", "cuda:", "cuda:-1", "cuda:1000", "cpu:0", "npu", "rocm", "", 0, None, ["cuda"]])
def test_a_device_that_is_none_is_an_error_that_lists_them(db, name, device):
    message = refusal(db, name, device=device)
    assert "option device is" in message and "known are device ('auto', 'cpu', 'cuda' or 'tensorrt'" in message


@pytest.mark.parametrize("options", [
    {"gpu_mem_mb": 63}, {"gpu_mem_mb": "1024"}, {"gpu_mem_mb": 2**21}, {"arena_extend": "double"}, {"tf32": 1}, {"tf32": "on"},
    {"cuda_graph": 1}, {"trt_cache": "relative"}, {"trt_cache": True}])
def test_options_of_gpus_that_are_wrong(db, name, options):
    message = refusal(db, name, **options)
    assert f"option {next(iter(options))} is" in message and "trt_cache ('off' or an absolute folder)" in message


@pytest.mark.parametrize("options", [{"gpu_mem_mb": 1024}, {"arena_extend": "requested"}, {"tf32": True}, {"tf32": False}])
def test_options_of_gpus_are_refused_with_the_cpu_and_taken_with_auto(db, name, options):
    assert f"option {next(iter(options))} is for GPUs" in refusal(db, name, device="cpu", **options)
    load(db, name, **options)
    assert loaded(db)[name]["device"]["got"] == "cpu"


def test_options_that_can_have_no_effect(db, name):
    assert "not supported" in refusal(db, name, cuda_graph=True)
    assert "for device 'tensorrt'" in refusal(db, name, device="cuda", trt_cache="/tmp/engines")
    assert "made for CPUs" in refusal(db, name, device="cuda", precision="int8")
    assert load(db, name, cuda_graph=False, trt_cache="off") == name


@pytest.mark.parametrize("device, words", [("cuda:1", NOT_IN_BUILD), ("gpu", "known are device")])
def test_bge_device_says_which_variable_or_device(device, words):
    out = run_python("print(failure(connect(), 'SELECT bge_embed(?)', 'reset'))",
                     env={"BGE_DEVICE": device, "BGE_MODEL": TINY})
    assert words in out and ("$BGE_DEVICE" in out or "'cuda:1'" in out)


# --- a GPU's library on a machine without a GPU --------------------------------------------------

GPU_LIB = os.environ.get("BGE_TEST_GPU_LIB")
gpu_lib = pytest.mark.skipif(not GPU_LIB, reason="not run: BGE_TEST_GPU_LIB does not name a GPU library")


@gpu_lib
def test_a_gpu_library_without_cuda_runs_on_the_cpu_and_says_what_is_missing():
    device = json.loads(run_python("""
db = connect()
load(db, "a")
embed(db, "reset", "a")
print(json.dumps(loaded(db)["a"]["device"]))
""", env={"BGE_ORT_LIB": GPU_LIB}))
    assert device["got"] == "cpu" and list(device["nodes"]) == ["CPUExecutionProvider"]
    assert "Failed to load library" in device["reason"] and "cannot open shared object file" in device["reason"]


@gpu_lib
@pytest.mark.parametrize("device", ["cuda", "cuda:7", "tensorrt"])
def test_a_gpu_library_without_cuda_is_an_error_where_a_gpu_is_asked_for(device):
    out = run_python(f"print(failure(connect(), 'SELECT bge_load(?, ?, ?)', 'a', TINY, json.dumps(dict(device='{device}'))))",
                     env={"BGE_ORT_LIB": GPU_LIB})
    assert f"device '{device}' cannot be had: " in out and "Failed to load library" in out
