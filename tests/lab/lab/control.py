"""A hidden Erlang node in each host that evaluates expressions on the nodes there, and needs no code on them."""

import itertools
import os
import struct
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

from .etf import decode

_SOURCE = Path(__file__).with_name("lab_control.erl")
_BOOT = """
[Source, In, Out] = init:get_plain_arguments(),
{ok, Module, Beam} = compile:file(Source, [binary]),
{module, Module} = code:load_binary(Module, Source, Beam),
Module:serve(list_to_integer(In), list_to_integer(Out)).
"""


class ErlangError(Exception):
    """An expression failed: `kind` is error, exit, throw or parse."""

    def __init__(self, kind: str, reason: object, printed: str):
        super().__init__(f"{kind}: {printed}")
        self.kind, self.reason = kind, reason


class NodeDown(ErlangError):
    """The node cannot be reached."""


class EvalTimeout(ErlangError):
    """The node has not answered in time."""


class Controller:
    """One hidden node, started at the first evaluation. Several threads may use it at once."""

    def __init__(self, host, short_names: bool = False):
        self._host = host
        self._ids = itertools.count()
        self._waiting: dict[int, Future] = {}
        self._lock = threading.Lock()
        option = "-sname" if short_names else "-name"
        self.node = f"lab-control{'-short' * short_names}@{host.label if short_names else host.name}"
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        try:
            with open(host.folder / "control.log", "ab") as log:
                self._process = host.popen(
                    host.command("erl", option, self.node, "-hidden", "-connect_all", "false", "-noinput",
                                 *host.ground.erl_options(host, fixed_port=False),
                                 "-eval", _BOOT, "-extra", str(_SOURCE), str(requests), str(answers),
                                 HOME=str(host.control_home), ERL_CRASH_DUMP_BYTES="0"),
                    pass_fds=(requests, answers), stdout=log, stderr=log)
        finally:
            os.close(requests)
            os.close(answers)
        threading.Thread(target=self._read, daemon=True).start()

    def eval(self, node: str, text: str, timeout: float) -> object:
        """The value of the expressions `text` on `node`."""
        return self._ask(node, text, timeout, form=0)

    def printed(self, node: str, text: str, timeout: float) -> str:
        """The value of the expressions `text` on `node`, as Erlang prints it."""
        return self._ask(node, text, timeout, form=1).decode()

    def _ask(self, node: str, text: str, timeout: float, form: int) -> object:
        future: Future = Future()
        with self._lock:
            number = next(self._ids) % 2**32
            self._waiting[number] = future
            self._write(struct.pack(">IIBH", number, int(timeout * 1000), form, len(node.encode())), node.encode(),
                        (text.rstrip().rstrip(".") + ".").encode())
        try:
            # The node has the same deadline; what is beyond it is for a controller that hangs.
            answer = future.result(timeout + 15)
        except FutureTimeout:
            raise EvalTimeout("error", "timeout", f"the controller {self.node} does not answer") from None
        finally:
            self._waiting.pop(number, None)
        return _value(answer)

    def _write(self, *parts: bytes) -> None:
        data = b"".join(parts)
        data = struct.pack(">I", len(data)) + data
        try:
            while data:
                data = data[os.write(self._requests, data):]
        except OSError as error:
            raise self._gone() from error

    def _read(self) -> None:
        with open(self._answers, "rb") as answers:
            while len(head := answers.read(4)) == 4:
                data = answers.read(struct.unpack(">I", head)[0])
                if future := self._waiting.get(struct.unpack(">I", data[:4])[0]):
                    future.set_result(data[4:])
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(self._gone())

    def _gone(self) -> NodeDown:
        log = (self._host.folder / "control.log").read_text(errors="replace")[-2000:]
        return NodeDown("error", "noconnection", f"the controller {self.node} has ended: {log}")

    def close(self) -> None:
        """Ends the node."""
        with self._lock:
            os.close(self._requests)
        self._process.wait(10)


def _value(answer: bytes) -> object:
    match decode(answer):
        case ("ok", value):
            return value
        case ("error", kind, ("erpc", "noconnection") as reason, printed):
            raise NodeDown(kind, reason, printed.decode())
        case ("error", kind, ("erpc", "timeout") as reason, printed):
            raise EvalTimeout(kind, reason, printed.decode())
        case ("error", kind, reason, printed):
            raise ErlangError(kind, reason, printed.decode())
        case other:
            raise ValueError(f"the controller answered {other!r}")
