"""What a refusal has to be: told with its code, evidence and fix, while ejabberd serves on and no byte of Mnesia's files changes."""

import contextlib
import shutil

from cluster import call, code, details, serves, settled_checksums, words
from lab import wait_until


@contextlib.contextmanager
def untouched(node):
    """Whatever happens inside, the node serves on and its files stay what they were, byte for byte."""
    before = settled_checksums(node)
    yield
    assert settled_checksums(node) == before
    assert serves(node)


def refused(node, request: str, expected: str):
    """`easy_cluster_api:REQUEST` is refused with the code, and says evidence and fix."""
    with untouched(node):
        answer = call(node, request)
    assert code(answer) == expected, answer
    text = words(node, f"{{error, {{{expected}, {printed_details(node, request)}}}}}")
    assert text.startswith(f"{expected} (") and "\n  evidence  " in text and "\n  fix       " in text
    return details(answer)


def printed_details(node, request: str) -> str:
    """The details of the refusal as Erlang source, asked for once more: it can be asked any number of times."""
    return node.text(f"{{error, {{_, Details}}}} = easy_cluster_api:{request}, io_lib:format(\"~tw\", [Details])")


def master(name) -> str:
    return f"join_as_master('{name}', #{{timeout => 2000}})"


@contextlib.contextmanager
def plain(lab, host: str, name: str, **options):
    """A Mnesia node that is gone afterwards. Under another cookie it cannot be asked, so it is waited for in epmd."""
    node = lab.host(host).mnesia(name=name, **options)
    node.launch()
    try:
        wait_until(lambda: name.partition("@")[0] in lab.host(host).registered(), 20, f"{name} in epmd")
        yield node
    finally:
        node.destroy()
        shutil.rmtree(node.folder)
