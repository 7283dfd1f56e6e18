"""A child process that answers /health in place of a vLLM server."""

import sys
import textwrap

# A server that only knows /health; with `slow` it is unhealthy, with `deaf` it ignores SIGTERM.
STAND_IN = textwrap.dedent("""
    import http.server, signal, sys
    if "dies" in sys.argv:
        sys.exit("no such model")
    if "deaf" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(503 if "slow" in sys.argv else 200)
            self.end_headers()
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
""")


def stand_in(port: int, *moods: str) -> list[str]:
    """Return its command. `dies`: it ends at once; `slow`: it is unhealthy; `deaf`: it ignores SIGTERM."""
    return [sys.executable, "-c", STAND_IN, str(port), *moods]
