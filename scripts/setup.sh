#!/bin/sh
# Creates .venv from the lock files. Does nothing if the lock files have not changed.
#   scripts/setup.sh        installs the run-time dependencies
#   scripts/setup.sh dev    also installs the dependencies of tests, checks and benchmarks
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
tools=.venv/build-tools # uv and the build backend, separate from the run-time packages
stamp=.venv/synced

fingerprint() { # $1: the lock
	cat "$1" requirements-build.lock pyproject.toml scripts/setup.sh | cksum
}
run_stamp="run $(fingerprint requirements.lock)"
dev_stamp="dev $(fingerprint requirements-dev.lock)"
have=$(cat "$stamp" 2>/dev/null || true)
if [ "$have" = "$dev_stamp" ]; then exit 0; fi
if [ "${1:-run}" = dev ]; then
	want=$dev_stamp lock=requirements-dev.lock
else
	want=$run_stamp lock=requirements.lock
	if [ "$have" = "$want" ]; then exit 0; fi
fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	echo "setup: Perdure needs Python 3.11 or newer; '$python' is older or missing. Install a newer" >&2
	echo "       Python (on Debian: scripts/install-debian.sh), or specify the path:" >&2
	echo "       make setup PYTHON=/path/to/python3.12" >&2
	exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
	echo "setup: '$python' cannot create virtual environments: its venv module is missing." >&2
	echo "       On Debian and Ubuntu, run scripts/install-debian.sh, then run this again." >&2
	exit 1
fi

echo "setup: installing $lock into .venv"
rm -f "$stamp"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
if [ "$(cat "$tools/.lock" 2>/dev/null || true)" != "$(cksum <requirements-build.lock)" ]; then
	rm -rf "$tools"
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--require-hashes --target "$tools" -r requirements-build.lock
	cksum <requirements-build.lock >"$tools/.lock"
fi

# Compile the packages now, not at the first start of each process.
"$tools/bin/uv" pip sync --quiet --python .venv/bin/python --require-hashes --compile-bytecode "$lock"
# Use the installed build backend: an isolated build would download it again without hashes.
PYTHONPATH=$tools "$tools/bin/uv" pip install --quiet --python .venv/bin/python --no-deps \
	--no-build-isolation --editable .
echo "$want" >"$stamp"
