"""The stores that the tests of this package work with."""

from support.stores import options, postgres_url, store

__all__ = ["options", "postgres_url", "store"]
