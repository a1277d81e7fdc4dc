"""The analysis service of one database: uploads, and analyses of them."""

from __future__ import annotations

from collections.abc import Callable

from daemon.analysis.analyses import Analyses
from daemon.analysis.orders import Defaults
from daemon.analysis.settings import AnalysisSettings
from daemon.analysis.store import AnalysisStore
from daemon.analysis.uploads import Uploads
from daemon.store.store import Store


class AnalysisService:
    """What the web is handed; :meth:`daemon.analysis.analyses.Analyses.run` makes both go."""

    def __init__(
        self,
        store: Store,
        settings: AnalysisSettings,
        defaults: Callable[[], Defaults],
        min_free_bytes: float,
    ) -> None:
        kept = AnalysisStore(store)
        self.uploads = Uploads(kept, store.path, settings, min_free_bytes=min_free_bytes)
        self.analyses = Analyses(kept, self.uploads, settings, defaults)
