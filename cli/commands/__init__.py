"""The subcommands of `perdure`, by what they are about. Bodies import what they need."""
