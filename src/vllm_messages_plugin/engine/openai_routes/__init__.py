"""Our parsers as tool and reasoning parsers for the OpenAI routes of vLLM."""
