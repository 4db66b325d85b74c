"""A page in the browser that shows a stream: pictures as they are drawn (motion JPEG), and a line of statistics."""

import time
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import Condition, Thread
from typing import NamedTuple, Self

from tinyhd_lib.errors import BadInput

_BOUNDARY = "tinyhd-frame"
_TIMEOUT = 2.0
# A viewer that has fallen behind catches up by showing frames a little faster than they were taken.
_CATCHING_UP = 0.9
_KEPT = 32

_HTML = """<!doctype html>
<meta charset="utf-8">
<title>tinyhd live</title>
<style>
  body { margin: 0; background: #111; color: #ddd; font: 14px system-ui, sans-serif; text-align: center }
  img { max-width: 100%; max-height: calc(100vh - 3em) }
</style>
<img src="/film" alt="what the stream sees, with its saliency">
<p id="line">waiting for the first second</p>
<script>
  setInterval(async () => {
    const line = document.getElementById("line");
    try { line.textContent = await (await fetch("/line")).text() } catch { line.textContent = "the stream has ended" }
  }, 1000)
</script>
"""


class _Picture(NamedTuple):
    number: int
    time: float
    jpeg: bytes


class Page:
    """A small web server with one page; a context manager, serving within its block.

    Everybody who looks gets the pictures at the pace of their times. The 32 newest are kept: a viewer that is slower
    than the stream misses some, and nothing waits for it.

    Args:
        address: ``PORT`` or ``HOST:PORT``; this machine alone can look if there is no host. Port 0 takes a free one.

    Attributes:
        url: of the page.

    Raises:
        BadInput: the address cannot be served.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            raise BadInput(f"--serve {address}: a port, such as 8000, or host and port, such as 0.0.0.0:8000")
        self._pictures: deque[_Picture] = deque(maxlen=_KEPT)
        self._changed = Condition()
        self._closed = False
        self._count = self._viewers = 0
        self.line = ""
        page = self

        class Handler(_Handler):
            """Answers for this page."""

            served = page

        try:
            self._server = ThreadingHTTPServer((host or "127.0.0.1", int(port)), Handler)
        except OSError as error:
            raise BadInput(f"--serve {address}: cannot be served ({error.strerror})") from error
        self._server.daemon_threads = False  # those who look are waited for at the end
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="tinyhd-page")
        self.url = f"http://{host or '127.0.0.1'}:{self._server.server_port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def watched(self) -> bool:
        """Whether anybody looks; nothing need be drawn otherwise."""
        return self._viewers > 0

    def show(self, jpeg: bytes, at: float) -> None:
        """Give the next picture, a JPEG file, ``at`` seconds after the first."""
        with self._changed:
            self._pictures.append(_Picture(self._count, at, jpeg))
            self._count += 1
            self._changed.notify_all()

    def after(self, number: int) -> _Picture | None:
        """The oldest picture kept after a number, waited for; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._count > number + 1)
            if self._closed:
                return None
            return next(picture for picture in self._pictures if picture.number > number)

    def join(self) -> int:
        """Count a viewer in; the number of the picture before the first that it gets."""
        with self._changed:
            self._viewers += 1
            return self._count - 1

    def leave(self) -> None:
        """Count a viewer out."""
        with self._changed:
            self._viewers -= 1

    def pause(self, seconds: float) -> None:
        """Wait, or until the page closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)


class _Handler(BaseHTTPRequestHandler):
    served: Page
    timeout = _TIMEOUT
    server_version, sys_version = "tinyhd", ""

    def do_GET(self) -> None:
        with suppress(OSError):  # whoever looked has gone, or has read nothing for too long
            self._respond()

    def _respond(self) -> None:
        if not _is_address(self.headers.get("Host", "")):
            # A foreign page that points its own name at this machine must not see what the camera does.
            self.send_error(403, "use localhost or an address in numbers")
        elif self.path == "/":
            self._answer("text/html; charset=utf-8", _HTML)
        elif self.path == "/line":
            self._answer("text/plain; charset=utf-8", self.served.line)
        elif self.path == "/film":
            self._film()
        else:
            self.send_error(404)

    def _answer(self, kind: str, text: str) -> None:
        content = text.encode()
        self._head(kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _head(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")

    def _film(self) -> None:
        self._head(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.end_headers()
        number = self.served.join()
        try:
            self._send_pictures(number)
        finally:
            self.served.leave()

    def _send_pictures(self, number: int) -> None:
        shown, sent = None, 0.0
        while picture := self.served.after(number):
            if shown is not None:
                self.served.pause(_CATCHING_UP * (picture.time - shown) - (time.monotonic() - sent))
            sent = time.monotonic()
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + picture.jpeg + b"\r\n")
            number, shown = picture.number, picture.time

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class calls it so)
        """Say nothing: the statistics have the standard error."""


def _is_address(host: str) -> bool:
    """Whether a Host header names this machine by numbers or as localhost, and no name that others could have set."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if name == "localhost":
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
