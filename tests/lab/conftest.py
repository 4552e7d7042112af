"""Fixtures: fresh ejabberd nodes on hosts that last as long as the session."""

import shutil

import pytest
from lab import Lab, Unsupported
from lab.roots import release_root

_NODES = pytest.StashKey[list]()


@pytest.fixture(scope="session")
def lab():
    """The session's laboratory. Hosts stay from test to test; nodes are new."""
    with Lab() as laboratory:
        yield laboratory


@pytest.fixture
def solo(lab, request):
    """A started ejabberd node on hello.world."""
    for [node] in started(lab, request, "hello.world"):
        yield node


@pytest.fixture
def pair(lab, request):
    """Started ejabberd nodes on hello.world and foo.bar, strangers to each other."""
    yield from started(lab, request, "hello.world", "foo.bar")


@pytest.fixture
def hello(pair):
    """The first of the pair, with easy_cluster and an account."""
    return with_an_account(pair[0])


def with_an_account(node):
    node.load_easy_cluster()
    node.register("alice", "secret")
    return node


@pytest.fixture
def trio(lab, request):
    """Started ejabberd nodes on hello.world, foo.bar and third.host, strangers to each other."""
    yield from started(lab, request, "hello.world", "foo.bar", "third.host")


@pytest.fixture
def uneven(lab, request):
    """The same, each with other modules."""
    lacks = {"foo.bar": ("mod_muc", "mod_muc_admin"), "third.host": ("mod_vcard", "mod_roster")}
    yield from started(lab, request, "hello.world", "foo.bar", "third.host", without=lacks)


@pytest.fixture
def nodes_of(lab, request):
    """Makes and starts fresh ejabberd nodes of the releases given, strangers to each other, one a host."""
    made = request.node.stash[_NODES] = []

    def make(*releases, without=()):
        for name, release in zip(["hello.world", "foo.bar", "third.host"][: len(releases)], releases, strict=True):
            made.append(lab.host(name).ejabberd(root=release_root(release), without=without))
        lab.start(*made)
        return made

    yield make
    for node in made:
        node.destroy()


@pytest.fixture
def plain_nodes(lab, request):
    """Makes and starts fresh plain Mnesia nodes of the names given, one a host."""
    made = []

    def make(*names):
        hosts = ["hello.world", "foo.bar", "third.host"][: len(names)]
        made.extend(lab.host(host).mnesia(name=name) for host, name in zip(hosts, names, strict=True))
        request.node.stash[_NODES] = made
        lab.start(*made)
        return made

    yield make
    for node in made:
        node.destroy()
        shutil.rmtree(node.folder)


def started(lab, request, *names, without={}):
    """Fresh ejabberd nodes on hosts of these names, for the scope of the fixture that asks."""
    nodes = [lab.host(name).ejabberd(without=without.get(name, ())) for name in names]
    request.node.stash[_NODES] = nodes
    try:
        lab.start(*nodes)
        yield nodes
    finally:
        lab.mend_all()
        for node in nodes:
            node.destroy()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """What the machine does not permit is skipped, with its own words as the reason."""
    try:
        return (yield)
    except Unsupported as reason:
        pytest.skip(str(reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows the ends of its nodes' logs."""
    report = yield
    if report.failed:
        for node in [node for each in item.listchain() for node in each.stash.get(_NODES, [])]:
            report.sections.append((f"logs of {node.name}", node.log_tail()))
    return report
