"""The only room that imports vLLM.

`plugin` builds a `backend.Backend` here when the server starts and hands it to `http`.
"""
