"""What every route answers, as JSON Schema: for the OpenAPI document, and held against real answers by tests.

Objects list what is always there; more may come, so a client ignores what it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

JSON = "application/json"
CSV = "text/csv; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TRUTH: Schema = {"type": "boolean"}
_ANY: Schema = {}
_NUMBERS = _list(_NUMBER)
_PAIR: Schema = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_COUNTS = _map(_COUNT)

ERROR = _object(error=_object(code=_TEXT, message=_TEXT, detail={"type": "object"}))
"""The one shape of every refusal."""

_CELL = _object(
    maf_v=_NUMBER,
    flow_gs=_or_null(_NUMBER),
    correction_pct=_or_null(_NUMBER),
    stderr_pct=_or_null(_NUMBER),
    ci95_pct=_or_null(_PAIR),
    hits=_COUNT,
    effective_hits=_or_null(_NUMBER),
    state={"type": "string", "enum": ["measured", "weak", "interpolated", "empty", "locked"]},
    proposed_gs=_or_null(_NUMBER),
)
_TABLE = _object(
    format={"const": "lowmaf.table/1"},
    revision=_COUNT,
    estimator={"type": "string", "enum": ["curve", "nearest"]},
    maf_table=_object(name=_TEXT, revision=_COUNT),
    epoch=_COUNT,
    session=_or_null(_COUNT),
    updated_s=_or_null(_NUMBER),
    samples=_object(seen=_COUNT, pending=_COUNT, accepted=_COUNT, rejected=_COUNTS),
    lag_s=_or_null(_NUMBER),
    warnings=_list(_object(code=_TEXT, message=_TEXT, blocks_flash=_TRUTH)),
    held_out=_or_null(
        _object(rms_pct=_NUMBER, rms_uncorrected_pct=_NUMBER, rms_nearest_pct=_NUMBER, passed=_TRUTH)
    ),
    drive_next=_list(
        _object(
            maf_v=_PAIR,
            flow_gs=_or_null(_PAIR),
            rpm=_or_null(_PAIR),
            load_g_rev=_or_null(_PAIR),
            gain=_NUMBER,
        )
    ),
    cells=_list(_CELL),
    logs=_list({"type": "object"}),
)
_VERDICT = _object(verdict=_TEXT, words=_TEXT, count=_COUNT)
_LINK = _object(
    state={"type": "string", "enum": ["connecting", "running", "waiting", "paused", "ended"]},
    words=_TEXT,
    driver=_TEXT,
    since_s=_NUMBER,
    reconnects=_COUNT,
    history=_list(_object(state=_TEXT, words=_TEXT, age_s=_NUMBER)),
)
_STATUS = _object(
    version=_TEXT,
    uptime_s=_NUMBER,
    link=_LINK,
    second_link=_or_null(_LINK),
    session=_or_null(_COUNT),
    sample_rate_hz=_or_null(_NUMBER),
    last_sample_age_s=_or_null(_NUMBER),
    counts=_COUNTS,
    verdicts=_list(_VERDICT),
    nothing_accepted_s=_or_null(_NUMBER),
    nothing_accepted_because=_or_null(_TEXT),
    storage={"type": "object"},
    queues={"type": "object"},
    streams=_COUNT,
    healthy=_TRUTH,
    unhealthy_because=_or_null(_TEXT),
    truth=_or_null(_object(error_pct=_list(_or_null(_NUMBER)), rmse_pct=_or_null(_NUMBER), cells=_COUNT)),
)
_SESSION = _object(
    id=_COUNT,
    name=_or_null(_TEXT),
    driver=_TEXT,
    started=_or_null(_TEXT),
    clock=_TEXT,
    duration_s=_or_null(_NUMBER),
    state=_TEXT,
    samples=_COUNT,
    accepted=_COUNT,
    maf_table_revision=_or_null(_COUNT),
    epoch=_COUNT,
    included=_TRUTH,
    counts=_TRUTH,
    counts_not_because=_or_null(_TEXT),
    log=_or_null(_object(name=_TEXT, sha256=_TEXT)),
)
_MAF_TABLE = _object(name=_TEXT, revision=_COUNT, maf_v=_NUMBERS, flow_gs=_or_null(_list(_or_null(_NUMBER))))
_FILTER = _object(
    name=_TEXT, value=_ANY, default=_ANY, configured=_ANY, unit=_ANY, meaning=_TEXT, low=_ANY, high=_ANY
)
_SETTINGS = _object(
    version=_TEXT,
    driver=_TEXT,
    estimator=_TEXT,
    maf_table=_TEXT,
    filters=_list(_FILTER),
    filters_change=_TRUTH,
    curve={"type": "object"},
    keep_samples=_TRUTH,
    machine={"type": "object"},
    offers=_list(_TEXT),
)
_OUTCOME = _object(accepted=_COUNT, verdicts=_list(_VERDICT))
_LOG = _object(id=_TEXT, name=_TEXT, bytes=_COUNT, recognised={"type": "object"})
_ANALYSIS = _object(
    id=_TEXT,
    status={
        "type": "string",
        "enum": ["unstarted", "processing", "completed", "completed_and_sent", "failed", "cancelled"],
    },
)
_RESULT = _object(id=_TEXT, name=_TEXT, published_wall_s=_NUMBER, address=_TEXT)
_DEVICE = _object(
    id=_TEXT,
    kind={"type": "string", "enum": ["device", "token"]},
    name=_TEXT,
    added_wall_s=_NUMBER,
    last_used_wall_s=_or_null(_NUMBER),
)
_OPENEJ_CELL = _object(MafVoltage=_NUMBER, Correction=_NUMBER, Frequency=_COUNT)

ANSWERS: Mapping[tuple[str, str], Mapping[str, Mapping[str, Schema]]] = {
    ("get", "/api/v1/table"): {"200": {JSON: _TABLE, CSV: _TEXT, TEXT: _TEXT}},
    ("get", "/api/v1/status"): {"200": {JSON: _STATUS}},
    ("get", "/api/v1/verdicts"): {
        "200": {
            JSON: _object(
                minutes=_list(_object(session=_COUNT, minute=_COUNT, verdicts=_COUNTS)),
                verdicts=_list(_object(verdict=_TEXT, words=_TEXT)),
            )
        }
    },
    ("get", "/healthz"): {"200": {JSON: _object(status={"const": "ok"})}, "503": {JSON: ERROR}},
    ("get", "/metrics"): {"200": {"text/plain; version=0.0.4; charset=utf-8": _TEXT}},
    ("get", "/heartbeat/0/"): {"200": {TEXT: _TEXT}},
    ("post", "/api/v1/commands"): {"200": {JSON: {"type": "object"}}},
    ("get", "/api/v1/maf-table"): {"200": {JSON: _MAF_TABLE}},
    ("put", "/api/v1/maf-table"): {"200": {JSON: {"type": "object"}}},
    ("get", "/api/v1/sessions"): {"200": {JSON: _object(sessions=_list(_SESSION))}},
    ("get", "/api/v1/sessions/{id}"): {"200": {JSON: _SESSION}},
    ("patch", "/api/v1/sessions/{id}"): {"200": {JSON: _SESSION}},
    ("post", "/api/v1/sessions/{id}/rebuild"): {"200": {JSON: {"type": "object"}}},
    ("get", "/api/v1/sessions/{id}/export"): {"200": {JSON: {"type": "object"}, CSV: _TEXT}},
    ("get", "/api/v1/settings"): {"200": {JSON: _SETTINGS}},
    ("patch", "/api/v1/settings"): {"200": {JSON: _SETTINGS}},
    ("get", "/api/v1/what-if"): {
        "200": {JSON: _object(samples=_COUNT, drives=_list(_COUNT), now=_OUTCOME, then=_OUTCOME)}
    },
    ("get", "/api/v1/points"): {"200": {JSON: _object(maf_v=_NUMBERS, trim_pct=_NUMBERS)}},
    ("get", "/api/v1/cells/{cell}"): {
        "200": {
            JSON: _object(
                cell=_COUNT, maf_v=_NUMBER, history=_list({"type": "object"}),
                samples=_list({"type": "object"}), no_samples_because=_or_null(_TEXT),
            )
        }
    },
    ("post", "/api/v1/logs"): {"201": {JSON: _LOG}},
    ("get", "/api/v1/logs"): {
        "200": {JSON: _object(logs=_list(_LOG), arriving=_list({"type": "object"}))}
    },
    ("get", "/api/v1/logs/{id}"): {"200": {JSON: _LOG}},
    ("post", "/api/v1/logs/{id}/session"): {"200": {JSON: _SESSION}, "201": {JSON: _SESSION}},
    ("post", "/api/v1/analyses"): {"202": {JSON: _object(ids=_list(_TEXT))}},
    ("get", "/api/v1/analyses"): {"200": {JSON: _object(analyses=_list(_ANALYSIS))}},
    ("get", "/api/v1/analyses/{id}"): {"200": {JSON: _ANALYSIS}},
    ("delete", "/api/v1/analyses/{id}"): {"200": {JSON: _ANALYSIS}},
    ("post", "/api/v1/ingest"): {
        "200": {
            JSON: _object(
                result=_object(
                    status={"const": "ok"},
                    stats=_object(bytes=_COUNT, records=_object(valid=_COUNT, invalid=_COUNT, total=_COUNT)),
                )
            )
        }
    },
    ("post", "/api/v1/results"): {"201": {JSON: _RESULT}},
    ("get", "/api/v1/results"): {"200": {JSON: {"type": "object"}}},
    ("get", "/api/v1/results/{id}"): {"200": {JSON: _TABLE, CSV: _TEXT, TEXT: _TEXT}},
    ("post", "/api/v1/pair"): {"201": {JSON: _DEVICE}},
    ("get", "/api/v1/devices"): {
        "200": {JSON: _object(devices=_list(_DEVICE), you=_object(id=_or_null(_TEXT), local=_TRUTH))}
    },
    ("post", "/api/v1/devices"): {
        "201": {
            JSON: {
                "oneOf": [
                    _object(kind={"const": "token"}, id=_TEXT, name=_TEXT, token=_TEXT),
                    _object(kind={"const": "device"}, code=_TEXT, link=_TEXT, valid_s=_NUMBER, qr=_TEXT),
                ]
            }
        }
    },
    ("get", "/api/v1/diagnosis"): {"200": {JSON: _object(format={"const": "lowmaf.diagnosis/1"})}},
    ("post", "/api/analyze/0/"): {"200": {JSON: {**_list(_OPENEJ_CELL), "minItems": 48, "maxItems": 48}}},
}  # fmt: skip
"""(method, path) → status → media type → schema, for every route whose answer has a body."""
