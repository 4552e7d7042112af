"""XMPP clients (slixmpp) inside the hosts.

`Client` is what tests use. Behind it, one process a host, `python -m lab.xmpp`, holds the connections of all clients there: it
reads requests from its standard input and writes answers to its standard output, one JSON object a line.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path


class XmppError(Exception):
    """Something went wrong between a client and its server."""


class LoginRefused(XmppError):
    """The server answers, and does not accept the account; the text is its condition, as in not-authorized."""


class Unreachable(XmppError):
    """No connection to the server came about in time."""


class Disconnected(XmppError):
    """The server was there and is gone, or has ended the session."""


class NoMessage(XmppError):
    """No message came in time."""


_ERRORS = {kind.__name__: kind for kind in [XmppError, LoginRefused, Unreachable, Disconnected, NoMessage]}


class Client:
    """A user's session on a node, from the login on."""

    def __init__(self, node, user: str, password: str, resource: str, timeout: float):
        self.jid = f"{user}@{node.domain}"
        self._desk = _desk(node.host)
        self.bound_jid = self._desk.ask(timeout, do="login", jid=f"{self.jid}/{resource}", password=password,
                                        address=node.host.address, port=node.c2s_port)["session"]

    def send(self, to: "Client | str", text: str) -> None:
        """Sends a chat message to a client or an address."""
        self._ask(5, do="send", to=to.jid if isinstance(to, Client) else to, text=text)

    def receive(self, timeout: float = 10) -> tuple[str, str]:
        """Waits for the next message: the bare address of the sender, and the text."""
        answer = self._ask(timeout, do="receive")
        return answer["from"], answer["text"]

    def add_contact(self, jid: str, timeout: float = 10) -> None:
        """Puts an address on the user's roster."""
        self._ask(timeout, do="add_contact", contact=jid)

    def contacts(self, timeout: float = 10) -> list[str]:
        """The addresses on the user's roster."""
        return self._ask(timeout, do="contacts")["contacts"]

    def logout(self) -> None:
        """Ends the session; nothing happens if it has ended already."""
        self._ask(5, do="logout")

    def _ask(self, timeout: float, **request) -> dict:
        return self._desk.ask(timeout, session=self.bound_jid, **request)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_exception) -> None:
        self.logout()


_desks_lock = threading.Lock()


def _desk(host) -> "_Desk":
    with _desks_lock:
        if getattr(host, "xmpp_desk", None) is None:
            host.xmpp_desk = _Desk(host)
        return host.xmpp_desk


class _Desk:
    """This process's end of a host's client process."""

    def __init__(self, host):
        package = Path(__file__).resolve().parent
        self._log = host.folder / "xmpp.log"
        with open(self._log, "ab") as log:
            self._process = host.popen(host.command(sys.executable, "-m", "lab.xmpp", PYTHONPATH=str(package.parent)),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self._ids = itertools.count()
        self._waiting: dict[int, Future] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, timeout: float, **request) -> dict:
        future: Future = Future()
        with self._lock:
            number = next(self._ids)
            self._waiting[number] = future
            self._process.stdin.write(json.dumps({"id": number, "timeout": timeout, **request}).encode() + b"\n")
            self._process.stdin.flush()
        # The client process has the same deadline; what is beyond it is for one that hangs.
        answer = future.result(timeout + 15)
        if "error" in answer:
            raise _ERRORS[answer["error"]](answer["text"])
        return answer

    def _read(self) -> None:
        for line in self._process.stdout:
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer)
        for future in list(self._waiting.values()):
            future.set_exception(XmppError(f"the client process has ended, see {self._log}"))


class _Sessions:
    """The client process's end: sessions by their full address."""

    def __init__(self):
        self._sessions: dict[str, _Session] = {}

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        lines = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        running = set()
        while line := await lines.readline():
            task = loop.create_task(self._answer(json.loads(line)))
            running.add(task)
            task.add_done_callback(running.discard)

    async def _answer(self, request: dict) -> None:
        try:
            answer = await self._do(request) or {}
        except XmppError as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        except Exception as error:  # the caller waits for an answer, whatever slixmpp raises
            answer = {"error": "XmppError", "text": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps({"id": request["id"], **answer}) + "\n")
        sys.stdout.flush()

    async def _do(self, request: dict) -> dict | None:
        timeout = request["timeout"]
        if request["do"] == "login":
            session = _Session(request)
            name = await session.login(timeout)
            self._sessions[name] = session
            return {"session": name}
        session = self._sessions[request["session"]]
        match request["do"]:
            case "send": session.send(request["to"], request["text"])
            case "receive": return await session.receive(timeout)
            case "add_contact": await session.add_contact(request["contact"], timeout)
            case "contacts": return {"contacts": await session.contacts(timeout)}
            case "logout": await session.logout(timeout)
        return None


