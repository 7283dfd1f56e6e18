"""What `make demo` needs: the small model, a vLLM server as a child process, and one question to it."""
