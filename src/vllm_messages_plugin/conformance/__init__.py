"""A server-independent test suite for the Messages protocol: checks, stream rules, client, report."""
