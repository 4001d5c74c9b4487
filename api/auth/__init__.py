"""Authentication and rate limits: tokens, API keys."""
