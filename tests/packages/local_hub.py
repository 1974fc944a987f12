"""A hub on this machine that serves one model's real files, over the part of the Hugging Face hub's protocol
that its clients use: paths-info, model info, and resolve with ranges. It can be told to fail."""

import functools
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGE = 1_000_000  # what the hub keeps in LFS, named by its SHA-256


class LocalHub:
    """`files` are name -> bytes; `requests` remembers (method, path, token)."""

    def __init__(self, repo, revision, files):
        self.repo, self.revision, self.files = repo, revision, dict(files)
        self.named = {name: self.name_of(content) for name, content in files.items()}
        self.requests, self.cut, self.slow, self.status = [], set(), set(), None
        self.stalled = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    @functools.lru_cache  # the model has 133 MB, and every test serves the same
    def name_of(content):
        """The name that the hub has for a file's content."""
        if len(content) >= LARGE:
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def info(self, name):
        entry = {"type": "file", "path": name, "size": len(self.files[name]), "oid": self.named[name]}
        if len(self.files[name]) >= LARGE:
            entry["lfs"] = {"oid": self.named[name], "size": entry["size"], "pointerSize": 135}
        return entry

    def handler(hub):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def note(self):
                hub.requests.append((self.command, self.path, self.headers.get("Authorization")))
                if hub.status:
                    self.answer(hub.status, b'{"error": "told to fail"}')
                return hub.status is None

            def answer(self, status, body, **headers):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", "application/json")
                for key, value in headers.items():
                    self.send_header(key.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["paths"]
                if not self.note():
                    return
                if self.path != f"/api/models/{hub.repo}/paths-info/{hub.revision}":
                    return self.answer(404, b'{"error": "no such revision"}')
                self.answer(200, json.dumps([hub.info(name) for name in wanted if name in hub.files]).encode())

            def do_GET(self):
                if not self.note():
                    return
                if self.path.startswith(f"/api/models/{hub.repo}"):
                    return self.answer(200, json.dumps({"id": hub.repo, "_id": "1", "sha": hub.revision}).encode())
                name = self.path.removeprefix(f"/{hub.repo}/resolve/{hub.revision}/")
                if name not in hub.files:
                    return self.answer(404, b"{}", X_Error_Code="EntryNotFound")
                self.send_file(name, hub.files[name])

            def send_file(self, name, content):
                first, last = 0, len(content) - 1
                if ranged := self.headers.get("Range"):
                    start, _, stop = ranged.removeprefix("bytes=").partition("-")
                    first, last = int(start), min(int(stop or last), last)
                body = content[first:last + 1]
                self.send_response(206 if ranged else 200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
                self.send_header("ETag", f'"{hub.named[name]}"')
                self.end_headers()
                if name in hub.cut and len(body) > 1:
                    self.wfile.write(body[:len(body) // 2])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.close()
                elif name in hub.slow and len(body) > 1:
                    self.wfile.write(body[:len(body) // 2])
                    self.wfile.flush()
                    hub.stalled.set()
                    time.sleep(20)  # longer than any test waits
                else:
                    self.wfile.write(body)

        return Handler
