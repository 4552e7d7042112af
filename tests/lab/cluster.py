"""What the tests of the cluster share: asking easy_cluster, and telling what a node holds."""

import pytest
from lab import ErlangError, wait_until

def call(node, expression: str, timeout: float = 60):
    """The answer of `easy_cluster_api:EXPRESSION`."""
    return node.eval(f"easy_cluster_api:{expression}", timeout)


def join(node, target, kind="join_as_master", options="#{}", timeout: float = 60):
    answer = call(node, f"{kind}('{target.name}', {options})", timeout)
    assert answer == "ok", answer
    return answer


def replicas_of(pair, install: bool = False):
    """The two with the same tables and an account, easy_cluster in both; `install`ed for good, or loaded."""
    hello, foo = pair
    for node in pair:
        node.install_easy_cluster() if install else node.load_easy_cluster()
    foo.register("alice", "secret")
    join(hello, foo)
    return hello, foo


def code(answer) -> str:
    """The code of `{error, {Code, Details}}`."""
    assert isinstance(answer, tuple) and answer[0] == "error", f"not an error: {answer!r}"
    return answer[1][0]


def details(answer) -> dict:
    return answer[1][1]


def words(node, error_expression: str) -> str:
    """An error as easy_cluster puts it in words."""
    return node.text(f"easy_cluster:format_error({error_expression})")


def transactions(node) -> set[int]:
    """How many transactions each step with several tables took in the last operation, by its journal."""
    return set(node.eval("""
        Directory = mnesia:system_info(directory),
        {ok, #{events := Events}} = easy_cluster_journal:read(Directory, lists:last(easy_cluster_journal:list(Directory))),
        [Count || {_, _, {done, _, #{transactions := Count}}} <- Events]"""))


def exists(node, user: str) -> bool:
    return node.eval(f'ejabberd_auth:user_exists(<<"{user}">>, <<"localhost">>)')


def db_nodes(node) -> set[str]:
    return set(node.eval("mnesia:system_info(db_nodes)"))


def serves(node) -> bool:
    """Whether ejabberd runs and takes connections from clients."""
    return node.eval("lists:keymember(ejabberd, 1, application:which_applications())") and node.host.accepts(node.c2s_port)


def settled_checksums(node) -> dict:
    """The digests of Mnesia's files when nothing is left in its log and in the buffers of dets."""
    seen = []

    def settled() -> bool:
        node.eval("dumped = mnesia:dump_log(), [dets:sync(Table) || Table <- dets:all()]")
        seen.append(node.checksums())
        return len(seen) > 1 and seen[-1] == seen[-2]

    wait_until(settled, 20, f"the files of {node.name} to settle")
    return seen[-1]


def until(node, condition: str, timeout: float = 20):
    """Waits until an Erlang expression is true on the node, which may be starting."""

    def holds() -> bool:
        try:
            return node.eval(condition) is True
        except ErlangError:
            return False

    wait_until(holds, timeout, f"{condition} on {node.name}")


def slices(values, *quick):
    """The parameters of a test: those at the positions in `quick` always, the others with `make test-faults`."""
    tuples = [value if isinstance(value, tuple) else (value,) for value in values]
    assert all(0 <= position < len(tuples) for position in quick)
    return [pytest.param(*value, marks=() if position in quick else pytest.mark.faults) for position, value in enumerate(tuples)]
