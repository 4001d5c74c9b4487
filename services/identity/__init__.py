"""Services of users and their API keys."""
