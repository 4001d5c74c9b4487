#!/bin/sh
# Compares the performance of this checkout with that of a revision, in alternating pairs. Both use
# the packages of this checkout's .venv.
set -eu

[ -n "${1:-}" ] || { echo "Name the revision: make bench-compare REV=main" >&2; exit 2; }
tree=$(mktemp -d)
trap 'git worktree remove --force "$tree"' EXIT
git worktree add --quiet --detach "$tree" "$1"
ln -s "$PWD/.venv" "$tree/.venv"
.venv/bin/python -m bench.compare "$tree"
