"""How long things may take in tests.

A clock measures the other tests too where many run at once: there a limit only tells what hangs. `make
test-long` sets LOWMAF_TIMED, and holds to it.
"""

from __future__ import annotations

import os

_BESIDE_OTHERS = 10.0


def at_most(limit_s: float) -> float:
    """The limit that a duration is held to, s."""
    return limit_s if os.environ.get("LOWMAF_TIMED") else _BESIDE_OTHERS * limit_s
