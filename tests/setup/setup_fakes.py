"""What the tests of the set-up scripts share: a fake hub on 127.0.0.1, and a way to run a script
as a person would, in an environment that knows only the fakes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
REVISION = "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"

COMMIT_OF_MAIN = "c" * 40

# The model is large enough to be sent in several blocks and to show progress.
FILES = {
    "config.json": b'{"hidden_size": 4}\n',
    "tokenizer.json": b'{"version": "1.0"}\n',
    "tokenizer_config.json": b'{"do_lower_case": true}\n',
    "1_Pooling/config.json": b'{"pooling_mode_cls_token": true}\n',
    "onnx/model.onnx": bytes(range(256)) * 8_000,
}
OPTIONAL = ("tokenizer_config.json", "1_Pooling/config.json")
REQUIRED = tuple(file for file in FILES if file not in OPTIONAL)


def without(*files):
    return {file: content for file, content in FILES.items() if file not in files}


def etag(content):
    return hashlib.sha1(content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class FakeHub:
    """Serves `files` as BAAI/NAME; a value that is callable gets the request handler and does
    what it likes with it. Every request is kept in `requests` as (path, headers, GET or HEAD)."""

    def __init__(self):
        self.files, self.requests, self.headers = dict(FILES), [], {}
        self.release = threading.Event()  # lets answers go that wait for the end of the test
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                hub.requests.append((self.path, dict(self.headers), self.command))
                if self.path.startswith("/api/models/"):
                    hub.send(self, json.dumps(hub.api(self.path)).encode(), {"Content-Type": "application/json"})
                    return
                file = self.path.split("/resolve/", 1)[-1].split("/", 1)[-1].split("?")[0]
                content = hub.files.get(file)
                if callable(content):
                    content(self)
                elif content is None:
                    self.send_error(404)
                else:
                    hub.send(self, content)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def api(self, path):
        """What the hub's API says: the commit behind a revision, or the files of a commit."""
        if "/tree/" not in path:
            return {"id": "BAAI/tiny", "sha": COMMIT_OF_MAIN, "siblings": []}
        contents = {file: b"" if callable(content) else content for file, content in {**FILES, **self.files}.items()
                    if file in self.files}
        return [{"type": "file", "path": file, "size": len(FILES[file]), "oid": etag(content)}
                for file, content in contents.items()]

    def said_of(self, content):
        return {"ETag": f'"{etag(content)}"', "X-Repo-Commit": COMMIT_OF_MAIN}

    def send(self, handler, content, headers=(), upto=None):
        handler.send_response(200)
        for key, value in {**self.said_of(content), **self.headers, **dict(headers)}.items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(content[:upto])
            handler.wfile.flush()

    def breaks(self, content, upto):
        """Promises all of `content` and closes the connection early."""

        def answer(handler):
            self.send(handler, content, upto=upto)
            handler.close_connection = True

        return answer

    def stalls(self, content, upto):
        """Sends a part and then nothing, for as long as the test takes."""

        def answer(handler):
            self.send(handler, content, upto=upto)
            handler.command == "HEAD" or self.release.wait(60)

        return answer

    def paths(self):
        return [path for path, _, _ in self.requests]

    def asked_for(self, file):
        """How often the content of a file was asked for."""
        asked = [path.partition("/resolve/")[2].partition("/")[2] for path, _, command in self.requests if command == "GET"]
        return asked.count(file)

    def stop(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


def status(code):
    return lambda handler: handler.send_error(code)


def redirect(code, url, headers=()):
    def answer(handler):
        handler.send_response(code)
        handler.send_header("Location", url)
        for key, value in dict(headers).items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def executable(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


class Scripts:
    """Runs the scripts; `env` is what they see, and `into` where they put things."""

    def __init__(self, tmp_path, bin):
        self.tmp, self.into, self.catalog = tmp_path, tmp_path / "models", tmp_path / "catalog.json"
        kept = {k: v for k, v in os.environ.items()
                if not k.startswith(("HF_", "PIP_")) and not k.lower().endswith("_proxy")}
        # Port 9 (discard) is closed: a test that names no hub gets none, and never the real one.
        self.env = {**kept, "PATH": f"{bin}:{kept['PATH']}", "HOME": str(tmp_path), "HF_HUB_DISABLE_TELEMETRY": "1",
                    "NO_PROXY": "127.0.0.1",
                    "HF_ENDPOINT": "http://127.0.0.1:9", "PYTHONDONTWRITEBYTECODE": "1"}

    def command(self, script, *args):
        return [sys.executable, str(SCRIPTS / script), *map(str, args)]

    def model_command(self, name="tiny", *args):
        return self.command("get_model.py", name, "--into", self.into, "--catalog", self.catalog, *args)

    def run(self, command, **options):
        options = {"env": self.env, "capture_output": True, "text": True, "timeout": 60, **options}
        done = subprocess.run(command, **options)
        assert "Traceback" not in (done.stderr or ""), done.stderr
        return done

    def model(self, name="tiny", *args):
        return self.run(self.model_command(name, *args))

    def start(self, command):
        """For a test that goes on while the script runs, and may interrupt it: whoever runs the
        tests in the background has SIGINT ignored, and children inherit that."""
        return subprocess.Popen(command, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def start_model(self, name="tiny", *args):
        return self.start(self.model_command(name, *args))

    def left(self):
        """What is in the folder of models, hidden things too."""
        return sorted(p.name for p in self.into.iterdir()) if self.into.exists() else []

    def read(self, name="tiny"):
        """The model as {file: content}, without the marker."""
        folder = self.into / name
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*")
                if p.is_file() and p.name != ".complete"}
