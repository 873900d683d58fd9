"""A token endpoint on loopback: it answers as it is told to, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Answer = tuple[int, Any]


class TokenServer:
    """`answers` are given in turn, the last one for ever; bytes are sent as they are."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.asked.append({name: one[0] for name, one in parse_qs(body).items()})
                status, given = outer.answers[min(len(outer.asked), len(outer.answers)) - 1]
                content = given if isinstance(given, bytes) else json.dumps(given).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/token"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def token_server(*answers: Answer) -> Iterator[TokenServer]:
    server = TokenServer(*answers)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def token(access: str, **more: Any) -> Answer:
    """An answer with a token that lives an hour."""
    return 200, {"access_token": access, "token_type": "Bearer", "expires_in": 3600} | more
