#!/bin/sh
# Installs lowmaf as a service, or removes it: systemd/install.sh install|uninstall, from the checkout.
# DESTDIR=FOLDER prepares a file tree there instead of this machine; PYTHON=… chooses the interpreter;
# PREFIX=/usr puts files where a package has them; PURGE=1 with uninstall removes configuration and data
# too. Called by make install, make uninstall and make deb.
set -eu

DESTDIR=${DESTDIR:-}
here=$(cd "$(dirname "$0")" && pwd)
source=$(dirname "$here")

home=/opt/lowmaf
config=/etc/lowmaf
data=/var/lib/lowmaf
# Ours go below /usr/local, so that what the owner writes below /etc always wins.
prefix=${PREFIX:-/usr/local}
command=$prefix/bin/lowmaf
lib=$prefix/lib
files="
lowmaf.service          $lib/systemd/system/lowmaf.service
lowmaf.sysusers         $lib/sysusers.d/lowmaf.conf
lowmaf.tmpfiles         $lib/tmpfiles.d/lowmaf.conf
60-lowmaf.rules         $lib/udev/rules.d/60-lowmaf.rules
80-lowmaf-can0.network  $lib/systemd/network/80-lowmaf-can0.network
"
zsh=site-functions
[ "$prefix" != /usr ] || zsh=vendor-completions # Debian's zsh looks there for those of packages
# Made by the program itself: words of its command line, and the file that tells them.
told="
manual           $prefix/share/man/man1/lowmaf.1
completion_bash  $prefix/share/bash-completion/completions/lowmaf
completion_zsh   $prefix/share/zsh/$zsh/_lowmaf
completion_fish  $prefix/share/fish/vendor_completions.d/lowmaf.fish
"

fail() {
	echo "$*" >&2
	exit 1
}

booted() { # whether it is this machine that is meant, and systemd runs it
	[ -z "$DESTDIR" ] && [ -d /run/systemd/system ]
}

check_machine() {
	[ -z "$DESTDIR" ] || return 0
	[ "$(id -u)" = 0 ] || fail "this changes the system: sudo make $1"
	command -v systemctl >/dev/null || fail "there is no systemd here, which starts and watches the service"
	[ ! -e /usr/lib/systemd/system/lowmaf.service ] ||
		fail "the Debian package of lowmaf is installed here: sudo apt remove lowmaf first (its data stays)"
}

