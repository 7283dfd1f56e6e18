"""Ask a model a list of questions overnight, as a batch, and print how many answers are right.

    python nightly_evaluation.py [questions.jsonl]

A line of the file is {"id": "capital-1", "question": "...", "answer": "Paris"}. The batch runs while nobody
else needs the server, and goes on if this program or the server is stopped: start the program again with
BATCH=msgbatch_... to wait for it. The server needs `pip install 'vllm-messages-plugin[store]'`.
"""

import json
import os
import sys
import time
from pathlib import Path

import anthropic

client = anthropic.Anthropic(
    base_url=os.environ.get("ANTHROPIC_BASE_URL", "http://localhost:8000"),
    api_key=os.environ.get("ANTHROPIC_API_KEY", "none"),
)
model = os.environ.get("MODEL") or next(iter(client.models.list())).id
QUESTIONS = [
    {"id": "capital-1", "question": "What is the capital of France?", "answer": "Paris"},
    {"id": "capital-2", "question": "What is the capital of Peru?", "answer": "Lima"},
    {"id": "sum-1", "question": "What is 17 + 25?", "answer": "42"},
]
if len(sys.argv) > 1:
    QUESTIONS = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]

batch_id = os.environ.get("BATCH")
if not batch_id:
    requests = [
        {
            "custom_id": question["id"],
            "params": {
                "model": model,
                "max_tokens": 300,
                "temperature": 0,
                "system": "Answer in one short sentence.",
                "messages": [{"role": "user", "content": question["question"]}],
            },
        }
        for question in QUESTIONS
    ]
    batch_id = client.messages.batches.create(requests=requests).id
    print(f"{batch_id}: {len(requests)} questions", file=sys.stderr)

while client.messages.batches.retrieve(batch_id).processing_status != "ended":
    time.sleep(float(os.environ.get("POLL_SECONDS", "30")))

expected = {question["id"]: question["answer"] for question in QUESTIONS}
right = 0
for entry in client.messages.batches.results(batch_id):  # in the order of the requests, here
    if entry.result.type == "succeeded":
        reply = "".join(block.text for block in entry.result.message.content if block.type == "text")
        is_right = expected[entry.custom_id].lower() in reply.lower()
        right += is_right
        print("right" if is_right else f"wrong ({reply.strip()!r})", entry.custom_id, sep="\t")
    elif entry.result.type == "errored":
        print(f"error ({entry.result.error.error.message})", entry.custom_id, sep="\t")
    else:  # canceled or expired
        print(entry.result.type, entry.custom_id, sep="\t")
print(f"{right} of {len(expected)} right")
