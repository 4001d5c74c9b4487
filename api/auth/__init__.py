"""Who sends a request: tokens, API keys, rate limits."""
