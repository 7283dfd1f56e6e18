"""Parses the output of one reply into deltas; the thinking budget and the grammars of a request."""
