"""The disk that the virtual machine boots from: Debian with its own kernel, and lowmaf installed in it.

Made in two steps, each kept in the folder of :mod:`debian_machine`: a Debian with a kernel (once), and that
with this checkout installed by its own script (anew whenever one of its files changed). Needs root and, for
what is not kept yet, a network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from debian_machine import CACHE, ENVIRONMENT, debian, last_line, put_checkout

PROGRAMS = ("qemu-system-x86_64", "mkfs.ext4", "e2fsck", "debugfs", "unshare", "chroot")
PACKAGES = ("linux-image-amd64", "initramfs-tools", "kmod", "iproute2", "e2fsprogs", "ca-certificates")
ROOT_SIZE = "1500M"
DATA_SIZE_MB = 64
DATA_LABEL = "lowmaf-data"
AGENT = Path(__file__).with_name("guest_agent.py")

EARLY_MODULES = ("virtio_pci", "virtio_blk", "ext4")

FILES = {
    "etc/fstab": f"LABEL={DATA_LABEL} /var/lib/lowmaf ext4 noatime,x-systemd.device-timeout=600 0 2\n",
    "etc/hostname": "lowmaf-vm\n",
    "etc/systemd/network/50-vm.network": (
        "[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nLinkLocalAddressing=no\n"
    ),
    "etc/systemd/system/vm-agent.service": (
        "[Unit]\nDefaultDependencies=no\nAfter=local-fs.target\nStartLimitIntervalSec=0\n"
        "[Service]\nExecStart=/usr/bin/python3 -S /usr/local/sbin/vm-agent /dev/virtio-ports/agent\n"
        "Restart=on-failure\n[Install]\nWantedBy=sysinit.target\n"
    ),
    # An emulated processor is twenty times slower than a Raspberry Pi's, and the disk for the data is small.
    "etc/systemd/system/lowmaf.service.d/vm.conf": (
        "[Service]\nTimeoutStartSec=300\nWatchdogSec=120\nEnvironment=LOWMAF_STORAGE_MIN_FREE_MB=1\n"
    ),
    "etc/initramfs-tools/conf.d/vm": "MODULES=list\nCOMPRESS=zstd\n",
    "etc/initramfs-tools/modules": "\n".join(EARLY_MODULES) + "\n",
}
"""What makes a machine of the file tree. Of lowmaf it has only the partition for its data."""

UNWANTED = (
    "systemd-networkd-wait-online.service", "apt-daily.timer", "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer", "e2scrub_reap.service", "e2scrub_all.timer",
    "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount",
    "getty@tty1.service", "serial-getty@ttyS0.service", "console-getty.service",
    "dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "ldconfig.service",
)  # fmt: skip
"""Units that would cost the emulated processor seconds and say nothing of lowmaf."""

IN_ROOT = """
mount --types proc proc "$1/proc"
mount --bind /dev "$1/dev"
mount --types tmpfs tmpfs "$1/run"
root=$1
shift
exec chroot "$root" env --ignore-environment "$@"
"""
"""Runs a command in a file tree, in a mount namespace of its own: nothing of it stays mounted."""


@dataclass(frozen=True)
class VmImage:
    """What QEMU boots: a kernel, what that loads first, and an ext4 root that no test changes."""

    kernel: Path
    initrd: Path
    root: Path


def vm_image(project: Path) -> VmImage:
    """The image for this checkout, made if there is none; skips where this machine cannot."""
    for program in PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here (sudo apt install qemu-system-x86 e2fsprogs)")
    made = CACHE / f"vm-{_digest(project)}"
    if not made.exists():
        tree = _debian_with_kernel()
        for old in CACHE.glob("vm-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(prefix="making-", dir=CACHE) as folder:
            _make(project, tree, Path(folder))
            (Path(folder) / "made").rename(made)
    return VmImage(made / "vmlinuz", made / "initrd.img", made / "root.img")


def data_disk(path: Path) -> Path:
    """An empty disk for what lowmaf keeps: one ext4 file system with the usual barriers."""
    with path.open("wb") as file:
        file.truncate(DATA_SIZE_MB * 1024 * 1024)
    subprocess.run(
        ["mkfs.ext4", "-q", "-L", DATA_LABEL, "-E", "lazy_itable_init=0,lazy_journal_init=0", path],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return path


def _digest(project: Path) -> str:
    """Of everything that is in the image and may change."""
    sums = hashlib.sha256(repr((PACKAGES, FILES, ROOT_SIZE)).encode())
    rooms = [project / room for room in ("daemon", "drivers", "lowmaf", "web", "systemd")]
    files = [path for room in rooms for path in room.rglob("*") if path.is_file()]
    files += [
        project / name for name in ("requirements.lock", "pyproject.toml", "config.example.toml", "Makefile")
    ]
    files.append(AGENT)
    for path in sorted(file for file in files if "__pycache__" not in file.parts):
        sums.update(f"{path.name}\0".encode() + path.read_bytes())
    return sums.hexdigest()[:16]


def _debian_with_kernel() -> Path:
    plain = debian()
    made = CACHE / f"{plain.name}-kernel"
    if not made.exists():
        with tempfile.TemporaryDirectory(prefix="making-", dir=CACHE) as folder:
            tree = Path(folder) / "tree"
            subprocess.run(["cp", "-a", "--reflink=auto", plain, tree], check=True, timeout=300)
            _write_files(tree)
            shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
            install = "apt-get install --yes --no-install-recommends -qq " + " ".join(PACKAGES)
            for line in ("apt-get update -qq", install, "apt-get clean"):
                done = _in_root(tree, "sh", "-c", line)
                if done.returncode != 0:
                    pytest.skip(f"{line}: {last_line(done.stdout + done.stderr)}")
            tree.rename(made)
    return made


def _make(project: Path, tree: Path, folder: Path) -> None:
    root, made = folder / "tree", folder / "made"
    made.mkdir()
    subprocess.run(["cp", "-a", "--reflink=auto", tree, root], check=True, timeout=300)
    _write_files(root)
    put_checkout(project, root)
    shutil.copy(AGENT, root / "usr/local/sbin/vm-agent")
    offline = ("PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels")
    for command in (
        ("env", *offline, "make", "-C", "/src", "install"),
        ("/usr/local/bin/lowmaf", "check", "--config", "/etc/lowmaf/lowmaf.toml"),
        ("systemctl", "enable", "systemd-networkd", "vm-agent", "lowmaf"),
        ("systemctl", "mask", *UNWANTED),
        ("systemctl", "set-default", "multi-user.target"),
        ("systemd-machine-id-setup",),
        ("touch", "/etc/.updated", "/var/.updated"),  # or ldconfig and others think that /usr is new
    ):
        done = _in_root(root, *command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    shutil.rmtree(root / "src")
    shutil.rmtree(root / "wheels")
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    (initrd,) = (root / "boot").glob("initrd.img-*")
    shutil.move(kernel, made / "vmlinuz")
    shutil.move(initrd, made / "initrd.img")
    subprocess.run(
        ["mkfs.ext4", "-q", "-L", "root", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", root,
         made / "root.img", ROOT_SIZE],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip


def _write_files(tree: Path) -> None:
    for name, content in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def _in_root(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    variables = [
        f"{name}={value}" for name, value in (ENVIRONMENT | {"DEBIAN_FRONTEND": "noninteractive"}).items()
    ]
    return subprocess.run(
        ["unshare", "--mount", "sh", "-euc", IN_ROOT, "sh", tree, *variables, *command],
        capture_output=True, text=True, timeout=900, check=False, stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
