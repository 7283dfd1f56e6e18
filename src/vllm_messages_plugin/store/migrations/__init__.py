"""Alembic's migrations of the store. They are part of the wheel and run when a server first uses a store."""
