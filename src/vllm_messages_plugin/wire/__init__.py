"""The protocol's words: requests, messages, events and errors, and how events become bytes.

Imports nothing of ours; every other room may import it.
"""
