"""``python -m daemon`` is ``lowmaf``."""

import sys

from daemon.cli import main

sys.exit(main())
