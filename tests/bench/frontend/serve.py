"""`python -m bench.frontend.serve SOCKETS ...`: an API server of vLLM whose engine core is elsewhere.

The arguments behind the directory of the sockets are those of `vllm serve`. App, serving layers, AsyncLLM,
output processor and detokenizer are vLLM's own; only the engine core is not started.
"""

import sys

import uvloop
from vllm.entrypoints.launchers.api_server import entry
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.entrypoints.serve.utils.api_utils import cli_env_setup
from vllm.plugins import load_general_plugins
from vllm.utils.argparse_utils import FlexibleArgumentParser

from bench.frontend import floor


def main(sockets: str, arguments: list[str]) -> None:
    """Serve until the process gets SIGTERM."""
    cli_env_setup()
    load_general_plugins()
    args = make_arg_parser(FlexibleArgumentParser()).parse_args(arguments)
    args.model = args.model_tag or args.model
    validate_parsed_serve_args(args)
    entry.build_app = floor.with_floor(entry.build_app)
    listen_address, sock = entry.setup_server(args, reuse_port=False)
    client = {
        "input_address": f"ipc://{sockets}/input",
        "output_address": f"ipc://{sockets}/output",
        "client_count": 1,
        "client_index": 0,
    }
    uvloop.run(entry.run_server_worker(listen_address, sock, args, client_config=client))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
