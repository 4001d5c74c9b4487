"""Measures our execution beside its peers in one run: `python -m bench` writes `RESULTS.md`."""
