"""Fuzzing: requests that nobody wrote by hand, and texts that no model should write.

- `test_sdk_types`: requests drawn from the types of Anthropic's SDK
- `test_mutated_text`: samples of model text with bytes changed
- `openapi`: schemathesis, driven by the OpenAPI document of the routes
- `tally`: counts the replies by status

A mutation fuzzer over recorded requests is `request_table/test_mutated.py`. In CI these draw the same
examples every time; `python -m fuzz` explores.
"""
