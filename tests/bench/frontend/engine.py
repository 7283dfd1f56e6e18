"""The scripted engine core: it implements vLLM's protocol on the sockets of one API server.

Every request gets the same reply, a token of it in each step. A step is one message with a token for each
stream, as a real engine's. The next step waits until the server's main thread sleeps: so no two tokens are
merged on the way, however slow the machine is, and the server's CPU time is that of one event a token.
"""

import dataclasses
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import zmq
from vllm.v1.engine import (
    EngineCoreOutput,
    EngineCoreOutputs,
    EngineCoreReadyResponse,
    EngineCoreRequest,
    EngineCoreRequestType,
    FinishReason,
    UtilityOutput,
)
from vllm.v1.serial_utils import MsgpackDecoder, MsgpackEncoder, UtilityResult

WINDOW = 400_000
POLL_MILLISECONDS = 20
WAKE_SECONDS = 0.5
"""How long a server may take to wake up for a step, on a busy machine."""


def ready_response() -> EngineCoreReadyResponse:
    """What an engine reports of itself: one rank with room for every stream."""
    known = {
        "max_model_len": WINDOW, "num_gpu_blocks": 100_000, "block_size": 16, "dp_stats_address": None,
        "dtype": "float32", "vllm_version": "", "world_size": 1, "data_parallel_size": 1,
        "tensor_parallel_size": 1, "pipeline_parallel_size": 1, "decode_context_parallel_size": 1,
        "data_parallel_rank": 0, "max_num_seqs": 1_024, "max_num_batched_tokens": WINDOW,
        "instance_id": "bench", "supports_lora": False, "max_loras": 0,
    }  # fmt: skip
    fields = {field.name for field in dataclasses.fields(EngineCoreReadyResponse)}
    return EngineCoreReadyResponse(**{name: value for name, value in known.items() if name in fields})


class ScriptedCore:
    """One engine core, in a thread of this process."""

    def __init__(self, sockets: Path) -> None:
        self._sockets = sockets
        self.process: int | None = None  # the server's, once it runs
        self.reply: Sequence[int] = (1,)
        self.streams = 1  # the first step waits for so many requests
        self.lockstep = True
        self.seconds_per_step = 0.0  # the pace of the steps; 0: each follows the one before
        self.prompt_tokens = 0  # of the last request
        self.first_step = 0.0  # when the last streams began, on the clock `time.perf_counter`
        self.last_step = 0.0  # and when their last tokens left
        self.cpu_at_last_step = 0.0  # seconds that the server's process had used by then
        self.settles = False  # whether the first step waits until the server sleeps
        self.cpu_before_first_step = 0.0  # seconds that the server's process had used then
        self._waiting: dict[str, Sequence[int]] = {}
        self._active: dict[str, tuple[Sequence[int], int]] = {}
        self._steps = 0  # of the last streams
        self._stopped = threading.Event()
        self._encoder = MsgpackEncoder()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Connect to the server, which may not have been started yet."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with (
            zmq.Context() as context,
            context.socket(zmq.DEALER) as requests,
            context.socket(zmq.PUSH) as outputs,
        ):
            requests.setsockopt(zmq.IDENTITY, (0).to_bytes(2, "little"))
            requests.setsockopt(zmq.LINGER, 0)
            outputs.setsockopt(zmq.LINGER, 0)
            requests.connect(f"ipc://{self._sockets}/input")
            outputs.connect(f"ipc://{self._sockets}/output")
            requests.send(msgspec.msgpack.encode(ready_response()))
            while not self._stopped.is_set():
                if requests.poll(0 if self._active else POLL_MILLISECONDS):
                    self._receive(requests, outputs)
                elif self._active:
                    self._step(outputs)

    def _receive(self, requests: Any, outputs: Any) -> None:
        kind, *frames = requests.recv_multipart()
        match EngineCoreRequestType(kind):
            case EngineCoreRequestType.ADD:
                request = MsgpackDecoder(EngineCoreRequest).decode(frames)
                self.prompt_tokens = len(request.prompt_token_ids or ())
                self._waiting[request.request_id] = self.reply
                if len(self._waiting) >= self.streams:
                    self._active |= {name: (reply, 0) for name, reply in self._waiting.items()}
                    self._waiting.clear()
                    self._begin()
            case EngineCoreRequestType.ABORT:
                for name in MsgpackDecoder().decode(frames):
                    self._active.pop(name, None)
                    self._waiting.pop(name, None)
            case EngineCoreRequestType.UTILITY:
                _, call_id, method, *_ = MsgpackDecoder().decode(frames)
                result = ["generate"] if method == "get_supported_tasks" else None
                output = UtilityOutput(call_id, result=UtilityResult(result))
                outputs.send_multipart(self._encoder.encode(EngineCoreOutputs(utility_output=output)))

    def _begin(self) -> None:
        """Note when the first step is made, and what the server had done by then."""
        if self.settles:
            self._wait_until_asleep()
        self.cpu_before_first_step = self.cpu_seconds()
        self.first_step = time.perf_counter()
        self._steps = 0

    def cpu_seconds(self) -> float:
        """CPU time of the server's process so far, all threads included."""
        assert self.process is not None
        return time.clock_gettime((~self.process << 3) | 2)  # Linux's clock id for another process

    def _step(self, outputs: Any) -> None:
        """Send a token of each stream, when it is time."""
        due = self.first_step + self._steps * self.seconds_per_step
        time.sleep(max(due - time.perf_counter(), 0.0))
        self._steps += 1
        batch = []
        for name, (reply, at) in list(self._active.items()):
            last = at + 1 == len(reply)
            output = EngineCoreOutput(name, [reply[at]], finish_reason=FinishReason.STOP if last else None)
            batch.append(output)
            if last:
                del self._active[name]
            else:
                self._active[name] = (reply, at + 1)
        used = self._used()
        outputs.send_multipart(self._encoder.encode(EngineCoreOutputs(outputs=batch)))
        if not self._active:
            self.last_step, self.cpu_at_last_step = time.perf_counter(), self.cpu_seconds()
        if self.lockstep:
            self._wait_until_idle(used)

    def _wait_until_idle(self, used: int) -> None:
        """Wait until the server's main thread has run and sleeps again."""
        limit = time.monotonic() + WAKE_SECONDS
        while self._used() == used and time.monotonic() < limit:
            time.sleep(0.0002)
        self._wait_until_asleep()

    def _wait_until_asleep(self) -> None:
        """Wait until the server's main thread sleeps."""
        asleep = 0
        while asleep < 3 and not self._stopped.is_set():
            asleep = asleep + 1 if self._state() == "S" else 0
            time.sleep(0.0002)

    def _state(self) -> str:
        """`S` while the main thread sleeps; a thread that waits for a processor is `R`."""
        stat = Path(f"/proc/{self.process}/task/{self.process}/stat").read_text(encoding="ascii")
        return stat.rpartition(")")[2].split()[0]

    def _used(self) -> int:
        """Nanoseconds that the main thread has run."""
        path = Path(f"/proc/{self.process}/task/{self.process}/schedstat")
        return int(path.read_text(encoding="ascii").split()[0])
