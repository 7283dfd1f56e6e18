"""Learns what a chat template can do by rendering it, and which parsers read what it makes a model write."""
