"""Turns the text of one reply into deltas: output parsers, the thinking budget, grammars."""
