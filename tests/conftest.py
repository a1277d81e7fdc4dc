"""What tests of several rooms share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

PROJECT = Path(__file__).resolve().parents[1]

# how long one example takes on a machine that does other things as well says nothing of the code
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# a shell starts what runs in its background with interrupts ignored, and so would be all that tests start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout that is being tested."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_logs() -> Path:
    """Folder of recorded logs of real cars, which are private and no part of the project."""
    folder = PROJECT.parent / "shared" / "logs"
    if not folder.is_dir():
        pytest.skip(f"no recorded logs of real cars beside the checkout ({folder})")
    return folder
