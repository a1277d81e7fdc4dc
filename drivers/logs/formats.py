"""Names of the programs that write logs, by what their files look like. For people: nothing depends on it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from drivers.logs.aliases import Header

_SIGNS = (
    ("hp-tuners", re.compile(r"^HP Tuners CSV Log File|^\[Channel Information\]", re.IGNORECASE)),
    ("megasquirt", re.compile(r"Capture Date:|^\"?MS[23\w]* ?Format|\bEGO cor ?1\b|\bGego\b", re.IGNORECASE)),
    ("vcds", re.compile(r"VCDS Version|VCID:|^,?\"?Group [A-Z]:", re.IGNORECASE)),
    ("torque", re.compile(r"GPS Time.*Device Time|Device Time.*\bG\(x\)", re.IGNORECASE)),
    ("obd-fusion", re.compile(r"^#\s*StartTime", re.IGNORECASE)),
    ("car-scanner", re.compile(r"^SECONDS;.*", re.IGNORECASE)),
    ("cobb", re.compile(r"\bAP Info:", re.IGNORECASE)),
    ("me7logger", re.compile(r"ME7-?Logger", re.IGNORECASE)),
    ("bluedriver", re.compile(r"BlueDriver", re.IGNORECASE)),
    ("ecutek", re.compile(r"Fuel Trim Short Term.*MAF (Sensor|Voltage)|MAF Sensor.*Fuel Trim Short Term")),
    ("btssm", re.compile(r"Fuel correct \(%\).*Fuel learn \(%\)")),
    (
        "romraider",
        re.compile(r"^\W*Time( \(msec\))?[,;\t].*(A/F (Correction|Learning) #1|Engine Speed \(rpm\))"),
    ),
    ("tactrix", re.compile(r"^\W*sample[,;]time[,;]")),
    ("cobb", re.compile(r"\bShort Term FT\b.*\bLong Term FT\b|\bLong Term FT\b.*\bShort Term FT\b")),
    ("cobb", re.compile(r"\bAF Correction 1 \(%\)")),
    ("obd", re.compile(r"fuel[ _]trim[ _]bank|fuel %? ?trim|EQUIV_RATIO", re.IGNORECASE)),
)

UNKNOWN = "unknown"

REFUSALS = {
    "me7logger": "ME7-Logger writes the lambda control as factors (fr_w, frm_w), not as fuel trims in %",
    "car-scanner": "Car Scanner writes names in the language of the phone: set it to English, or name them",
}
"""Why a log of such a program that lacks what is needed usually does."""


def format_name(preamble: Sequence[str], headers: Sequence[Header], separator: str) -> str:
    """The program that wrote a log, ``unknown`` where nothing tells."""
    names = separator.join(header.text for header in headers)
    for name, sign in _SIGNS:
        if sign.search(names) or any(sign.search(line) for line in preamble):
            return name
    return UNKNOWN
