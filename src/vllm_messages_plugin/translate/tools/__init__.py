"""Tools of a request: client tools, toolsets, their schemas, and the choice among them."""
