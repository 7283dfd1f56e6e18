"""The real SmolLM2, unpacked from its Python package, through vLLM's own Chat Completions route."""

import httpx

from support.server import Server


def test_the_unpacked_model_knows_the_capital_of_france(smollm2_server: Server) -> None:
    question = {"role": "user", "content": "What is the capital of France?"}
    body = {"model": smollm2_server.model, "messages": [question], "temperature": 0, "max_tokens": 20}
    with httpx.Client(base_url=smollm2_server.url, trust_env=False, timeout=120) as client:
        answer = client.post("/v1/chat/completions", json=body).json()
    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_the_unpacked_model_continues_a_sentence(smollm2_server: Server) -> None:
    body = {"model": "smollm2", "prompt": "The capital of France is", "temperature": 0, "max_tokens": 4}
    with httpx.Client(base_url=smollm2_server.url, trust_env=False, timeout=120) as client:
        answer = client.post("/v1/completions", json=body).json()
    assert answer["choices"][0]["text"].startswith(" Paris")
