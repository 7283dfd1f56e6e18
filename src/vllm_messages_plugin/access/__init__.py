"""Who may use the server and how much: API keys, rate limits, usage records and metrics."""
