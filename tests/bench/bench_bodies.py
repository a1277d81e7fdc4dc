"""A log as the body of a request: ``python tests/bench/bench_bodies.py``, about half a minute.

One log of 2 MB (26 222 rows), end to end over HTTP, from the request to the answer: as the JSON of the OpenEJ
web client to its route, beside decoding with msgspec and the same NumPy calculation and nothing else, and
beside a FastAPI route with ``list[Row]``, as its users write it. As CSV it is an upload to ``/api/v1/logs``,
which is recognised and on the disk when that answers, or goes to ``/api/v1/ingest``, whose samples are on the
disk then: the columns that the JSON has, and all 18 of the log, of which 15 are samples. CPU time of the
servers and of the processes they start; medians of requests in turn.
"""

from __future__ import annotations

import asyncio
import csv
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from bench_openej import least
from crowd_servers import running
from csv_logs import SIZES, write_log
from figures import report
from pydantic import BaseModel
from server_cpu import threads_cpu_s

from lowmaf.openej import OpenEjColumns, openej_table

ROWS = SIZES["2.07 MB"]
ROUNDS = 15
FIELDS = {
    "time": "Time (msec)",
    "af_correction_short": "A/F Correction #1 (%)",
    "af_correction_learning": "A/F Learning #1 (%)",
    "intake_air_temp": "Intake Air Temperature (C)",
    "mass_airflow_voltage": "Mass Airflow Sensor Voltage (V)",
    "cl_ol_status": "CL/OL Fueling* (status)",
}
"""What the web client takes of a log."""


class Row(BaseModel):
    """A row as the web client sends it."""

    time: float | None = None
    af_correction_short: float | None = None
    af_correction_learning: float | None = None
    intake_air_temp: float | None = None
    mass_airflow_voltage: float | None = None
    cl_ol_status: float | None = None


class Cell(BaseModel):
    """A row of the answer."""

    MafVoltage: float
    Correction: float
    Frequency: int


