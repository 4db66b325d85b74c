"""The cache: entries are complete, checked, shared by processes, evicted, listed and cleared."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyhd_lib.cache import Cache, cache_usage, clear_cache


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYHD_CACHE", str(tmp_path))
    return tmp_path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=64))
def test_what_was_written_is_read(content: bytes) -> None:
    cache = Cache("kind")
    cache.write("a/b", content)
    assert cache.read("a/b") == content
    assert Cache("kind", version=2).read("a/b") is None
    assert Cache("other").read("a/b") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=64), st.data())
def test_a_flipped_bit_is_seen(content: bytes, data: st.DataObject) -> None:
    cache = Cache("kind")
    cache.write("entry", content)
    damaged = bytearray(content)
    damaged[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cache.path("entry").write_bytes(bytes(damaged))
    assert cache.read("entry") is None
    assert not cache.path("entry").exists()


def test_a_damaged_file_is_made_anew_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    cache, made = Cache("kind"), []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("content")

    path = cache.file("entry", make)
    assert cache.file("entry", make) == path
    assert len(made) == 1
    path.write_text("Content")
    with caplog.at_level(logging.WARNING):
        assert cache.file("entry", make).read_text() == "content"
    assert len(made) == 2
    assert [record.message for record in caplog.records] == [f"{path}: damaged, thrown away and made anew"]


def test_a_file_that_could_not_be_made_leaves_nothing(folder: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        Cache("kind").file("entry", fail)
    assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_one_makes_and_the_others_wait() -> None:
    cache, made = Cache("kind"), []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("content")

    with ThreadPoolExecutor(8) as pool:
        assert {path.read_text() for path in pool.map(lambda _: cache.file("entry", make), range(8))} == {"content"}
    assert len(made) == 1


def test_a_folder_that_cannot_be_written_is_one_line(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "kind").write_text("in the way")
    Cache("kind").write("entry", b"content")
    assert len(caplog.records) == 1
    assert Cache("kind").read("entry") is None


def test_what_was_not_read_for_longest_is_evicted() -> None:
    cache = Cache("kind", most_bytes=25)
    for age, key in enumerate(("third", "second", "first")):
        cache.write(key, b"0123456789")
        os.utime(cache.path(key), (1000.0 - age, 1000.0 - age))
    assert cache.read("first") is not None  # now the most recently used
    cache.write("fourth", b"0123456789")
    assert [key for key in ("first", "second", "third", "fourth") if cache.read(key)] == ["first", "fourth"]


def test_it_is_shown_and_cleared() -> None:
    Cache("small").write("entry", b"0")
    Cache("large").write("entry", b"0123456789")
    Cache("large").write("other/entry", b"0123456789")
    assert cache_usage() == [("large", 2, 20), ("small", 1, 1)]
    assert clear_cache("large", days=1) == 0
    assert clear_cache("large") == 20
    assert [kind for kind, *_ in cache_usage()] == ["small"]
    assert clear_cache() == 1
    assert cache_usage() == []
