"""The works that the sides are compared in. Each function takes a Bench and gives what stands in the JSON.

Rounds are interleaved: every side once, then every side again, beginning with another one each time.
"""

import json
import os
import pathlib
import statistics
import subprocess
import time

import processes
import search_worker
import sides
from processes import Unavailable

SHOWN_TEXT = "How do I reset the device to its factory settings?"
TOKENS = 16
SLOW_STARTS = 15.0  # seconds; a side that has used them up is not started more than three times


class Bench:
    """What one call of the program measures with: sizes, sides, places, and the processes that are up."""

    def __init__(self, sizes, wanted, places, pythons, env):
        self.sizes, self.wanted, self.places, self.pythons, self.env = sizes, wanted, json.dumps(places), pythons, env
        self.dist, self.up, self.versions, self.missing = places["dist"], {}, {}, {}

    def data(self, what, *numbers):
        return processes.printed(["data.py", what, self.places, *numbers], self.env)

    def chosen(self, known):
        return [side for side in known if not self.wanted or side in self.wanted]

    def python(self, side):
        """The interpreter of a side, or why there is none."""
        python = self.pythons["peers" if sides.SIDES[side][1] else "own"]
        if not pathlib.Path(python).exists():
            raise Unavailable("its environment is not installed: `make bench-peers`")
        return python

    def note(self, side, error):
        if self.missing.get(side) != str(error):
            self.missing[side] = str(error)
            say(f"  {side}: {error}")

    def start(self, side):
        process = processes.Process(self.python(side), "worker.py", side, self.places, env=self.env)
        self.versions |= process.versions
        return process

    def workers(self, also=()):
        """{side: process} of the sides that can be had, all of them up."""
        for side in dict.fromkeys([*self.chosen(sides.SIDES), *also]):
            if side not in self.up and side not in self.missing:
                try:
                    self.up[side] = self.start(side)
                except Unavailable as error:
                    self.note(side, error)
        return dict(self.up)

    def close(self):
        for process in self.up.values():
            process.close()
        self.up = {}


def say(line):
    print(line, flush=True)


def turns(names, rounds):
    """Every name `rounds` times, in turn; (round, name)."""
    names = list(names)
    for turn in range(rounds):
        shift = turn % len(names)
        yield from ((turn, name) for name in names[shift:] + names[:shift])


def bulk(bench):
    """Texts a second of whole tables."""
    sizes, works = bench.sizes, {}
    workers = bench.workers()
    for name, texts in bench.data("bulk", sizes["sentences"], sizes["paragraphs"], sizes["long"]).items():
        times = {side: [] for side in workers}
        for turn, side in turns(workers, sizes["rounds"] + 1):
            seconds = workers[side].ask("bulk", texts=texts["file"])["seconds"]
            if turn:  # the first round makes the processes' memory
                times[side].append(seconds)
        rates = {side: texts["texts"] / statistics.median(of) for side, of in times.items()}
        works[name] = {"texts": texts["texts"], "tokens": texts["tokens"],
                       "sides": {side: {"texts_per_second": rate, **against(rates, side), **spread(times[side], texts["texts"])}
                                 for side, rate in rates.items()}}
        for side, rate in rates.items():
            say(f"  {name}, {side}: {rate:.1f} texts/s{ratio(rates, side)}")
    return {"rounds": sizes["rounds"], "works": works}


def spread(times, texts):
    """The slowest and the fastest round: where they are far apart, something else was running."""
    return {"slowest": texts / max(times), "fastest": texts / min(times)}


def against(figures, side):
    """The figure (a speed or a time) as times the base's, where the base was measured in the same run."""
    return {"times_base": figures[side] / figures[sides.BASE]} if sides.BASE in figures else {}


def ratio(figures, side):
    return f", {figures[side] / figures[sides.BASE]:.2f} times {sides.BASE}" if sides.BASE in figures else ""


