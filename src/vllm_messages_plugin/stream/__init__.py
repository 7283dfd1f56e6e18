"""The state machine between the engine's deltas and the protocol's events. It knows neither vLLM nor HTTP."""
