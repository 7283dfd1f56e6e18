"""Splits the text of a model into answer text, thinking and tool calls while the text still arrives."""
