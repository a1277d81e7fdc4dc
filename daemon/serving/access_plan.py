"""Who may do what, decided before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field

from daemon.config.sections import LimitSettings, WebSettings
from web.access import AccessSettings
from web.request_body import BodyLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPlan:
    """``code_valid_s`` is how long a pairing code is good; ``max_devices`` counts tokens of scripts too."""

    settings: AccessSettings = field(default_factory=AccessSettings)
    code_valid_s: float = 300.0
    max_devices: int = 50

    @classmethod
    def of(cls, web: WebSettings, limits: LimitSettings) -> AccessPlan:
        """What the sections ``[web]`` and ``[limits]`` say of it."""
        return cls(
            settings=AccessSettings(
                read_requires_pairing=web.read_requires_pairing,
                openej_offered=web.openej_service,
                openej_per_min=web.openej_per_min,
                openej_max_bytes=int(web.openej_max_mb * 1e6),
                requests_per_s=web.requests_per_s,
                encrypted=web.tls_certificate is not None,
                bodies=BodyLimits(
                    json_bytes=int(limits.json_kb * 1e3),
                    table_bytes=int(limits.table_kb * 1e3),
                    wait_s=limits.body_wait_s,
                    least_bytes_per_s=limits.body_kb_per_s * 1e3,
                ),
            ),
            code_valid_s=web.pairing_code_s,
            max_devices=web.max_devices,
        )
