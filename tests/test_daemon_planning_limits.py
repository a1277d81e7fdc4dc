"""Every limit that the configuration names is the one that is kept to."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from daemon.config.config import load_config
from daemon.config.sections import LimitSettings
from daemon.planning import plan_from
from daemon.serving.limits import WebLimits
from daemon.serving.long_bodies import LongBodyLimits
from drivers.logs.limits import LogLimits
from web.request_body import BodyLimits

LIMITS = {
    "head_kb": 9.0, "json_kb": 7.0, "table_kb": 90.0, "body_wait_s": 11.0, "body_kb_per_s": 3.0,
    "quiet_s": 12.0,
    "long_body_s": 99.0, "log_line_kb": 400.0, "log_field_kb": 5.0, "log_columns": 77, "log_rows": 4444,
    "log_unpacked_mb": 55.0,
}  # fmt: skip


def test_every_limit_arrives_where_it_is_kept_to(tmp_path: Path) -> None:
    path = tmp_path / "lowmaf.toml"
    path.write_text("[limits]\n" + "".join(f"{key} = {value}\n" for key, value in LIMITS.items()))
    plan = plan_from(load_config(path, {}))
    assert {spec.name for spec in fields(LimitSettings)} == set(LIMITS)
    assert plan.limits == WebLimits(head_bytes=9000)
    assert plan.access.settings.bodies == BodyLimits(
        json_bytes=7000, table_bytes=90_000, wait_s=11.0, least_bytes_per_s=3000.0
    )
    assert plan.analyses.bodies == LongBodyLimits(quiet_s=12.0, lasts_s=99.0)
    assert plan.analyses.log_limits == LogLimits(
        line_bytes=400_000, field_bytes=5000, columns=77, rows=4444, unpacked_bytes=55_000_000
    )


def test_the_defaults_are_those_without_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "lowmaf.toml"
    path.write_text("")
    plan = plan_from(load_config(path, {}))
    assert plan.limits == WebLimits()
    assert plan.access.settings.bodies == BodyLimits()
    assert (plan.analyses.bodies, plan.analyses.log_limits) == (LongBodyLimits(), LogLimits())
