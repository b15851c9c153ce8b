"""A mirror of data sets on this machine, an empty cache, and a folder of a user's own."""

import gzip
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

CONTENT = np.random.default_rng(0).bytes(5000)
PACKED = gzip.compress(CONTENT, mtime=0)


class Mirror(ThreadingHTTPServer):
    """A server on this machine that knows ranges, and breaks off after `limit` bytes if told to.

    It answers with one body whatever is asked for, or with those of a mapping, by path.
    """

    def __init__(
        self,
        body: bytes | Mapping[str, bytes] | None = PACKED,
        limit: int | None = None,
        ranges: bool = True,
        length: bool = True,
    ):
        super().__init__(("127.0.0.1", 0), Answer)
        self.body, self.limit, self.ranges, self.length = body, limit, ranges, length
        self.asked = []
        self.before_it_answers = lambda: None
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        mirror = self.server
        mirror.asked.append(self.headers["Range"])
        mirror.before_it_answers()
        start = int(self.headers["Range"][6:-1]) if self.headers["Range"] and mirror.ranges else 0
        body = mirror.body.get(self.path[1:]) if isinstance(mirror.body, Mapping) else mirror.body
        if body is None or start >= len(body):
            self.send_error(404 if body is None else 416)
            return
        rest = body[start:]
        self.send_response(206 if start else 200)
        if mirror.length:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: mirror.limit])

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture
def serve():
    """Start a mirror; it ends with the test."""
    servers = []

    def start(*args, **kwargs) -> Mirror:
        servers.append(Mirror(*args, **kwargs))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, with DROPOUT_DATA unset."""
    monkeypatch.delenv("DROPOUT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "dropout-book" / "toy"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """An empty folder toy/ in what DROPOUT_DATA names."""
    monkeypatch.setenv("DROPOUT_DATA", str(tmp_path))
    folder = tmp_path / "toy"
    folder.mkdir()
    return folder
