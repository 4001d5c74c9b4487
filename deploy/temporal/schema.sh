#!/bin/sh
# Creates Temporal's two databases and updates their schemas to the version that the server needs.
# Safe to run again: each step checks what exists.
set -eu

make_database() { # $1: database name, $2: schema name
	temporal-sql-tool --db "$1" create
	temporal-sql-tool --db "$1" setup-schema -v 0.0
	temporal-sql-tool --db "$1" update-schema -d "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

make_database temporal temporal
make_database temporal_visibility visibility
