"""The inbox: server-rendered pages."""
