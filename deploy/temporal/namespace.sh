#!/bin/sh
# Creates the namespace if it does not exist. Temporal keeps closed workflows for a week, for the UI;
# the data that users see is in Postgres and does not expire.
set -eu

namespace=${1:-default}
if ! temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1; then
	temporal operator namespace create --namespace "$namespace" --retention 7d
fi
