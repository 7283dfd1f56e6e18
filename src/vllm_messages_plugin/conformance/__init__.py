"""Server-independent checks of the Messages protocol: the client, the checks, the stream rules, the report."""
