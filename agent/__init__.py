"""The loop: moves one execution forward step by step, through ports. Knows no Temporal, no SQL."""
