"""The side effects of server tools: web search back ends, page fetching, tool search."""
