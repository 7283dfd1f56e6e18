"""Protocol types: requests, messages, events and errors, and the encoding of events as bytes.

Imports no other package of this project; every other package may import it.
"""
