"""FastAPI routes and ASGI middleware.

The routes stay thin: they parse a request, call the pure packages and the engine, and write the result.
The engine is handed in by `plugin` as the protocol `ports.Backend`; nothing here imports vLLM.
"""
