"""Readers of one call each, one module for each way of writing arguments."""
