#!/bin/sh
# Makes Temporal's two databases and brings their schemas to what this version of its server needs.
# Harmless when that is done already: each step looks first.
set -eu

make_database() { # $1: its name, $2: its schema
	temporal-sql-tool --db "$1" create
	temporal-sql-tool --db "$1" setup-schema -v 0.0
	temporal-sql-tool --db "$1" update-schema -d "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

make_database temporal temporal
make_database temporal_visibility visibility
