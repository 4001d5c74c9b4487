"""Users, their API keys, and what admins see and change."""
