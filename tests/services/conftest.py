"""A database for each test."""

from tests.persistence.conftest import database

__all__ = ["database"]
