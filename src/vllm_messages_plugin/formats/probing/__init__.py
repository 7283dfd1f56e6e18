"""Finds out what a model's chat template can do, and which parsers read the model's output."""
