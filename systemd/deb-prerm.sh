#!/bin/sh
# Before the Debian package is removed; an upgrade leaves the service running until the new one is there.
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now lowmaf.service
fi
