"""The engine: order of results, refused input, retries, workers that die, and unreachable clusters."""

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info

from tinyhd_lib import BadInput
from tinyhd_lib.engine import Outcome, connected, results, run
from tinyhd_lib.records import usable_cores

ROOT = Path(__file__).parents[1]


def halve(number: int) -> float:
    if number == 3:
        raise BadInput("3: cannot be halved")
    if number == 5:
        raise OSError(errno.EIO, "Input/output error", "5.png")
    if number == 7:
        raise ZeroDivisionError("by\nzero")
    return number / 2


TOLD = {
    3: "3: cannot be halved",
    5: "5.png: Input/output error; finished results are kept, run the same command again to resume",
    7: "ZeroDivisionError: by zero (a fault of TinyHD Workbench: please report it); finished results are kept, run "
    "the same command again to resume",
}


def fill_the_disk(_job: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "x.png")


def fail_twice(notes: Path) -> int:
    notes.write_bytes(notes.read_bytes() + b"x" if notes.exists() else b"x")
    if notes.stat().st_size < 3:
        raise RuntimeError("not yet")
    return notes.stat().st_size


def die_at_first(notes: Path) -> str:
    if not notes.exists():
        notes.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return notes.name


def die(_job: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def surroundings(_job: object) -> dict[str, Any]:
    threads = {each["num_threads"] for each in threadpool_info()}  # at least those of NumPy's BLAS
    about = {"cores": usable_cores(), "folder": str(Path.cwd()), "rank": os.environ.get("LOCAL_RANK")}
    return about | {"threads": max(threads)}


def linger(notes: Path) -> None:
    time.sleep(0.2)
    notes.touch()


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with connected(2) as client:
        yield client


# In this process


def test_here_jobs_are_done_in_their_order_and_what_fails_stops_none() -> None:
    assert list(run(halve, range(9))) == [
        Outcome(number, None, TOLD[number]) if number in TOLD else Outcome(number, number / 2) for number in range(9)
    ]
    assert "dask" not in sys.modules or "distributed" in sys.modules  # Dask is not needed without a cluster


def test_here_a_full_disk_ends_all() -> None:
    with pytest.raises(OSError, match="No space left on device; finished results are kept") as error:
        list(run(fill_the_disk, [1, 2]))
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, "x.png")


def test_results_come_in_order_and_end_at_a_refusal() -> None:
    assert list(results(halve, [2, 4, 6])) == [1, 2, 3]
    with pytest.raises(BadInput, match="3: cannot be halved"):
        list(results(halve, [1, 2, 3]))


def test_one_worker_is_this_process() -> None:
    with connected(1) as client:
        assert client is None


# On a cluster


@pytest.mark.slow
def test_a_cluster_says_the_same(client: Any) -> None:
    assert sorted(run(halve, range(9), client)) == list(run(halve, range(9)))
    assert list(results(halve, [2, 4, 6], client)) == [1, 2, 3]
    with pytest.raises(OSError, match="No space left on device"):
        list(run(fill_the_disk, [1, 2], client))


