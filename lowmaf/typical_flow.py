"""A typical air flow over MAF voltage, for logs that come without the car's own table."""

from __future__ import annotations

import numpy as np

from lowmaf.samples import Floats

_MAF_V = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0])
_LOG_FLOW = np.log([0.4, 2.6, 8.5, 20.0, 40.0, 71.0, 115.0, 175.0, 255.0, 350.0])
for _values in (_MAF_V, _LOG_FLOW):
    _values.flags.writeable = False


def typical_flow_gs(maf_v: Floats) -> Floats:
    """Flow, g/s, of a usual hot-wire sensor in a 70 mm housing.

    Good to a factor of about 1.5: enough for the exhaust delay and for judging how steady the flow
    is, never for a table that is shown or flashed.
    """
    return np.exp(np.interp(maf_v, _MAF_V, _LOG_FLOW))
