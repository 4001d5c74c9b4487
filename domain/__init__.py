"""Pure rules: states, templates, permissions, prices, errors. Standard library only."""