@pytest.mark.slow
def test_workers_have_their_share_and_work_where_we_do(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    told = [outcome.result for outcome in run(surroundings, range(8), client, gpu=True)]
    assert {each["folder"] for each in told} == {str(tmp_path)}
    assert {each["cores"] for each in told} == {max(1, usable_cores() // 2)}
    assert {each["threads"] for each in told} == {max(1, usable_cores() // 2)}
    assert {each["rank"] for each in told} <= {"0", "1"}
    assert dict(os.environ) == before


@pytest.mark.slow
def test_what_fails_is_tried_again(client: Any, tmp_path: Path) -> None:
    assert list(results(fail_twice, [tmp_path / "a", tmp_path / "b"], client)) == [3, 3]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_worker_that_is_killed_is_made_up_for(client: Any, tmp_path: Path) -> None:
    jobs = [tmp_path / str(number) for number in range(4)]
    assert list(results(die_at_first, jobs, client)) == ["0", "1", "2", "3"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_job_that_kills_all_who_try_it_is_told(client: Any) -> None:
    (outcome,) = run(die, [1], client)
    assert outcome.refused is not None
    assert outcome.refused.startswith("the processes that tried it were ended from outside, perhaps for want of memory")
    assert list(results(halve, [2], client)) == [1]


@pytest.mark.slow
def test_left_early_what_has_not_begun_is_taken_back(client: Any, tmp_path: Path) -> None:
    jobs = [tmp_path / str(number) for number in range(40)]
    running = run(linger, jobs, client)
    next(running)
    running.close()
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) < 10


@pytest.mark.slow
def test_what_a_worker_does_not_see_is_told(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)  # workers do not see the folder
    (outcome,) = run(halve, [2], client, shared=elsewhere)
    assert outcome.refused is not None
    assert f"does not see {elsewhere}; give a folder that all workers see" in outcome.refused
    monkeypatch.setattr("tinyhd_lib.engine.__version__", "0.0.1")
    (outcome,) = run(halve, [2], client)
    assert outcome.refused is not None
    assert "here it is 0.0.1; install the same" in outcome.refused


@pytest.mark.slow
def test_a_client_is_left_as_it_is(client: Any) -> None:
    with connected(1, client) as same:
        assert same is client
    assert list(results(halve, [2], client)) == [1]


@pytest.mark.slow
def test_an_address_is_a_cluster(client: Any) -> None:
    with connected(1, client.scheduler.address) as other:
        assert other is not client
        assert list(results(halve, [2, 4], other)) == [1, 2]


@pytest.mark.slow
def test_where_no_scheduler_is_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyhd_lib.engine._PATIENCE", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(BadInput, match="no Dask scheduler answers there"), connected(1, address):
            pass


def test_a_worker_that_is_killed_while_it_starts_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(**_: object) -> None:
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("distributed.LocalCluster", start)
    with pytest.raises(BadInput, match="a worker did not start: it was ended from outside"), connected(2):
        pass


@pytest.mark.slow
def test_a_file_describes_a_cluster(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "module: distributed\nclass: LocalCluster\n"
        "kwargs: {n_workers: 1, threads_per_worker: 1, dashboard_address: null, silence_logs: 50}\n"
    )
    with connected(1, str(path)) as client:
        assert list(results(halve, [2, 4], client)) == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "module: distributed",
        "module: nowhere\nclass: Cluster",
        "module: distributed\nclass: Nothing",
        pytest.param("module: distributed\nclass: LocalCluster\nkwargs: {n_worker: 1}", marks=pytest.mark.slow),
        "[",
    ],
)
def test_a_file_that_describes_none_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with (
        pytest.raises(BadInput, match=r"cluster.yaml: module, class and kwargs of a Dask cluster") as error,
        connected(1, str(path)),
    ):
        pass
    assert "\n" not in str(error.value)


def test_without_dask_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyhd_lib.engine.find_spec", lambda _: None)
    with pytest.raises(BadInput, match=r"pip install -e '.\[cluster\]'"), connected(2):
        pass
    with connected(None) as client:
        assert client is None


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(workers: int) -> None:
    with pytest.raises(BadInput, match="at least 1"), connected(workers):
        pass


def test_the_cluster_of_the_documentation_is_what_slurm_takes() -> None:
    jobqueue = pytest.importorskip("dask_jobqueue")
    import yaml

    page = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    block = page.partition("```yaml\n")[2].partition("```")[0]
    told = yaml.safe_load(block)
    assert (told["module"], told["class"]) == ("dask_jobqueue", "SLURMCluster")
    options = told["kwargs"] | {"n_workers": 0, "scheduler_options": {"dashboard_address": None}}
    with jobqueue.SLURMCluster(**options) as cluster:
        script = cluster.job_script()
    for line in ("#SBATCH --cpus-per-task=1", "#SBATCH --mem=4G", "#SBATCH -t 08:00:00", "--nthreads 1"):
        assert line in script
