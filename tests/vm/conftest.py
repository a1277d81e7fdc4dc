"""Tests in a virtual machine: ``make test-vm``. They take minutes and a Debian with QEMU."""

from __future__ import annotations

from pathlib import Path

import pytest
from vm_image import VmImage, vm_image


@pytest.fixture(scope="session")
def image(project: Path) -> VmImage:
    """Debian with this checkout installed."""
    return vm_image(project)
