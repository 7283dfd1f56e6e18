"""Runs llama.cpp's server: `python llama_server.py MODEL.gguf ALIAS PORT WINDOW`.

It runs in the environment of `contenders.llama_cpp`, which has `xllamacpp`: llama.cpp's own C++ server in a
Python package. The settings are the defaults of llama.cpp's `llama-server`.
"""

import sys
import threading

import xllamacpp


def main(model: str, alias: str, port: str, window: str) -> None:
    """Serve until the process is stopped."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {alias}
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = int(window)
    params.n_parallel = 4
    params.kv_unified = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # as vLLM in this comparison
    params.use_jinja = True
    params.endpoint_metrics = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
