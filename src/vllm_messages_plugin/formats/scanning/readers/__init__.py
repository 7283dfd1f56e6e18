"""Parsers for the arguments of one call, one module for each syntax."""
