"""A Datasette of its own process, asked over HTTP."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import support


class Served:
    """A running Datasette; `log` is what it has printed when it ends."""

    def __init__(self, *arguments, env=None):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        port = self.url.rsplit(":", 1)[1]
        command = [str(support.BIN / "datasette"), "serve", *map(str, arguments), "--port", port]
        self.log = ""
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        end = time.monotonic() + 60
        while True:
            assert self.process.poll() is None and time.monotonic() < end, self.stop()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
                return
            time.sleep(0.05)

    def get(self, path, status=200, **arguments):
        """The body of a page, which must come with `status`."""
        url = f"{self.url}{path}" + (f"?{urllib.parse.urlencode(arguments)}" if arguments else "")
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                got, body = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            got, body = error.code, error.read().decode()
        assert got == status, (url, got, body[-2000:])
        return body

    def search(self, table, query, database="desk"):
        """(rank link or None, score, passage) of each row found on a table's page, as HTML; and the whole section."""
        page = self.get(f"/{database}/{table}", _semantic=query)
        section = re.search(r'<section class="bge-search">.*?</section>', page, re.DOTALL).group(0)
        rows = []
        for item in re.findall(r"<li>.*?</li>", section, re.DOTALL):
            link = re.search(r'href="([^"]+)"', item)
            passage = re.search(r'<p class="bge-passage">(.*?)</p>', item, re.DOTALL)
            rows.append((link and link.group(1), float(re.search(r"<span>([-0-9.]+)</span>", item).group(1)),
                         passage and passage.group(1)))
        return rows, section

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.log += self.process.stdout.read()
        return self.log


@contextlib.contextmanager
def serving(*arguments, **changes):
    """A Datasette for the time of a `with`; it must have logged no traceback but those that `log` is read for."""
    served = Served(*arguments, env={**os.environ, **changes})
    try:
        yield served
    finally:
        served.stop()
