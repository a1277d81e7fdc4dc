#!/bin/sh
# After the Debian package was removed: configuration and data stay, unless it is purged.
set -e

if [ "$1" = remove ] || [ "$1" = purge ]; then
	rm -rf /opt/lowmaf
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
fi
if [ "$1" = purge ]; then
	rm -rf /etc/lowmaf /var/lib/lowmaf
	if getent passwd lowmaf >/dev/null; then
		userdel lowmaf || true # an account that something still uses stays
	fi
fi
