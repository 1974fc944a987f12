"""A side in a process of its own: one JSON question a line on stdin, one JSON answer a line on stdout.

    PYTHON benches/side_by_side/worker.py SIDE PLACES

PLACES is JSON: dist, model, peer_models (folders). Questions: {"do": "bulk", "texts": FILE} -> seconds;
{"do": "each", "texts": [...]} -> seconds of each; {"do": "save", "texts": FILE, "into": FILE.npy};
{"do": "peak"} -> mb, the most memory so far. The first answer, without a question, is {"versions": ...} or {"refused": why}.
"""

import json
import os
import sys
import time

import sides


def timed(work):
    begun = time.perf_counter()
    done = work()
    return time.perf_counter() - begun, done


def read(file):
    with open(file, encoding="utf-8") as texts:
        return json.load(texts)


class Worker:
    def __init__(self, side):
        self.side, self.prepared = side, {}

    def ready(self, file):
        """Texts of a file as the side wants them. Kept: the rounds of one bench ask for one file."""
        if file not in self.prepared:
            self.prepared = {file: self.side.prepare(read(file))}
        return self.prepared[file]

    def bulk(self, texts):
        prepared = self.ready(texts)
        return {"seconds": timed(lambda: self.side.bulk(prepared))[0]}

    def each(self, texts):
        return {"seconds": [timed(lambda: self.side.one(text))[0] for text in texts]}

    def save(self, texts, into):
        import numpy as np
        np.save(into, np.asarray(self.side.vectors(self.side.bulk(self.ready(texts))), np.float32))
        return {}

    def peak(self):
        with open("/proc/self/status") as status:
            return {"mb": next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))}


def main():
    # What a library prints must not look like an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(said):
        answers.write(json.dumps(said) + "\n")
        answers.flush()

    try:
        side = sides.make(sys.argv[1], json.loads(sys.argv[2]))
    except (sides.Refused, ImportError) as error:
        return answer({"refused": str(error)})
    side.one("warm up")
    answer({"versions": side.versions()})
    worker = Worker(side)
    for line in sys.stdin:
        question = json.loads(line)
        answer(getattr(worker, question.pop("do"))(**question))


if __name__ == "__main__":
    main()
