"""Run a separate JupyterLab with one notebook, in Chromium without a graphics card."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyhd_lib.errors import BadInput

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_ROOT = Path(__file__).parent.parent
_TOKEN = "benchmark"  # noqa: S105  # the server lives in a folder of its own, and for minutes
_PATIENCE = 120


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Yield a browser.

    Raises:
        BadInput: there is none.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise BadInput("the viewer is measured in Chromium, which is not there; install it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--enable-unsafe-swiftshader", "--enable-precise-memory-info"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(browser: "Browser", cells: Sequence[str], folder: Path, width: int) -> "Iterator[Page]":
    """Yield a page with a notebook of these cells, not yet run; its kernel has the same import path as this process.

    Args:
        browser: that opens it.
        cells: Python.
        folder: for the notebook and all files of the server.
        width: of the page.
    """
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "cells": [
            {"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None}
            for cell in cells
        ],
    }
    (folder / "look.ipynb").write_text(json.dumps(notebook))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "IPYTHONDIR": str(folder / "ipython")}
    places["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += [f"--IdentityProvider.token={_TOKEN}", f"--ServerApp.root_dir={folder}", "--LabApp.news_url="]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | places, stdout=log, stderr=log, cwd=folder)  # noqa: S603
    page = browser.new_page(viewport={"width": width, "height": 1200})
    try:
        _wait_for(port)
        page.goto(f"http://127.0.0.1:{port}/doc/tree/look.ipynb?token={_TOKEN}")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=1000 * _PATIENCE)
        yield page
    finally:
        page.close()
        server.terminate()
        server.wait(30)


def run_cell(page: "Page", number: int) -> None:
    """Run a cell of the notebook, counted from 0."""
    page.locator(".jp-CodeCell .cm-content").nth(number).click()
    page.keyboard.press("Shift+Enter")


def resident(pid: int, what: str = "VmRSS") -> float:
    """Return the resident memory of a process in MiB, now or (``VmHWM``) at its peak; NaN if unknown."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def tab_memory(browser: "Browser", page: "Page") -> dict[str, float]:
    """Return a tab's memory after garbage collection, in MiB: that of its process, and of its JavaScript heap."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap: Any = page.evaluate("performance.memory.usedJSHeapSize")
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    tabs = [resident(each["id"]) for each in processes if each["type"] == "renderer"]
    return {"tab": round(max(tabs), 1), "heap": round(heap / 2**20, 1)}


def _wait_for(port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise BadInput("JupyterLab does not start; pip install -e '.[notebooks]' from the checkout")
