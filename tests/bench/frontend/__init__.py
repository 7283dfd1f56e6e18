"""The bench of the front end alone: real servers of vLLM whose engine core is a script in another process."""
