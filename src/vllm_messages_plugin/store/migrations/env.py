"""Runs migrations on the connection that `store.migrate` opened; Alembic executes this module."""

from alembic import context

from vllm_messages_plugin.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="messages_store_version",
)
context.run_migrations()
