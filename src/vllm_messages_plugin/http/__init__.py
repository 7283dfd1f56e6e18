"""FastAPI routes and ASGI middleware, thin: read, ask, write.

`plugin` hands in the engine, as the protocol `ports.Backend`.
"""
