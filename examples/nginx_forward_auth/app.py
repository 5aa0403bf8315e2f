"""An app that knows nothing of credentials: it reads who calls in the headers that nginx sets.

It stands for an app in any language. Nobody but nginx may reach it, for whoever does is believed.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        caller = {name: self.headers[f"X-Auth-{name}"] for name in ("Subject", "Kind", "Scopes", "Key-Id")}
        body = json.dumps({"path": self.path, **caller}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hello).serve_forever()
