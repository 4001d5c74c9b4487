#!/bin/sh
# Makes the namespace, unless it is there. A week of closed workflows stays to be looked at in the
# UI; what users see is in Postgres and is kept.
set -eu

namespace=${1:-default}
if ! temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1; then
	temporal operator namespace create --namespace "$namespace" --retention 7d
fi
