"""Files, batches and message threads in a database, and the bytes of files and batches beside it.

The database is SQLite in a data directory, or PostgreSQL for several replicas. Nothing is kept in the memory
of a process, so that all processes of a server, and all replicas, share what is stored. The extra `store`
brings what this package imports. No HTTP and no vLLM here.
"""
