"""Tools of MCP servers: which servers may be asked, how they are asked, and what the model reads of them."""
