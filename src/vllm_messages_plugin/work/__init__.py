"""Runs the items of batches in the background, with a runner handed in. No HTTP and no vLLM here."""
