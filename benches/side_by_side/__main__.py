"""sqlite-bge beside its peers, each in a process of its own, interleaved; medians. Figures as JSON.

    .venv/bin/python benches/side_by_side [--only PART]... [--side SIDE]... [--quick] [--dist FOLDER]

Parts: bulk, one, cold, memory, accuracy, search. A part that is measured replaces that part of the JSON file and
leaves the others, so that parts can be measured one after the other. `publish.py` makes the section of
docs/BENCHMARKS.md and the pictures from it. Peers that are not installed (`make bench-peers`) are left out by
name. This program imports only the standard library: see data.py.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import search_worker
import sides
import works

FULL = {"rounds": 5, "sentences": 2_000, "paragraphs": 500, "long": 64, "singles": 300, "starts": 15,
        "descriptions": 5_000, "queries": 500, "vectors": [200_000, 1_000_000], "real": 20_000, "asked": 20, "firsts": 5}
QUICK = {"rounds": 1, "sentences": 24, "paragraphs": 4, "long": 2, "singles": 10, "starts": 1,
         "descriptions": 60, "queries": 10, "vectors": [2_000], "real": 0, "asked": 5, "firsts": 1}
TEXTS = ("sentences", "paragraphs", "long", "singles", "descriptions", "queries")


def machine():
    """One line for the reports: CPU, what it can, cores."""
    with open("/proc/cpuinfo") as file:
        lines = file.read().splitlines()
    name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    flags = set(next(line for line in lines if line.startswith("flags")).split())
    known = {"avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx512_bf16": "BF16", "amx_tile": "AMX"}
    simd = " ".join(word for flag, word in known.items() if flag in flags) or ("AVX2" if "avx2" in flags else "no AVX2")
    return f"{name} ({simd}), {len(os.sched_getaffinity(0))} cores"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=works.PARTS, help="a part; may be given more than once")
    parser.add_argument("--side", action="append", choices=[*sides.SIDES, *search_worker.SEARCHES],
                        help="a side; may be given more than once")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the program: its figures say nothing")
    parser.add_argument("--scale", type=float, default=1.0, help="this part of the texts")
    parser.add_argument("--rounds", type=int, help=f"rounds of bulk ({FULL['rounds']})")
    parser.add_argument("--starts", type=int, help=f"starts of cold ({FULL['starts']})")
    parser.add_argument("--vectors", help="rows of search, separated by commas (200000,1000000)")
    parser.add_argument("--dist", type=pathlib.Path, default=pathlib.Path(os.environ.get("BGE_DIST", ROOT / "dist")),
                        help="the folder of the library (BGE_DIST, or dist/); its models/, or else those of dist/, are used")
    parser.add_argument("--peers", type=pathlib.Path, default=ROOT / "target/peers", help="the peers' environment")
    parser.add_argument("--json", type=pathlib.Path, help="the file of the figures (target/side-by-side.json)")
    return parser.parse_args()


def sizes_of(chosen):
    sizes = dict(QUICK if chosen.quick else FULL)
    for name in TEXTS:
        sizes[name] = max(1, round(sizes[name] * chosen.scale))
    if chosen.rounds:
        sizes["rounds"] = chosen.rounds
    if chosen.starts:
        sizes["starts"] = chosen.starts
    if chosen.vectors:
        sizes["vectors"] = [int(rows) for rows in chosen.vectors.split(",")]
    return sizes


def places_of(chosen):
    """The folders that the sides are told of. The peers' forms of the model are made where their environment is."""
    dist = chosen.dist.resolve()
    if not (dist / "libbge.so").is_file():
        raise SystemExit(f"{dist} has no libbge.so: `make build` makes it, or name its folder with --dist")
    folders = [folder / "models" / sides.MODEL for folder in (dist, ROOT / "dist")]
    model = next((folder for folder in folders if (folder / "onnx/model.onnx").is_file()), None)
    if model is None:
        raise SystemExit(f"neither {folders[0]} nor {folders[1]} has the model: `make model` gets it")
    made, python = ROOT / "target/bench-cache/peer-models", chosen.peers / "bin/python"
    if python.exists() and not made.exists():
        subprocess.run([str(python), str(HERE / "peer_models.py"), str(model), str(made)], check=True)
    return {"dist": str(dist), "model": str(model), "peer_models": str(made)}


def environment(places, logs):
    """No variable of the user changes what is measured, and nobody looks for news of the model."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("BGE_", "ORT_", "OMP_", "HF_"))}
    return {**env, **sides.OFFLINE, "BENCH_LOGS": logs, "BGE_DIST": places["dist"],
            "BGE_MODELS": str(pathlib.Path(places["model"]).parent)}


def main():
    chosen = arguments()
    file = chosen.json or ROOT / "target" / ("side-by-side-quick.json" if chosen.quick else "side-by-side.json")
    figures = json.loads(file.read_text()) if file.exists() else {"parts": {}}
    figures["machine"] = machine()
    places = places_of(chosen)
    (ROOT / "target").mkdir(exist_ok=True)
    print(f"{figures['machine']}; load average {os.getloadavg()[0]:.2f}; {places['dist']}", flush=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "target", prefix="side-by-side-") as logs:
        pythons = {"own": sys.executable, "peers": str(chosen.peers / "bin/python")}
        bench = works.Bench(sizes_of(chosen), set(chosen.side or ()), places, pythons, environment(places, logs))
        for part in chosen.only or works.PARTS:
            begun, bench.versions, bench.missing = time.monotonic(), {}, {}
            measured = works.measured(bench, part)
            measured |= {"versions": bench.versions, "missing": bench.missing, "quick": chosen.quick}
            figures["parts"][part] = measured
            file.write_text(json.dumps(figures, indent=1) + "\n")
            print(f"  {time.monotonic() - begun:.0f} s", flush=True)
            bench.close()
    print(f"figures: {file}")


if __name__ == "__main__":
    main()
