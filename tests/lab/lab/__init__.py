"""A laboratory of real ejabberd nodes: hosts in network namespaces, nodes run by Debian's own ejabberdctl."""

from .hosts import Host, Lab
from .node import Node
from .plain import PlainNode
from .terms import Atom

__all__ = ["Atom", "Host", "Lab", "Node", "PlainNode"]
