#!/bin/sh
# After the Debian package was unpacked: user, folders, first configuration; an upgrade goes on with the rest.
set -e

[ "$1" = configure ] || exit 0
config=/etc/lowmaf/lowmaf.toml

install -d -m 0750 /etc/lowmaf
if [ ! -e $config ]; then
	install -m 0640 /opt/lowmaf/share/lowmaf.toml $config.new
	mv $config.new $config
fi
systemd-sysusers lowmaf.conf
systemd-tmpfiles --create lowmaf.conf
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	udevadm control --reload 2>/dev/null || true # in a container nobody listens
	udevadm trigger --subsystem-match=tty --subsystem-match=usb-serial 2>/dev/null || true
	systemctl try-restart lowmaf.service
fi
if [ -z "$2" ]; then
	echo "lowmaf is installed. What is plugged in is found out by: sudo lowmaf setup"
fi
