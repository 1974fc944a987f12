"""The sides' processes, as the program that asks them sees them. Standard library only, see data.py."""

import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


class Unavailable(Exception):
    """A side that cannot be measured here; the message says why."""


class Process:
    """A process that is asked one JSON question a line."""

    def __init__(self, python, script, *arguments, env):
        command = [str(python), str(HERE / script), *arguments]
        self.log = open(os.path.join(env["BENCH_LOGS"], f"{pathlib.Path(script).stem}-{arguments[0]}.log"), "w+")
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True)
        self.name = arguments[0]
        first = self.answer()
        if "refused" in first:
            self.close()
            raise Unavailable(first["refused"])
        self.versions = first.get("versions", {})

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            raise SystemExit(f"{self.name} died with {self.process.returncode}:\n{self.log.read()[-2000:]}")
        return json.loads(line)

    def ask(self, do, **question):
        self.process.stdin.write(json.dumps({"do": do, **question}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.log.close()


def started_until(command, env, sign="first row"):
    """Seconds from starting a program to its line that begins with `sign`, and its peak memory in MB."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    line = next((line for line in process.stdout if line.startswith(sign)), None)
    seconds = time.perf_counter() - begun
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close(), process.stderr.close()
    if line is None or process.returncode:
        raise Unavailable(f"{command[0]} ended with {process.returncode}: {errors.strip()[:300]}")
    return seconds, usage.ru_maxrss / 1024


def printed(command, env, stdin=None):
    """The JSON that a script of ours prints; what it says besides goes on to our stderr."""
    done = subprocess.run([sys.executable, str(HERE / command[0]), *map(str, command[1:])], env=env, input=stdin,
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
