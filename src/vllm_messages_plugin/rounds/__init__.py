"""Decides when a reply goes on after a server tool: what is run, what is refused, when it ends. Pure."""
