"""A laboratory of real Erlang and ejabberd nodes on one machine.

    from lab import Lab

    with Lab() as lab:
        hello, foo = lab.host("hello.world").ejabberd(), lab.host("foo.bar").ejabberd()
        lab.start(hello, foo)
        hello.eval("net_adm:ping('ejabberd@foo.bar')")    # 'pong'
        lab.cut(hello, foo)
"""

from .control import ErlangError, EvalTimeout, NodeDown
from .etf import Atom, Opaque
from .hosts import Host, Lab, Terminated
from .network import Unsupported
from .node import EjabberdNode, Node
from .plain import MnesiaNode
from .shell import Shell, ShellStuck
from .waiting import Late, wait_until
from .xmpp import Client, Disconnected, LoginRefused, NoMessage, Unreachable, XmppError

__all__ = [
    "Atom", "Client", "Disconnected", "EjabberdNode", "ErlangError", "EvalTimeout", "Host", "Lab", "Late", "LoginRefused",
    "MnesiaNode", "NoMessage", "Node", "NodeDown", "Opaque", "Shell", "ShellStuck", "Terminated", "Unreachable", "Unsupported",
    "XmppError", "wait_until",
]
