# SPDX-License-Identifier: MIT
"""A web server on loopback that behaves well or badly, for the tests of the download.

The first part of a request's path says how the file that the second part names is served:

  range    ranges are honoured                   plain    ranges are ignored
  breaks   as range; the first two break off     cut      as plain; the first breaks off
  stops    as range; each breaks off             long     as range, with 5,000 bytes more
  endless  as long, without saying its length    short    as range, of the first half alone
  busy     as range; the first is answered 503   moved    redirects to range
  escapes  redirects to file://
"""

import collections
import http.server
import re
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        count = self.server.note(self.path, asked)
        _, manner, name = self.path.split("/", 2)
        if manner in ("moved", "escapes"):
            self.send_response(302)
            target = f"/range/{name}" if manner == "moved" else f"file://{self.server.folder}/{name}"
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if not (self.server.folder / name).is_file():
            self.send_error(404)
            return
        if manner == "busy" and count == 1:
            self.send_error(503)
            return
        body = (self.server.folder / name).read_bytes()
        if manner in ("long", "endless"):
            body += bytes(5000)
        if manner == "short":
            body = body[: len(body) // 2]
        begin = 0
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        if match and manner not in ("plain", "cut"):
            begin = int(match[1])
            if begin >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        body = body[begin:]
        if manner != "endless":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        breaks = {"breaks": 2, "cut": 1, "stops": sys.maxsize}.get(manner, 0)
        try:
            self.wfile.write(body[: len(body) // 3] if count <= breaks else body)
        except ConnectionError:
            pass  # the other side had enough

    def log_message(self, *_):
        pass


class HttpServer(http.server.ThreadingHTTPServer):
    """Serves a folder's files (a pathlib.Path) until `stop()`."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.requests = []  # so far: "/manner/name range", or "-" for no range
        self._counts = collections.Counter()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def note(self, path, asked):
        """Notes a request; how many there were for this path."""
        with self._lock:
            self.requests.append(f"{path} {asked or '-'}")
            self._counts[path] += 1
            return self._counts[path]

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def stop(self):
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
            self.server_close()
