"""What `make demo` needs: a small model, a vLLM server as a child process, and one question to it."""
