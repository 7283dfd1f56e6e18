"""The machine between the engine's deltas and the protocol's events.

`http.messages` feeds it; it knows neither vLLM nor HTTP.
"""
