"""Pure rules of Perdure: states, templates, permissions, prices, ids, errors. Standard library only."""
