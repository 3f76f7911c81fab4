"""A receiver of webhooks that keeps what it got.

Owns an HTTP server in a thread of the test. Called by the tests of this folder.
"""

import http.server
import threading
from typing import Any

HeaderList = list[tuple[str, str]]


class Inbox:
    """Takes every POST and answers as it is told; 204 unless refusing."""

    def __init__(self) -> None:
        self.got: list[tuple[str, HeaderList, bytes]] = []
        self.refusals = 0
        inbox = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = [(name.lower(), value) for name, value in self.headers.items()]
                inbox.got.append((self.path, headers, body))
                refused = inbox.refusals > 0
                inbox.refusals -= refused
                self.send_response(503 if refused else 204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Keeps quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks/mock/{{binding_id}}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
