"""``lowmaf replay --cluster`` on worker processes: the same as one machine, whatever becomes of a worker."""

from __future__ import annotations

import gzip
import pathlib
import shutil
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from dask_cluster import DaskCluster, tasks_left
from flaky_files import NEVER, register
from replaying import runner

from daemon.cluster import batches, connection, replaying
from daemon.cluster.replaying import replay_on
from daemon.cluster.tasks import versions
from daemon.errors import WorkError
from daemon.log_names import expanded
from daemon.log_replay import KeepNothing, Reading, Replayed, logs_of, replay
from lowmaf.document import table_document
from lowmaf.maf_table import default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.table_text import format_csv

RECORDED = pathlib.Path(__file__).resolve().parent / "recordings" / "logs"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with DaskCluster(tmp_path_factory.mktemp("cluster"), workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("tables") / "stock.csv"
    volts = np.linspace(0.9, 3.0, 22)
    path.write_text(format_csv(volts, 2.0 * volts**2.6))
    return path


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Every format there is, drives of minutes, a copy, one that is no log and one that breaks off."""
    folder = tmp_path_factory.mktemp("logs")
    for recorded in sorted(RECORDED.iterdir()):
        shutil.copy(recorded, folder)
    for number in range(4):
        (folder / f"long-{number}.csv").write_text(drive(6.5 + number, number, 5.0 * (number > 1)))
    shutil.copy(folder / "long-1.csv", folder / "again.csv")
    (folder / "packed.csv.gz").write_bytes(gzip.compress(drive(3.0, 9).encode()))
    (folder / "cut-off.csv.gz").write_bytes(gzip.compress(drive(4.0, 8).encode(), mtime=0)[:-3000])
    (folder / "broken.csv").write_text(drive(30.0, 7) + 2_000_000 * "?")
    (folder / "letter.csv").write_text("Dear tuner,\nhere is no log.\n")
    return folder


def drive(minutes: float, seed: int, leak_pct: float = 0.0) -> str:
    """A log in RomRaider's format, 5 rows a second, in closed loop but for moments."""
    random = np.random.default_rng(seed)
    t_s = np.arange(0.0, 60.0 * minutes, 0.2)
    points_s = np.arange(0.0, 60.0 * minutes + 20.0, 20.0)
    volts = np.interp(t_s, points_s, random.uniform(1.2, 2.4, points_s.size))
    short = 3.0 * np.sin(3.0 * volts) + leak_pct + random.normal(0.0, 0.4, t_s.size)
    status = np.where(random.random(t_s.size) < 0.002, 10, 8)
    names = "Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),"
    names += "Coolant Temperature (C),Engine Speed (rpm),Mass Airflow Sensor Voltage (V)\n"
    rows = zip(t_s, short, status, volts, strict=True)
    return names + "".join(f"{round(t * 1000)},{s:.3f},0,{c},85,2000,{v:.4f}\n" for t, s, c, v in rows)


def document(replayed: Replayed) -> object:
    return table_document(replayed.snapshot, logs=[log.as_json() for log in replayed.summaries])


def alone(folder: pathlib.Path) -> Replayed:
    """The same logs on this machine."""
    found = [log.name for log in expanded([str(folder)], pathlib.Path())]
    return replay(logs_of(found), Pipeline(default_axis()), Reading({}), KeepNothing())


class Silent:
    """Progress that nobody looks at."""

    def show(self, name: str, read: int, total: int | None) -> None: ...
    def next_log(self) -> None: ...
    def clear(self) -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--estimator", "nearest", "--strict"],
        pytest.param(["--filters", "none"], marks=pytest.mark.long),
        pytest.param(["--require-flag"], marks=pytest.mark.long),
    ],
)
def test_the_document_is_that_of_one_machine_to_the_last_bit(
    cluster, logs, stock, capsysbinary, options
) -> None:
    run = runner(capsysbinary)
    arguments = [logs, "--maf-table", stock, "--format", "json", *options]
    wanted = run(*arguments)
    result = run(*arguments, "--cluster", cluster.address)
    assert (result.status, result.out, result.err) == (wanted.status, wanted.out, wanted.err)
    assert result.status == int("--strict" in options)
    assert "long-1.csv: holds the same as" in result.err
    assert "broken.csv: no line end within" in result.err
    assert "letter.csv" in result.err
    if not options:
        read = result.json()
        assert len(read["logs"]) >= 12
        assert any(log["warnings"] for log in read["logs"])
        assert read["held_out"] is not None
        assert read["warnings"]


def test_the_order_of_warnings_and_a_change_for_good_are_those_of_one_machine(
    cluster, tmp_path, monkeypatch
) -> None:
    for number in range(9):
        text = drive(8.0 + number, number, 9.0 * (number > 4))
        if number > 6:
            text = text.replace("Coolant Temperature (C)", "Oil Temperature (C)")
        (tmp_path / f"{number}.csv").write_text(text)
    monkeypatch.setattr(replaying, "CHECKPOINT_LOGS", 4)
    monkeypatch.setattr(batches, "BATCH_LOGS", 2)
    wanted = alone(tmp_path)
    replayed = replay_on(cluster.address, [str(tmp_path)], default_axis(), progress=Silent())
    assert document(replayed) == document(wanted)
    codes = [warning.code for warning in replayed.snapshot.warnings]
    assert codes.index("change_detected") < codes.index("filter_off_min_ect_c")


