"""Posts hostile requests to a real server while other clients use it, and measures what they notice."""
