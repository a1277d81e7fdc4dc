#!/bin/sh
# Builds a Debian package in dist/, for this machine's architecture and Python: systemd/deb.sh, or make deb.
# It holds a virtual environment of its own, so it needs nothing of Debian but Python. PYTHON=… chooses which.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
source=$(dirname "$here")
python=${PYTHON:-/usr/bin/python3}
home=/opt/lowmaf

fail() {
	echo "$*" >&2
	exit 1
}

command -v dpkg-deb >/dev/null || fail "there is no dpkg-deb here: Debian packages are built on Debian"
case $python in
/usr/bin/python3*) ;;
*) fail "PYTHON=$python: the package needs a Python that Debian installs, such as /usr/bin/python3" ;;
esac
version=$("$python" -c "import sys, tomllib
print(tomllib.load(open(sys.argv[1], 'rb'))['project']['version'])" "$source/pyproject.toml") ||
	fail "lowmaf needs Python 3.11 or newer and $python is not"
minor=$("$python" -c "import sys; print(sys.version_info.minor)")
architecture=$(dpkg --print-architecture)
package=$source/dist/lowmaf_${version}_$architecture.deb

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 0755 "$tree"
DESTDIR="$tree" PREFIX=/usr PYTHON="$python" "$here/install.sh" install >/dev/null

# The configuration is the owner's from the first start on, so it is no part of the package: it is made of
# this where there is none.
mv "$tree/etc/lowmaf/lowmaf.toml" "$tree$home/share/lowmaf.toml"
rm -r "$tree/etc"
install -d "$tree/usr/share/doc/lowmaf"
cp "$source/LICENSE" "$tree/usr/share/doc/lowmaf/copyright"

install -d "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<END
Package: lowmaf
Version: $version
Architecture: $architecture
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), systemd
Installed-Size: $(du --summarize --block-size=1024 "$tree" | cut -f 1)
Maintainer: lowmaf <lowmaf@localhost>
Section: science
Priority: optional
Description: live MAF scaling from closed-loop fuel trims
 Reads the fuel trims of a car, keeps a correction for every cell of the ROM's
 MAF table together with how sure it is of it, and shows it on a phone.
END
for script in preinst postinst prerm postrm; do
	install -m 0755 "$here/deb-$script.sh" "$tree/DEBIAN/$script"
done

mkdir -p "$source/dist"
dpkg-deb --root-owner-group -Zxz -z1 --build "$tree" "$package.part" >/dev/null
mv "$package.part" "$package"
echo "$package: sudo apt install $package"