def serve_fastapi(port: int) -> None:
    """The route as one writes it first, with the calculation in NumPy."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/api/analyze/0/")
    def analyze(rows: list[Row]) -> list[Cell]:
        names = (
            "time",
            "af_correction_short",
            "af_correction_learning",
            "mass_airflow_voltage",
            "cl_ol_status",
        )
        columns = [np.array([getattr(row, name) for row in rows], dtype=np.float64) for name in names]
        table = openej_table(OpenEjColumns(*columns))
        cells = zip(
            table.maf_v.tolist(), table.correction_pct.tolist(), table.frequency.tolist(), strict=True
        )
        return [Cell(MafVoltage=v, Correction=pct, Frequency=n) for v, pct, n in cells]

    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)


async def serve_ours(port: int) -> None:
    """The routes, over a database."""
    from fakes import FakeBoard, realistic_table
    from test_daemon_live_hub import settings

    from daemon.analysis.orders import Defaults
    from daemon.analysis.service import AnalysisService
    from daemon.analysis.settings import AnalysisSettings
    from daemon.ingest.ingest import Ingestion
    from daemon.ingest.session_writer import INGEST, SessionWriter
    from daemon.live.hub import Hub
    from daemon.serving.server import serve
    from daemon.store.store import Store
    from lowmaf.filters import Filters
    from lowmaf.settings import CurveSettings
    from web.app import create_app

    defaults = Defaults("curve", Filters(), CurveSettings())
    with tempfile.TemporaryDirectory() as folder:
        async with await Store.open(Path(folder) / "car.sqlite3") as store:
            hub = Hub(settings(table=await store.put_table(realistic_table())), store)
            ingestion = Ingestion(SessionWriter(store), lambda: hub.session_start(INGEST))
            analysis = AnalysisService(store, AnalysisSettings(), lambda: defaults, 0.0)
            app = create_app(FakeBoard(), version="bench", ingest=ingestion, logs=analysis.uploads)
            analysing = asyncio.create_task(analysis.analyses.run())
            await serve(app, "127.0.0.1", port)
            analysing.cancel()


def number_of(text: str) -> float:
    """A number as JavaScript says it: a whole one without a point."""
    return int(float(text)) if float(text).is_integer() else float(text)


def bodies() -> tuple[bytes, bytes, bytes]:
    """The log as CSV, what the web client makes of it, and that as CSV."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        write_log(path, ROWS)
        with path.open(encoding="utf-8", newline="") as log:
            texts = [{name: row[name] for name in FIELDS.values()} for row in csv.DictReader(log)]
        rows = [{field: number_of(text[name]) for field, name in FIELDS.items()} for text in texts]
        columns = StringIO(newline="")
        writer = csv.DictWriter(columns, FIELDS.values(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(texts)
        return path.read_bytes(), json.dumps(rows).encode(), columns.getvalue().encode()


def posting(server: tuple[int, int], path: str, kind: str, body: bytes) -> Callable[[], float]:
    """What sends a body over a connection that stays, and says what CPU time that took the server."""
    port, pid = server
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post() -> float:
        before_s = threads_cpu_s(pid)
        connection.request("POST", path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status in (200, 201), said
        return threads_cpu_s(pid) - before_s

    return post


def in_process(body: bytes) -> Callable[[], float]:
    """Decoding and calculation alone."""

    def run() -> float:
        before_s = time.process_time()
        least(body)
        return time.process_time() - before_s

    return run


def main() -> None:
    log, as_json, as_csv = bodies()
    print(
        f"{ROWS} rows: a log of {len(log) / 1e6:.2f} MB; {len(FIELDS)} of its columns are "
        f"{len(as_json) / 1e6:.2f} MB as JSON and {len(as_csv) / 1e6:.2f} MB as CSV"
    )
    with ExitStack() as servers:
        ours = servers.enter_context(running([sys.executable, __file__, "ours"], Path("-")))
        fastapi = servers.enter_context(running([sys.executable, __file__, "fastapi"], Path("-")))
        rivals = {
            "alone": in_process(as_json),
            "openej": posting(ours, "/api/analyze/0/", "application/json", as_json),
            "fastapi": posting(fastapi, "/api/analyze/0/", "application/json", as_json),
            "upload": posting(ours, "/api/v1/logs?name=log.csv", "text/csv", log),
            "csv": posting(ours, "/api/v1/ingest", "text/csv", as_csv),
            "log": posting(ours, "/api/v1/ingest", "text/csv", log),
        }
        spent: dict[str, list[float]] = {name: [] for name in rivals}
        for turn in range(ROUNDS + 2):
            for name, rival in rivals.items():
                spent_s = rival()
                if turn > 1:
                    spent[name].append(spent_s)
    ms = {name: 1e3 * statistics.median(times) for name, times in spent.items()}
    alone, model = ("msgspec and NumPy alone", ms["alone"]), ("FastAPI with list[Row]", ms["fastapi"])
    report("the OpenEJ route, a log of 2 MB", ms["openej"], "ms", peer=alone, ratio_at_most=1.45)
    report("the OpenEJ route beside FastAPI", ms["openej"], "ms", peer=model, ratio_at_most=0.1)
    openej = ("JSON to the OpenEJ route", ms["openej"])
    report("the same rows as CSV to /api/v1/ingest", ms["csv"], "ms", peer=openej, ratio_at_most=0.7)
    report("the log as an upload to /api/v1/logs", ms["upload"], "ms", peer=openej, ratio_at_most=0.7)
    report("the log, all of its channels, to /api/v1/ingest", ms["log"], "ms", peer=openej)


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        asyncio.run(serve_ours(int(sys.argv[2])))
    elif sys.argv[1:2] == ["fastapi"]:
        serve_fastapi(int(sys.argv[2]))
    else:
        main()
