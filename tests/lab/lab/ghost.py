"""A name in epmd and something behind its port that is not a healthy node: `python3 ghost.py EPMD_PORT ADDRESS NAME BEHAVIOUR`.

It prints its port when everything is in place, and ends when its input does. Standard library only, as it runs in a host.
"""

import itertools
import socket
import struct
import sys
import threading
import time

BEHAVIOURS = ["closed", "full", "silent", "hangs_up", "garbage", "flood", "dribble", "old_flags", "old_version"]
#: Of OTP 22 with the new handshake, which there never was.
OLD_FLAGS = 0x0100_0000


def main(epmd_port: int, address: str, name: str, behaviour: str) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, 0))
    port = listener.getsockname()[1]
    held = []
    if behaviour == "closed":
        listener.close()
    elif behaviour == "full":
        listener.listen(0)
        held = list(fill(address, port))
    else:
        listener.listen(50)
        threading.Thread(target=serve, args=[listener, f"{name}@{host_of(address)}", behaviour], daemon=True).start()
    epmd = register(epmd_port, name, port, version=5 if behaviour == "old_version" else 6)
    print(port, flush=True)
    sys.stdin.read()
    del epmd, held


def host_of(address: str) -> str:
    """The host that the hosts file has for an address."""
    return socket.gethostbyaddr(address)[0]


def fill(address: str, port: int):
    """Connections until no more come about: the queue of the listener is full, and further packets are dropped."""
    while True:
        client = socket.socket()
        client.settimeout(0.3)
        try:
            client.connect((address, port))
        except TimeoutError:
            return
        yield client


def register(epmd_port: int, name: str, port: int, version: int) -> socket.socket:
    epmd = socket.create_connection(("127.0.0.1", epmd_port))
    body = struct.pack(">BHBBHHH", ord("x"), port, 77, 0, version, 5, len(name)) + name.encode() + b"\0\0"
    epmd.sendall(struct.pack(">H", len(body)) + body)
    assert epmd.recv(2)[1:] == b"\0"
    return epmd


def serve(listener: socket.socket, full_name: str, behaviour: str) -> None:
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=behave, args=[stream, full_name, behaviour], daemon=True).start()


def behave(stream: socket.socket, full_name: str, behaviour: str) -> None:
    try:
        if behaviour == "hangs_up":
            stream.recv(4096)
            stream.close()
        elif behaviour == "garbage":
            stream.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        elif behaviour == "flood":
            while True:
                stream.sendall(b"\xff" * 65536)
        elif behaviour == "dribble":
            for byte in itertools.cycle(b"\0\3sok"):
                stream.sendall(bytes([byte]))
                time.sleep(1)
        elif behaviour == "old_flags":
            stream.recv(4096)
            name = full_name.encode()
            challenge = b"N" + struct.pack(">QIIH", OLD_FLAGS, 1, 1, len(name)) + name
            stream.sendall(b"\0\3sok" + struct.pack(">H", len(challenge)) + challenge)
        while stream.recv(4096):
            pass
    except OSError:
        pass  # the other side has had enough


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
