"""A counterpart on a real loopback port, so that a vendor's own SDK can talk to it.

Every request reaches the counterpart with its raw path, headers and body; one thread, one request at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx

from vendors.sandbox.door import Counterpart


def _listener(counterpart: Counterpart) -> type[BaseHTTPRequestHandler]:
    class Listener(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5  # a client that keeps its connection open must not hold the thread for ever

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            host = self.headers["Host"]
            request = httpx.Request(
                self.command,
                f"http://{host}{self.path}",
                headers=self.headers.items(),
                content=self.rfile.read(length),
            )
            reply = counterpart.answer(request)
            self.send_response(reply.status_code)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(reply.content)
            self.close_connection = True

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Listener


@contextmanager
def served(counterpart: Counterpart) -> Iterator[str]:
    """Serve a counterpart on an ephemeral loopback port; gives `127.0.0.1:port`."""
    server = HTTPServer(("127.0.0.1", 0), _listener(counterpart))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