def test_names_count_from_here_and_may_be_patterns_folders_and_urls(
    cluster, logs, stock, capsysbinary, monkeypatch
) -> None:
    monkeypatch.chdir(logs.parent)
    run = runner(capsysbinary)
    tail = ["--cluster", cluster.address, "--maf-table", stock, "--format", "json"]
    url = (logs / "again.csv").as_uri()
    result = run(
        f"{logs.name}/long-[02].csv", f"{logs.name}/tactrix.csv", url, f"{logs.as_uri()}/vc*.csv", *tail
    )
    assert result.status == 0
    names = [log["name"] for log in result.json()["logs"]]
    assert names[:3] == [f"{logs.name}/{name}.csv" for name in ("long-0", "long-2", "tactrix")]
    assert [pathlib.PurePath(name).name for name in names[3:]] == ["again.csv", "vcds.csv"]


def test_a_log_that_cannot_be_read_at_once_is_tried_again(cluster, logs) -> None:
    cluster.on_workers(register)
    url = f"flaky://{logs}/long-0.csv"
    replayed = replay_on(cluster.address, [url], default_axis(), progress=Silent())
    assert [log.name for log in replayed.summaries] == [url]


def test_a_log_that_cannot_be_read_at_all_is_named(cluster, logs) -> None:
    cluster.on_workers(register)
    url = f"flaky://{logs}/{NEVER}.csv"
    with pytest.raises(WorkError, match=f"^{url}: reading failed: Input/output error$"):
        replay_on(cluster.address, [url], default_axis(), progress=Silent())


@pytest.mark.parametrize(
    ("names", "status", "words"),
    [
        (["nothing-here.csv"], 1, "nothing-here.csv: cannot be opened: No such file or directory"),
        (["memory://nothing.csv"], 1, "memory://nothing.csv: cannot be opened"),
        (["memory://nothing/"], 2, "memory://nothing/: no log is there"),
        (
            ["nosuch://place/drive.csv"],
            2,
            "nosuch://place/drive.csv: cannot be read here: Protocol not known",
        ),
        (["-"], 2, "standard input lies on this machine only"),
        (["a.csv", "a.csv"], 2, "a.csv is given twice"),
        (["a.csv", "--database", "kept.sqlite3"], 2, "with --cluster the samples stay where they lie"),
    ],
)
def test_what_cannot_be_read_there_is_said_in_a_line(
    cluster, tmp_path, monkeypatch, capsysbinary, names, status, words
) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner(capsysbinary)(*names, "--cluster", cluster.address)
    assert result.status == status
    assert words in result.err
    assert "Traceback" not in result.err
    assert not list(tmp_path.iterdir())


def test_a_wrong_address_is_said_in_a_line_and_soon(capsysbinary, monkeypatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1:port"):
        result = runner(capsysbinary)("a.csv", "--cluster", address)
        assert result.status == 1
        assert result.err.startswith(f"lowmaf replay: --cluster {address}: no Dask scheduler answers there")
        assert result.err.count("\n") == 1


def test_without_the_extra_it_is_named(capsysbinary, monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "daemon.cluster.replaying")
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = runner(capsysbinary)("a.csv", "--cluster", "tcp://127.0.0.1:1")
    assert result.status == 2
    assert "--cluster needs distributed: pip install 'lowmaf[cluster]'" in result.err


def test_other_versions_than_here_are_named(cluster, capsysbinary, monkeypatch) -> None:
    monkeypatch.setitem(versions(), "numpy", "9.9")
    result = runner(capsysbinary)("a.csv", "--cluster", cluster.address)
    assert result.status == 1
    assert f"has numpy {np.__version__} instead of 9.9" in result.err


class Interrupted(Silent):
    """Ctrl-C after the first logs."""

    def next_log(self) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_takes_the_tasks_back(cluster, logs) -> None:
    with pytest.raises(KeyboardInterrupt):
        replay_on(cluster.address, [str(logs)], default_axis(), progress=Interrupted())
    assert cluster.on_scheduler(tasks_left) == 0


class Killing(Silent):
    """Kills a worker once the first logs were read; its results are lost with it."""

    def __init__(self, cluster: DaskCluster, number: int) -> None:
        self.cluster, self.number, self.logs = cluster, number, 0

    def next_log(self) -> None:
        self.logs += 1
        if self.logs == 3:
            self.cluster.kill_worker(self.number)


def test_a_worker_that_dies_changes_nothing(cluster, logs) -> None:
    """The last test of this cluster: one of its two workers is gone after it."""
    killing = Killing(cluster, 0)
    replayed = replay_on(cluster.address, [str(logs)], default_axis(), progress=killing)
    assert cluster.workers[0].poll() is not None
    wanted = alone(logs)
    assert document(replayed) == document(wanted)
    assert (replayed.troubles, replayed.copies) == (wanted.troubles, wanted.copies)
    assert killing.logs == len(list(logs.iterdir()))


@pytest.mark.long
def test_a_scheduler_that_dies_is_said_in_a_line(tmp_path, logs) -> None:
    with DaskCluster(tmp_path, workers=1) as cluster:

        class Killing(Silent):
            def next_log(self) -> None:
                cluster.kill_scheduler()

        with pytest.raises(WorkError, match=": the cluster was lost: "):
            replay_on(cluster.address, [str(logs)], default_axis(), progress=Killing())


@pytest.mark.long
def test_hundreds_of_logs_while_workers_come_and_go(tmp_path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number:03}.csv").write_text(drive(2.0 + number % 7, number, 6.0 * (number > 170)))
    wanted = alone(folder)
    with DaskCluster(tmp_path, workers=3) as cluster:

        class ComingAndGoing(Killing):
            def next_log(self) -> None:
                super().next_log()
                if self.logs in (60, 150):
                    cluster.add_worker()
                    cluster.kill_worker(self.logs // 60)

        replayed = replay_on(
            cluster.address, [str(folder)], default_axis(), progress=ComingAndGoing(cluster, 0)
        )
        assert [worker.poll() is None for worker in cluster.workers] == [False, False, False, True, True]
    assert document(replayed) == document(wanted)
