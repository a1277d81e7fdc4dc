"""Who may do what, decided before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field

from daemon.config.sections import WebSettings
from web.access import AccessSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPlan:
    """``code_valid_s`` is how long a pairing code is good; ``max_devices`` counts tokens of scripts too."""

    settings: AccessSettings = field(default_factory=AccessSettings)
    code_valid_s: float = 300.0
    max_devices: int = 50

    @classmethod
    def of(cls, web: WebSettings) -> AccessPlan:
        """What the section ``[web]`` says of it."""
        return cls(
            settings=AccessSettings(
                read_requires_pairing=web.read_requires_pairing,
                openej_offered=web.openej_service,
                openej_per_min=web.openej_per_min,
                openej_max_bytes=int(web.openej_max_mb * 1e6),
                requests_per_s=web.requests_per_s,
            ),
            code_valid_s=web.pairing_code_s,
            max_devices=web.max_devices,
        )
