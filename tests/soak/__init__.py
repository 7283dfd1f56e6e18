"""Runs many clients against one server for a long time and looks for protocol violations and leaks.

- `probe`: middleware in the server that reports its memory, tasks and file descriptors
- `actions`: what a client does: one function for each kind of request, with a check of the reply
- `load`: many clients at once, and the counts of what they did
- `report`: the verdict and its table
"""