choose_python() {
	python=${PYTHON:-python3}
	"$python" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null ||
		fail "lowmaf needs Python 3.11 or newer and $python is not: sudo make install PYTHON=/path/to/python3.13"
	"$python" -c "import ensurepip, venv" 2>/dev/null ||
		fail "$python cannot make virtual environments: sudo apt install python3-venv"
	[ -n "$DESTDIR" ] || case $("$python" -c "import os, sys; print(os.path.realpath(sys.base_prefix))") in
	/home/* | /root/*)
		fail "$python lies in somebody's home, where the service may not look: sudo make install PYTHON=/usr/bin/python3"
		;;
	esac
}

# Made beside the present one and put in its place once it is complete: where the network fails half way,
# the old one stays as it was.
install_program() {
	new=$DESTDIR$home.new
	work=$(mktemp -d)
	trap 'rm -rf "$work" "$new"' EXIT
	rm -rf "$new"
	mkdir -p "$(dirname "$new")"
	echo "Installing the program into $DESTDIR$home"
	"$python" -m venv "$new"
	export PIP_NO_CACHE_DIR="${PIP_NO_CACHE_DIR:-1}" # a card has better uses for 30 MB
	set -- "$new/bin/python" -m pip --disable-pip-version-check --no-input install --quiet \
		--root-user-action ignore
	"$@" --require-hashes --only-binary :all: --requirement "$source/requirements.lock"
	for part in daemon drivers lowmaf web systemd config.example.toml pyproject.toml README.md LICENSE NOTICES.md; do
		cp -R "$source/$part" "$work" # built from a copy: nothing of root's is left in the checkout
	done
	"$@" --no-deps --no-build-isolation "$work"
	mkdir -p "$new/share/doc"
	cp -R "$source/README.md" "$source/LICENSE" "$source/NOTICES.md" "$source/CHANGELOG.md" "$source/SECURITY.md" \
		"$source/docs" "$new/share/doc"
	# Scripts name the interpreter by the folder it was made in.
	grep -rlIF "$new" "$new/bin" "$new/pyvenv.cfg" | while read -r script; do
		sed -i "s|$new|$home|g" "$script"
	done
	chmod -R a+rX,go-w "$new"
	rm -rf "$DESTDIR$home.old"
	[ ! -d "$DESTDIR$home" ] || mv "$DESTDIR$home" "$DESTDIR$home.old"
	mv "$new" "$DESTDIR$home"
	rm -rf "$DESTDIR$home.old" "$work"
	trap - EXIT
	mkdir -p "$DESTDIR$(dirname $command)"
	ln -sfn "$home/bin/lowmaf" "$DESTDIR$command"
}

install_files() {
	echo "$files" | while read -r name target; do
		[ -z "$name" ] || install -D -m 0644 "$here/$name" "$DESTDIR$target"
	done
	echo "$told" | while read -r words target; do
		[ -z "$words" ] && continue
		install -d "$DESTDIR$(dirname "$target")"
		(cd / && "$DESTDIR$home/bin/python" -m daemon $(echo "$words" | tr _ ' ')) >"$DESTDIR$target"
		chmod 0644 "$DESTDIR$target"
	done
}

install_config() {
	install -d -m 0750 "$DESTDIR$config"
	[ ! -e "$DESTDIR$config/lowmaf.toml" ] || return 0
	sed -e "s|^database = .*|database = \"$data/lowmaf.sqlite3\"|" \
		-e 's|^host = .*|host = "0.0.0.0"|' "$source/config.example.toml" >"$DESTDIR$config/lowmaf.toml.new"
	chmod 0640 "$DESTDIR$config/lowmaf.toml.new"
	mv "$DESTDIR$config/lowmaf.toml.new" "$DESTDIR$config/lowmaf.toml"
	fresh=yes
}

take_effect() {
	[ -z "$DESTDIR" ] || return 0
	systemd-sysusers "$lib/sysusers.d/lowmaf.conf"
	systemd-tmpfiles --create "$lib/tmpfiles.d/lowmaf.conf"
	booted || return 0
	systemctl daemon-reload
	if command -v udevadm >/dev/null; then
		udevadm control --reload 2>/dev/null || true # in a container nobody listens
		udevadm trigger --subsystem-match=tty --subsystem-match=usb-serial 2>/dev/null || true
	fi
	systemctl try-restart lowmaf.service
}

case ${1:-} in
install)
	fresh=no
	check_machine install
	choose_python
	install_program
	install_files
	install_config
	take_effect
	if [ "$fresh" = yes ]; then
		echo "Installed. What is plugged in is found out, and $config/lowmaf.toml written, by:"
		echo "  sudo lowmaf setup"
		echo "Until then it is the simulated car. The service starts by:"
		echo "  sudo systemctl enable --now lowmaf"
	else
		echo "Installed; $config/lowmaf.toml and the data in $data are as they were."
	fi
	;;
uninstall)
	check_machine uninstall
	if booted; then
		systemctl disable --now lowmaf.service 2>/dev/null || true # it may never have been enabled
	fi
	echo "$files$told" | while read -r name target; do
		[ -z "$name" ] || rm -f "$DESTDIR$target"
	done
	rm -rf "$DESTDIR$home" "$DESTDIR$command"
	if [ "${PURGE:-}" = 1 ]; then
		rm -rf "$DESTDIR$config" "$DESTDIR$data"
		if [ -z "$DESTDIR" ] && getent passwd lowmaf >/dev/null; then
			userdel lowmaf
		fi
		echo "Removed, with configuration and data."
	else
		echo "Removed. $config and $data are left; with them: sudo make uninstall PURGE=1"
	fi
	if booted; then
		systemctl daemon-reload
	fi
	;;
*)
	fail "say what to do: $0 install, or $0 uninstall"
	;;
esac
