"""Who asks, and how much they may: tokens, keys, rates and quotas. Knows no routes."""
