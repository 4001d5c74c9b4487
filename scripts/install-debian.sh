#!/bin/sh
# Installs the system packages that `make setup` needs, on Debian and Ubuntu.
#   scripts/install-debian.sh                 Python with venv, make
#   scripts/install-debian.sh --with-browser  also Chromium, for the browser tests of `make verify`
set -eu

packages="make python3 python3-venv"
case "${1:-}" in
"") ;;
--with-browser) packages="$packages chromium" ;;
*)
	echo "usage: $0 [--with-browser]" >&2
	exit 2
	;;
esac

if ! command -v apt-get >/dev/null; then
	echo "install-debian: apt-get was not found. Install these packages another way: $packages" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "install-debian: this script needs root. Run: sudo $0 ${1:-}" >&2
	exit 1
fi

echo "install-debian: apt-get install $packages"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # word splitting is intended
apt-get install --yes --quiet --no-install-recommends $packages
