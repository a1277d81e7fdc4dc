#!/bin/sh
# Before the Debian package is unpacked: what make install put there would win over it.
set -e

if [ -e /usr/local/lib/systemd/system/lowmaf.service ]; then
	echo "lowmaf was installed from a clone: sudo make uninstall there first (configuration and data stay)" >&2
	exit 1
fi
