"""Real XMPP clients (slixmpp), run on a host of the lab: `python -m lab.xmpp talk|login ...`."""

import asyncio
import json
import pathlib
import subprocess
import sys

import slixmpp


class Client(slixmpp.ClientXMPP):
    def __init__(self, user: str, password: str, address: str):
        super().__init__(f"{user}@localhost/lab", password)
        self["feature_mechanisms"].unencrypted_plain = True
        self.ready = asyncio.get_event_loop().create_future()
        self.inbox: asyncio.Queue = asyncio.Queue()
        self.address = address
        self.add_event_handler("session_start", self._started)
        self.add_event_handler("failed_auth", lambda _: self._end("refused"))
        self.add_event_handler("connection_failed", lambda why: self._end(f"unreachable: {why}"))
        self.add_event_handler("message", lambda message: self.inbox.put_nowait(message["body"]))

    def _end(self, outcome):
        if not self.ready.done():
            self.ready.set_result(outcome)

    async def _started(self, _):
        self.send_presence()
        self._end("ok")

    async def login(self) -> str:
        self.connect((self.address, 5222), force_starttls=False, disable_starttls=True)
        return await asyncio.wait_for(self.ready, 15)


async def login(user, password, address) -> dict:
    client = Client(user, password, address)
    outcome = await client.login()
    client.disconnect()
    return {"login": outcome}


async def talk(one, one_address, other, other_address) -> dict:
    """Logs both in and lets each say something to the other."""
    first, second = Client(one, "secret", one_address), Client(other, "secret", other_address)
    outcomes = [await first.login(), await second.login()]
    if outcomes != ["ok", "ok"]:
        return {"login": outcomes}
    first.send_message(mto=f"{other}@localhost/lab", mbody=f"hello from {one}")
    heard = [await asyncio.wait_for(second.inbox.get(), 10)]
    second.send_message(mto=f"{one}@localhost/lab", mbody=f"hello from {other}")
    heard.append(await asyncio.wait_for(first.inbox.get(), 10))
    first.disconnect()
    second.disconnect()
    return {"login": outcomes, "heard": heard}


def on(host, action: str, *words: str) -> dict:
    """Runs a client on a host of the lab."""
    here = pathlib.Path(__file__).resolve().parents[1]
    done = subprocess.run(
        host.command([sys.executable, "-m", "lab.xmpp", action, *words]), cwd=here, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    print(json.dumps(loop.run_until_complete({"login": login, "talk": talk}[sys.argv[1]](*sys.argv[2:]))))
