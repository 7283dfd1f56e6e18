"""Server-independent checks of the Messages protocol: client, checks, stream rules, report."""
