# SPDX-License-Identifier: MIT
"""A web server on loopback that behaves well or badly, for the tests of the download.

Usage: http_server.py FOLDER LOG. Prints its port; ends when its standard input does. The first
part of a request's path says how the file that the second part names is served:

  range    ranges are honoured                   plain    ranges are ignored
  breaks   as range; the first two break off     cut      as plain; the first breaks off
  stops    as range; each breaks off             long     as range, with 1,000 bytes more
  short    as range, of the first half alone     busy     as range; the first is answered 503
  moved    redirects to range                    escapes  redirects to file://

LOG gets one line per request, before the answer: the path, and the range or "-".
"""

import collections
import http.server
import pathlib
import re
import sys
import threading

folder, log = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
requests = collections.Counter()
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        with lock:
            requests[self.path] += 1
            count = requests[self.path]
            with log.open("a") as file:
                file.write(f"{self.path} {asked or '-'}\n")
        _, manner, name = self.path.split("/", 2)
        if manner in ("moved", "escapes"):
            self.send_response(302)
            target = "/range/" + name if manner == "moved" else f"file://{folder}/{name}"
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if not (folder / name).is_file():
            self.send_error(404)
            return
        if manner == "busy" and count == 1:
            self.send_error(503)
            return
        body = (folder / name).read_bytes()
        if manner == "long":
            body += bytes(1000)
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
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        breaks = {"breaks": 2, "cut": 1, "stops": sys.maxsize}.get(manner, 0)
        self.wfile.write(body[: len(body) // 3] if count <= breaks else body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
