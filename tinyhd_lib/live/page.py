"""A page in the browser that shows a stream: pictures as they are drawn (motion JPEG), and a line of statistics."""

import math
import time
from collections.abc import Generator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from threading import Event, Thread
from typing import Self

from tinyhd_lib.errors import BadInput, refusing
from tinyhd_lib.overlap import Waiting

_BOUNDARY = "tinyhd-frame"
# A browser that has fallen behind catches up by showing frames a little faster than they were taken.
_CATCHING_UP = 0.9
_KEPT = 32


class Page:
    """A small web server with one page; a context manager, serving within its block.

    Every browser gets the pictures at the pace of their timestamps. The 32 newest are kept: a browser that is slower
    than the stream misses some, and nothing waits for it.

    Args:
        address: ``PORT`` or ``HOST:PORT``; without a host, only this machine can connect. Port 0 takes a free one.

    Attributes:
        url: of the page.
        line: of text below the picture.

    Raises:
        BadInput: the address cannot be served.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        host = host or "127.0.0.1"
        if not port.isdecimal() or int(port) > 65535:
            raise BadInput(f"`serve` {address}: a port, such as 8000, or host and port, such as 0.0.0.0:8000")
        self._waiting: list[Waiting[tuple[bytes, float]]] = []  # the pictures still to be sent to each browser
        self._closed = Event()
        self.line = ""
        with refusing(f"`serve` {address}: cannot be served", OSError):
            self._server = ThreadingHTTPServer((host, int(port)), type("Handler", (_Handler,), {"page": self}))
        self._server.daemon_threads = False  # closing waits for the browsers' threads
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="tinyhd-page")
        self.url = f"http://{host}:{self._server.server_port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for waiting in list(self._waiting):
            waiting.end()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def watched(self) -> bool:
        """Return whether a browser is connected; otherwise nothing need be drawn."""
        return bool(self._waiting)

    def show(self, jpeg: bytes, at: float) -> None:
        """Give the next picture, a JPEG file, ``at`` seconds after the first."""
        for waiting in list(self._waiting):
            waiting.put((jpeg, at))

    def pictures(self) -> Generator[bytes]:
        """Yield the JPEG files that come from now on, at the pace of their times, until the page closes."""
        waiting = Waiting[tuple[bytes, float]](_KEPT, drops=True)
        self._waiting.append(waiting)
        if self._closed.is_set():  # nothing else would end a queue that came too late
            waiting.end()
        shown, sent = math.inf, 0.0
        try:
            for jpeg, at in waiting:
                if self._closed.wait(max(0.0, _CATCHING_UP * (at - shown) - (time.monotonic() - sent))):
                    return
                shown, sent = at, time.monotonic()
                yield jpeg
        finally:
            self._waiting.remove(waiting)


class _Handler(BaseHTTPRequestHandler):
    page: Page
    timeout = 2.0  # seconds in which a browser reads what it is sent
    server_version, sys_version = "tinyhd", ""

    def do_GET(self) -> None:
        with suppress(OSError):  # the browser has gone, or has read nothing for too long
            if not _is_address(self.headers.get("Host", "")):
                # A foreign page whose own name resolves to this machine (DNS rebinding) must not see the camera.
                self.send_error(403, "use localhost or an address in numbers")
            elif self.path == "/":
                self._answer("text/html; charset=utf-8", files("tinyhd_lib.live").joinpath("page.html").read_bytes())
            elif self.path == "/line":
                self._answer("text/plain; charset=utf-8", self.page.line.encode())
            elif self.path == "/video":
                self._answer(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
                with closing(self.page.pictures()) as pictures:
                    for jpeg in pictures:
                        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
            else:
                self.send_error(404)

    def _answer(self, kind: str, content: bytes | None = None) -> None:
        """Send the head of an answer, and its content unless that is a stream."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        if content is not None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class calls it so)
        """Log nothing: standard error is for the statistics."""


def _is_address(host: str) -> bool:
    """Return whether a Host header is localhost or a numeric address, not a name that others could have registered."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    with suppress(ValueError):
        return name == "localhost" or bool(ip_address(name.strip("[]")))
    return False
