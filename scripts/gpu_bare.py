"""The bare ONNX Runtime through its C interface: how many tokens a second a graph gives, with inputs in the
host's memory and the output left on the device. A process of its own for each graph (see scripts/gpu-check).

    python3 gpu_bare.py LIBRARY MODEL DEVICE TOKENS MAX_TOKENS SECONDS    ->  one line of JSON
"""

import array
import ctypes
import json
import os
import sys
import time

# Places in OrtApi; the table only grows at its end, so they hold for every version from 1.17 on.
SLOTS = {
    "GetErrorMessage": 2, "CreateEnv": 3, "CreateSession": 7, "CreateSessionOptions": 10,
    "SetSessionGraphOptimizationLevel": 23, "CreateTensorWithDataAsOrtValue": 49, "CreateMemoryInfo": 68,
    "CreateRunOptions": 39, "RunWithBinding": 133, "CreateIoBinding": 134, "BindInput": 136,
    "BindOutputToDevice": 138, "SynchronizeBoundOutputs": 203, "SessionOptionsAppendExecutionProvider_CUDA_V2": 204,
    "CreateCUDAProviderOptions": 205, "UpdateCUDAProviderOptions": 206, "ReleaseValue": 96, "ReleaseIoBinding": 135,
}
API, INT64 = 17, 7
Pointer = ctypes.c_void_p


class Runtime:
    def __init__(self, library):
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        base = ctypes.CDLL(library)
        base.OrtGetApiBase.restype = ctypes.POINTER(Pointer)
        get = ctypes.CFUNCTYPE(Pointer, ctypes.c_uint32)(base.OrtGetApiBase()[0])
        self.table = ctypes.cast(get(API), ctypes.POINTER(Pointer))

    def call(self, name, *arguments):
        kinds = [Pointer] * len(arguments)
        status = ctypes.CFUNCTYPE(Pointer, *kinds)(self.table[SLOTS[name]])(*arguments)
        if status and not name.startswith("Release"):
            message = ctypes.CFUNCTYPE(ctypes.c_char_p, Pointer)(self.table[SLOTS["GetErrorMessage"]])(status)
            raise RuntimeError(f"{name}: {message.decode(errors='replace')}")

    def make(self, name, *arguments):
        out = Pointer()
        self.call(name, *arguments, ctypes.byref(out))
        return out


class Bare:
    def __init__(self, library, model, device):
        self.ort = ort = Runtime(library)
        self.env = ort.make("CreateEnv", 3, b"bare")
        options = ort.make("CreateSessionOptions")
        ort.call("SetSessionGraphOptimizationLevel", options, 99)
        kind, _, number = device.partition(":")
        if kind == "cuda":
            cuda = ort.make("CreateCUDAProviderOptions")
            keys = (ctypes.c_char_p * 2)(b"device_id", b"use_tf32")
            values = (ctypes.c_char_p * 2)((number or "0").encode(), b"0")
            ort.call("UpdateCUDAProviderOptions", cuda, ctypes.cast(keys, Pointer), ctypes.cast(values, Pointer), 2)
            ort.call("SessionOptionsAppendExecutionProvider_CUDA_V2", options, cuda)
        place = b"Cuda" if kind == "cuda" else b"Cpu"
        self.session = ort.make("CreateSession", self.env, str(model).encode(), options)
        self.cpu = ort.make("CreateMemoryInfo", b"Cpu", 0, 0, 0)
        self.device = ort.make("CreateMemoryInfo", place, 0, int(number or 0) if kind == "cuda" else 0, 0)
        self.run_options = ort.make("CreateRunOptions")

    def tokens_per_second(self, batch, tokens, seconds):
        ort = self.ort
        binding = ort.make("CreateIoBinding", self.session)
        shape, kept = (ctypes.c_int64 * 2)(batch, tokens), []
        for name, value in ((b"input_ids", 2009), (b"attention_mask", 1), (b"token_type_ids", 0)):
            numbers = array.array("q", [value]) * (batch * tokens)
            start, _ = numbers.buffer_info()
            tensor = ort.make("CreateTensorWithDataAsOrtValue", self.cpu, start, 8 * len(numbers),
                              ctypes.cast(shape, Pointer), 2, INT64)
            ort.call("BindInput", binding, name, tensor)
            kept.append((numbers, tensor))
        ort.call("BindOutputToDevice", binding, b"last_hidden_state", self.device)

        def run():
            ort.call("RunWithBinding", self.session, self.run_options, binding)
            ort.call("SynchronizeBoundOutputs", binding)

        run()
        start, runs = time.perf_counter(), 0
        while time.perf_counter() - start < seconds or runs < 2:
            run()
            runs += 1
        rate = runs * batch * tokens / (time.perf_counter() - start)
        ort.call("ReleaseIoBinding", binding)
        for _, tensor in kept:
            ort.call("ReleaseValue", tensor)
        return rate


def main():
    library, model, device, tokens, most, seconds = sys.argv[1:7]
    tokens, most, seconds = int(tokens), int(most), float(seconds)
    bare, batch, best = Bare(library, model, device), 1, {"tokens_per_second": 0.0}
    while batch * tokens <= most or batch == 1:
        try:
            rate = bare.tokens_per_second(batch, tokens, seconds)
        except RuntimeError as error:
            best["stopped"] = f"batch {batch}: {error}"
            break
        if rate > best["tokens_per_second"]:
            best.update(tokens_per_second=rate, batch=batch)
        batch *= 4
    print(json.dumps(best))


if __name__ == "__main__":
    main()
