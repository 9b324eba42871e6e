"""Serve a stand-in for the Hugging Face hub on the loopback, with its ways to fail."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.helpers.hub_cache import LARGE, content, digest

_API = re.compile(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?")
_FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub:
    """A hub. ``repositories[kind, repo]`` maps a commit or branch to its files by path."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], dict[str, dict[str, bytes]]] = {}
        self.commits: dict[tuple[str, str, str], str] = {}
        self.requests: list[str] = []  # "METHOD path" of each request
        self.ranges: list[str] = []  # the Range headers of requests for a part of a file
        self.tokens: set[str] = set()
        self.gated: set[str] = set()  # repositories whose files need more than a token
        self.valid_tokens: set[str] | None = None  # None: any token is valid
        self.busy = 0  # this many more requests get status 429
        self.retry_after = "0"
        self.cuts = 0  # this many more downloads of large files break off half-way
        self.short = False  # downloads of large files end half-way with a matching length
        self.claimed: dict[str, int] = {}  # wrong sizes in the listing, by path

        class Handler(BaseHTTPRequestHandler):
            hub, protocol_version = self, "HTTP/1.1"

            def do_GET(self) -> None:
                self.hub.answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def push(self, kind: str, repo: str, files: dict[str, Path | bytes], commit: str, branch: str = "main") -> None:
        """Store ``files`` as ``commit`` and move ``branch`` to it."""
        revisions = self.repositories.setdefault((kind, repo), {})
        revisions[commit] = revisions[branch] = {name: content(file) for name, file in files.items()}
        self.commits[kind, repo, commit] = self.commits[kind, repo, branch] = commit

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.requests.append(f"{request.command} {path}")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.tokens |= {token} - {""}
        if self.busy:
            self.busy -= 1
            return self._send(request, 429, {"Retry-After": self.retry_after})
        if token and self.valid_tokens is not None and token not in self.valid_tokens:
            return self._send(request, 401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        if match := _API.fullmatch(path):
            kind, repo, endpoint, revision = match.groups()
        elif match := _FILE.fullmatch(path):
            kind, repo, revision, endpoint = "dataset" if match[1] else "model", match[2], match[3], "file"
        else:
            return self._send(request, 400)
        if (kind, repo) not in self.repositories:
            return self._send(request, 404 if token else 401, {"X-Error-Code": "RepoNotFound"})
        revision = revision or "main"
        if revision not in self.repositories[kind, repo]:
            return self._send(request, 404, {"X-Error-Code": "RevisionNotFound"})
        files, commit = self.repositories[kind, repo][revision], self.commits[kind, repo, revision]
        if endpoint == "tree":
            return self._json(request, [self._entry(name, data) for name, data in files.items()])
        if endpoint != "file":
            siblings = [self._sibling(name, data) for name, data in files.items()]
            return self._json(request, {"id": repo, "sha": commit, "siblings": siblings})
        if repo in self.gated:
            return self._send(request, 403 if token else 401, {"X-Error-Code": "GatedRepo"})
        return self._file(request, match[4], files[match[4]], commit)

    def _entry(self, name: str, data: bytes) -> dict:
        size = self.claimed.get(name, len(data))
        entry = {"type": "file", "path": name, "size": size, "oid": digest("", data)}
        return entry | ({"lfs": {"oid": digest(name, data), "size": size, "pointerSize": 130}} if name.endswith(LARGE) else {})

    def _sibling(self, name: str, data: bytes) -> dict:
        return {"rfilename": name, "size": self.claimed.get(name, len(data)), "blobId": digest("", data)}

    def _file(self, request: BaseHTTPRequestHandler, name: str, data: bytes, commit: str) -> None:
        large = name.endswith(LARGE)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest(name, data)}"', "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(len(data))}
        if request.command == "HEAD":
            return self._send(request, 200, headers, data)
        start = int((re.match(r"bytes=(\d+)-", request.headers.get("Range", "")) or [0, 0])[1])
        if start:
            self.ranges.append(request.headers["Range"])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if large and self.short:
            data = data[: len(data) // 2]
        cut = large and self.cuts > 0
        self.cuts -= cut
        # Content-Length is that of the whole body, so the client sees that it was cut.
        self._send(request, 206 if start else 200, headers, data[start:], stop=(len(data) - start) // 2 if cut else None)
        request.close_connection = request.close_connection or cut

    def _json(self, request: BaseHTTPRequestHandler, value: object) -> None:
        self._send(request, 200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    @staticmethod
    def _send(
        request: BaseHTTPRequestHandler, status: int, headers: dict | None = None, body: bytes = b"", stop: int | None = None
    ) -> None:
        request.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body[:stop])