def one(bench):
    """Milliseconds of one text of 16 tokens, another one each time, in a warm process."""
    workers, rounds, portion = bench.workers(), max(1, bench.sizes["singles"] // 20), min(20, bench.sizes["singles"])
    times, texts = {side: [] for side in workers}, bench.data("words", rounds * portion, TOKENS)
    for turn, side in turns(workers, rounds):
        some = texts[turn * portion:(turn + 1) * portion]
        times[side] += workers[side].ask("each", texts=some)["seconds"]
    figures = {}
    for side, of in times.items():
        middle, high = statistics.median(of), sorted(of)[int(len(of) * 0.95)]
        figures[side] = {"p50_ms": middle * 1e3, "p95_ms": high * 1e3}
    middles = {side: of["p50_ms"] for side, of in figures.items()}
    for side, of in figures.items():
        of |= against(middles, side)
        say(f"  one text, {side}: p50 {of['p50_ms']:.2f} ms, p95 {of['p95_ms']:.2f} ms{ratio(middles, side)}")
    return {"texts": rounds * portion, "tokens": TOKENS, "sides": figures}


def first_row(bench, side):
    """The command of a user: the sqlite3 shell for sqlite-bge, a Python script for a peer."""
    if not side.startswith("bge-"):
        return [str(bench.python(side)), str(processes.HERE / "cold.py"), side, bench.places, SHOWN_TEXT]
    precision, model = side.removeprefix("bge-"), json.loads(bench.places)["model"]
    load, name = [], ""
    if precision != "fp32":
        options = json.dumps({"precision": precision})
        load, name = [f"SELECT bge_load('m', '{model}', '{options}')"], ", 'm'"
    return ["sqlite3", "-batch", "-init", "/dev/null", ":memory:", f'.load "{bench.dist}/libbge"', *load,
            f"SELECT 'first row', length(bge_embed('{SHOWN_TEXT}'{name}))"]


def cold(bench):
    """From starting a program to its first vector, its files in the page cache; and the peak memory of that."""
    times, peaks = {}, {}
    for turn, side in turns(bench.chosen(sides.SIDES), bench.sizes["starts"] + 1):
        if side in bench.missing or (len(times.get(side, ())) >= 3 and sum(times[side]) > SLOW_STARTS):
            continue
        try:
            seconds, peak = processes.started_until(first_row(bench, side), bench.env)
        except Unavailable as error:
            bench.note(side, sides.refusal(str(error)))
            continue
        if turn:  # the first start reads the files into the page cache
            times.setdefault(side, []).append(seconds)
            peaks.setdefault(side, []).append(peak)
    middles, figures = {side: statistics.median(of) * 1e3 for side, of in times.items()}, {}
    for side, middle in middles.items():
        figures[side] = {"ms": middle, "peak_mb": statistics.median(peaks[side]), "starts": len(times[side]),
                         **against(middles, side)}
        say(f"  first row, {side}: {middle:.0f} ms, peak {figures[side]['peak_mb']:.0f} MB{ratio(middles, side)}")
    return {"sides": figures}


def memory(bench):
    """Peak memory of a new process that embeds the sentences."""
    texts, figures = bench.data("bulk", bench.sizes["sentences"], 1, 1)["sentences"], {}
    for side in bench.chosen(sides.SIDES):
        if side in bench.missing:
            continue
        try:
            process = bench.start(side)
        except Unavailable as error:
            bench.note(side, error)
            continue
        process.ask("bulk", texts=texts["file"])
        figures[side] = {"peak_mb": process.ask("peak")["mb"]}
        process.close()
        say(f"  peak memory, {side}: {figures[side]['peak_mb']:.0f} MB")
    return {"texts": texts["texts"], "sides": figures}


def accuracy(bench):
    """Vectors beside FlagEmbedding's, and rankings beside the base's."""
    sizes = bench.sizes
    texts = bench.data("accuracy", sizes["descriptions"], sizes["queries"])
    saved = {}
    for side, process in bench.workers(also=[sides.BASE]).items():
        saved[side] = {name: f"{bench.env['BENCH_LOGS']}/{side}-{name}.npy" for name in texts}
        for name, into in saved[side].items():
            process.ask("save", texts=texts[name]["file"], into=into)
        say(f"  vectors of {side} are there")
    asked = json.dumps({"base": sides.BASE, "sides": saved})
    figures = processes.printed(["compare.py"], bench.env, stdin=asked)
    for side, of in figures.items():
        say(f"  accuracy, {side}: cosine to FlagEmbedding least {of['least_cosine']:.6f}, mean {of['mean_cosine']:.6f}; "
            f"largest difference {of['largest_difference']:.1e}; top-10 overlap {of['overlap']:.4f}")
    return {**{name: of["texts"] for name, of in texts.items()}, "sides": figures}


def search(bench):
    """Vector tables of several sizes: writing, first and warm queries, recall, bytes."""
    return {"sizes": {str(rows): search_of(bench, rows) for rows in bench.sizes["vectors"]}}


def search_of(bench, rows):
    files = json.dumps(bench.data("vectors", rows, bench.sizes["real"]))
    folder = pathlib.Path(bench.env["BENCH_LOGS"]) / f"databases-{rows}"
    folder.mkdir(exist_ok=True)
    arguments, up, figures = (bench.places, files, str(folder)), {}, {}
    for side in bench.chosen(search_worker.SEARCHES):
        try:
            up[side] = processes.Process(bench.pythons["own"], "search_worker.py", side, *arguments, env=bench.env)
        except Unavailable as error:
            bench.note(side, error)
            continue
        bench.versions |= up[side].versions
        figures[side] = {**up[side].ask("fill"), **up[side].ask("recall")}
        say(f"  {rows:,} vectors, {side}: written at {figures[side]['rows_per_second']:,.0f} rows/s, "
            f"{figures[side]['bytes_a_row']:,.0f} bytes a row, recall {figures[side]['recall']:.3f}")
    warm, first = {side: [] for side in up}, {side: [] for side in up}
    for turn, side in turns(up, bench.sizes["asked"] + 2):
        seconds = up[side].ask("warm", query=turn)["seconds"]
        if turn >= 2:
            warm[side].append(seconds)
    for side in up:
        up[side].close()
    for turn, side in turns(up, bench.sizes["firsts"]):
        first[side].append(first_query(bench, side, arguments))
    for side, of in figures.items():
        of |= {"warm_ms": statistics.median(warm[side]) * 1e3, "first_ms": statistics.median(first[side]) * 1e3}
        say(f"  {rows:,} vectors, {side}: warm top 10 {of['warm_ms']:.2f} ms, first query {of['first_ms']:.1f} ms")
    for file in folder.iterdir():
        file.unlink()
    return {"sides": figures}


def first_query(bench, side, arguments):
    command = [str(bench.pythons["own"]), str(processes.HERE / "search_worker.py"), side, *arguments, "first"]
    done = subprocess.run(command, env=bench.env, check=True, capture_output=True, text=True).stdout
    return float(done.split()[-1])


PARTS = {"bulk": bulk, "one": one, "cold": cold, "memory": memory, "accuracy": accuracy, "search": search}


def measured(bench, part):
    """One part: its figures, when they were taken, and how busy the machine was before and after."""
    say(f"{part}: {PARTS[part].__doc__.splitlines()[0]}")
    busy, begun = os.getloadavg()[0], time.strftime("%Y-%m-%d")
    figures = PARTS[part](bench)
    return {"date": begun, "load_average": [round(busy, 2), round(os.getloadavg()[0], 2)], **figures}