class _Session:
    def __init__(self, request: dict):
        # Here, as it takes half a second and tests of links and nodes do without.
        import slixmpp
        self._address = (request["address"], request["port"])
        self._errors = slixmpp.exceptions.IqError
        self._client = slixmpp.ClientXMPP(request["jid"], request["password"])
        # The laboratory's servers have no certificates.
        self._client.enable_direct_tls = self._client.enable_starttls = False
        self._client.enable_plaintext = True
        self._client["feature_mechanisms"].unencrypted_plain = True
        self._messages: asyncio.Queue = asyncio.Queue()
        self._over: asyncio.Future = asyncio.get_running_loop().create_future()
        self._begun: asyncio.Future = asyncio.get_running_loop().create_future()
        self._error = ""
        for event, handler in [("session_start", self._started), ("failed_auth", self._refused),
                               ("connection_failed", self._unreachable), ("stream_error", self._stream_error),
                               ("disconnected", self._disconnected), ("message", self._message)]:
            self._client.add_event_handler(event, handler)

    async def login(self, timeout: float) -> str:
        self._client.connect(*self._address)
        try:
            await asyncio.wait_for(asyncio.shield(self._begun), timeout)
        except (TimeoutError, asyncio.TimeoutError):
            raise Unreachable(f"no session in {timeout:g} s") from None
        finally:
            if not self._begun.done() or self._begun.exception():
                self._client.cancel_connection_attempt()
                self._client.abort()
        # A server without mod_roster answers with an error.
        with contextlib.suppress(self._errors):
            await asyncio.wait_for(self._client.get_roster(), timeout)
        self._client.send_presence()
        return self._client.boundjid.full

    def _started(self, _event) -> None:
        self._settle()

    def _refused(self, failure) -> None:
        self._settle(LoginRefused(failure["condition"]))

    def _unreachable(self, reason) -> None:
        self._settle(Unreachable(f"{self._address[0]}:{self._address[1]}: {reason}"))

    def _stream_error(self, error) -> None:
        self._error = error["condition"]

    def _disconnected(self, reason) -> None:
        why = self._error or str(reason or "the connection has ended")
        self._settle(Unreachable(why))
        if not self._over.done():
            self._over.set_result(why)

    def _settle(self, error: XmppError | None = None) -> None:
        if not self._begun.done():
            if error:
                self._begun.set_exception(error)
            else:
                self._begun.set_result(None)

    def _message(self, message) -> None:
        if message["type"] in ("chat", "normal") and message["body"]:
            self._messages.put_nowait({"from": message["from"].bare, "text": message["body"]})

    def _check(self) -> None:
        if self._over.done():
            raise Disconnected(self._over.result())

    def send(self, to: str, text: str) -> None:
        self._check()
        self._client.send_message(mto=to, mbody=text, mtype="chat")

    async def receive(self, timeout: float) -> dict:
        arrival = asyncio.ensure_future(self._messages.get())
        done, _ = await asyncio.wait({arrival, self._over}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if arrival in done:
            return arrival.result()
        arrival.cancel()
        self._check()
        raise NoMessage(f"no message in {timeout:g} s")

    async def add_contact(self, contact: str, timeout: float) -> None:
        self._check()
        await asyncio.wait_for(self._client.update_roster(contact), timeout)

    async def contacts(self, timeout: float) -> list[str]:
        self._check()
        # Not get_roster(): with a version of the roster it answers what has changed only.
        query = self._client.make_iq_get(queryxmlns="jabber:iq:roster")
        answer = await asyncio.wait_for(query.send(), timeout)
        return sorted(str(jid) for jid in answer["roster"]["items"])

    async def logout(self, timeout: float) -> None:
        if not self._over.done():
            await self._client.disconnect(wait=timeout)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(_Sessions().serve())
