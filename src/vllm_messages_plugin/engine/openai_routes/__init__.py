"""This plugin's parsers as tool and reasoning parsers of vLLM's OpenAI routes."""
