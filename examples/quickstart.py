"""Ask a model on your own vLLM server and stream the reply.

    pip install anthropic
    python quickstart.py "What is the capital of France?"

Any model will do.
"""

import os
import sys

import anthropic

client = anthropic.Anthropic(
    base_url=os.environ.get("ANTHROPIC_BASE_URL", "http://localhost:8000"),  # without /v1
    api_key=os.environ.get("ANTHROPIC_API_KEY", "none"),  # any text, unless vLLM has --api-key
)
# The name after `vllm serve`; without MODEL, the first model in the server's list.
model = os.environ.get("MODEL") or next(iter(client.models.list())).id
question = " ".join(sys.argv[1:]) or "What is the capital of France?"

with client.messages.stream(
    model=model,
    max_tokens=200,
    messages=[{"role": "user", "content": question}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
    message = stream.get_final_message()

usage = message.usage
print(f"\n[{model}: {usage.input_tokens} tokens in, {usage.output_tokens} out, {message.stop_reason}]")
