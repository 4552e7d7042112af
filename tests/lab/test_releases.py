"""Debian's newer ejabberd and Erlang, alone and in pairs with an older one: the same sources and the same library everywhere."""

import shutil
import subprocess

import pytest
from cluster import call, code, db_nodes, details, exists, join, serves, transactions, until
from lab import wait_until
from lab.node import REPOSITORY
from lab.roots import RELEASES
from test_alone import is_settled
from test_away import comes_up_again, is_told_when_it_is_back, stay_together
from test_failures import KILL_TARGET

pytestmark = pytest.mark.releases

VERSION = (REPOSITORY / "erlang/c_src/VERSION").read_text().strip()
#: The module whose table has another definition in the next release: such nodes cannot share it.
CHANGED = {frozenset(["23.01", "24.12"]): ("mod_mam", "archive_msg"), frozenset(["24.12", "26.07"]): ("mod_roster", "roster")}
#: Who joins whom.
ALIKE = [("24.12", "24.12"), ("26.07", "26.07")]
NEWER_JOINS = [("24.12", "23.01"), ("26.07", "24.12")]
OLDER_JOINS = [("23.01", "24.12"), ("24.12", "26.07")]
MIXED = NEWER_JOINS + OLDER_JOINS


@pytest.fixture
def strangers(nodes_of, request):
    """Two nodes of the releases asked for that know nothing of each other; easy_cluster is on the first one only."""
    module, _ = CHANGED.get(frozenset(request.param), ("", ""))
    one, two = nodes_of(*request.param, without=(module,) if module else ())
    one.load_easy_cluster()
    one.register("alice", "secret")
    two.register("bob", "secret")
    return one, two


def pair_name(pair) -> str:
    return f"{pair[0]}-joins-{pair[1]}"


def pairs(*wanted):
    return pytest.mark.parametrize("strangers", wanted, indirect=True, ids=pair_name)


newer = pytest.mark.parametrize("release", ["24.12", "26.07"])


@newer
def test_the_release_is_what_it_is_called_and_loads_the_library(nodes_of, release):
    [node] = nodes_of(release)
    otp = RELEASES[release].otp
    assert node.text("erlang:system_info(otp_release)") == otp
    assert node.text("{ok, Version} = application:get_key(ejabberd, vsn), Version").startswith(release)
    node.load_easy_cluster()
    assert node.eval("easy_cluster_nif:loaded()") == "ok"
    assert node.eval("easy_cluster_native:call(version, #{})") == ("ok", {"version": VERSION.encode()})
    assert [member["role"] for member in call(node, "status()")[1]["members"]] == ["alone"]


@newer
def test_the_release_archive_is_installed_by_ejabberdctl(nodes_of, release):
    [node] = nodes_of(release)
    subprocess.run(["make", "module"], cwd=REPOSITORY, check=True, capture_output=True)
    unpacked = node.host.folder / "easy_cluster"
    shutil.rmtree(unpacked, ignore_errors=True)
    subprocess.run(["tar", "-xzf", REPOSITORY / "_build" / f"easy_cluster-{VERSION}.tar.gz", "-C", node.host.folder], check=True)
    for path in [unpacked, *unpacked.rglob("*")]:
        shutil.chown(path, "ejabberd", "ejabberd")

    node.install_easy_cluster(unpacked)

    assert node.text("code:priv_dir(easy_cluster)").startswith(str(node.modules))
    assert node.eval("easy_cluster_nif:loaded()") == "ok"
    assert node.eval("gen_mod:is_loaded(<<\"localhost\">>, mod_easy_cluster)")
    assert "alone" in node.shell("easy_cluster:status().")


@pairs(*ALIKE)
def test_they_become_one_cluster(strangers):
    one, two = strangers
    assert call(one, f"test_node('{two.name}')")[0] == "ok"
    plan = call(one, f"plan({{join_as_master, '{two.name}'}})")[1]
    assert {"table": "passwd", "here": 1, "only_here": 1, "different": 0} in plan["rows"]
    assert two.members() == {two.name}

    join(one, two)

    assert one.members() == two.members() == {one.name, two.name}
    assert serves(one) and exists(one, "bob") and not exists(one, "alice")
    with one.xmpp("bob", "secret"):
        pass
    status = call(one, "status()")[1]
    assert {member["node"]: member["role"] for member in status["members"]} == {one.name: "master", two.name: "master"}
    assert status["problems"] == [] and status["unfinished"] == "undefined"
    events = one.eval("Dir = mnesia:system_info(directory), [Id] = easy_cluster_journal:list(Dir), "
                      "{ok, #{events := Events, tail := clean}} = easy_cluster_journal:read(Dir, Id), "
                      "[element(1, Event) || {_, _, Event} <- Events]")  # fmt: skip
    assert events[0] == "begun" and events[-1] == "outcome" and "done" in events
    assert transactions(one) == {1}

    # Copies are compared with those of a node without easy_cluster, deleted, and stored otherwise.
    for table, nodes in {"moved": [one], "stored": [one, two]}.items():
        holders = ", ".join(f"'{node.name}'" for node in nodes)
        one.eval(f"{{atomic, ok}} = mnesia:create_table({table}, [{{disc_copies, [{holders}]}}])")
        one.eval(f"[ok = mnesia:dirty_write({{{table}, I, I}}) || I <- lists:seq(1, 2000)], ok")
    policy = f"{{tables: {{moved: {{copies: 1, pins: {two.name}}}, stored: {{copies: 2, storage: disc_only_copies}}}}}}"
    one.eval(f'easy_cluster_policy:set(<<"{policy}">>)')
    assert call(one, "repair()") == "ok"
    for table, storage, nodes in [("moved", "disc_copies", [two]), ("stored", "disc_only_copies", [one, two])]:
        assert set(one.eval(f"mnesia:table_info({table}, {storage})")) == {node.name for node in nodes}
        assert all(node.eval(f"length(mnesia:dirty_all_keys({table}))") == 2000 for node in (one, two))

    two.kill()
    with one.xmpp("bob", "secret"):
        pass
    two.start()
    until(two, f"lists:member('{one.name}', mnesia:system_info(running_db_nodes))")
    one.stop()
    one.start()
    until(one, f"lists:member('{two.name}', mnesia:system_info(running_db_nodes))")
    assert exists(one, "bob")


@pairs(*ALIKE, *MIXED)
def test_a_wrong_cookie_is_refused(strangers):
    one, two = strangers
    one.eval(f"erlang:set_cookie('{two.name}', nobodys)")
    answer = call(one, f"join_as_master('{two.name}')")
    assert code(answer) == "wrong_cookie", answer
    assert serves(one) and exists(one, "alice") and db_nodes(one) == {one.name}


@pairs(*MIXED)
def test_another_release_does_not_join_unasked(strangers):
    one, two = strangers
    answer = call(one, f"join_as_master('{two.name}')")
    assert code(answer) == "ejabberd_releases_differ" and details(answer)["node"] == two.name, answer
    assert serves(one) and exists(one, "alice") and db_nodes(one) == {one.name} and db_nodes(two) == {two.name}


@pairs(*NEWER_JOINS)
def test_a_newer_release_joins_with_consent(strangers):
    one, two = strangers
    join(one, two, options="#{yes => true}")
    assert one.members() == two.members() == {one.name, two.name}
    assert serves(one) and serves(two) and exists(one, "bob") and not exists(one, "alice")
    assert transactions(one) == {1}
    with one.xmpp("bob", "secret"):
        pass


@pytest.mark.parametrize("pair", MIXED, ids=pair_name)
def test_a_table_with_another_definition_is_refused(nodes_of, pair):
    _, table = CHANGED[frozenset(pair)]
    one, two = nodes_of(*pair)
    one.load_easy_cluster()
    answer = call(one, f"join_as_master('{two.name}', #{{yes => true}})")
    assert code(answer) == "table_definition_differs" and details(answer)["table"] == table, answer
    assert serves(one) and db_nodes(one) == {one.name} and db_nodes(two) == {two.name}


@pairs(*ALIKE, *NEWER_JOINS)
def test_the_target_dies_at_the_switch_and_both_come_out_as_they_were(strangers):
    one, two = strangers
    plan = call(one, f"plan({{join_as_master, '{two.name}'}}, #{{yes => true}})")[1]
    [step] = [step["number"] for step in plan["steps"] if step["action"] == "commit_schema"]

    answer = one.eval(KILL_TARGET.format(target=two.name, step=step), timeout=60)

    assert code(answer) == "step_failed", answer
    two.wait_until_dead()
    assert serves(one) and exists(one, "alice") and db_nodes(one) == {one.name}
    two.start()
    until(two, "mnesia:system_info(db_nodes) =:= [node()]")
    with one.xmpp("alice", "secret"), two.xmpp("bob", "secret"):
        pass
    until(one, "maps:get(pending, easy_cluster_server:state()) =:= []")
    join(one, two, options="#{yes => true}")
    assert one.members() == {one.name, two.name}


@pairs(*ALIKE, *NEWER_JOINS)
def test_a_forgotten_node_is_turned_away(strangers):
    one, two = strangers
    join(one, two, options="#{yes => true}")
    two.kill()
    until(one, "mnesia:system_info(running_db_nodes) =:= [node()]")
    assert code(call(one, f"forget('{two.name}')")) == "no_quorum"
    assert call(one, f"forget('{two.name}', #{{quorum => false}})") == "ok"

    two.launch()

    wait_until(lambda: "Bad cookie in table definition easy_cluster_fence" in two.log_tail(400), 40, "it to be turned away")
    assert db_nodes(one) == one.members() == {one.name}
    with one.xmpp("bob", "secret"):
        pass


@newer
def test_who_waits_for_a_fence_that_is_made_anew_is_told(nodes_of, release):
    [node] = nodes_of(release)
    node.load_easy_cluster()
    # As an ejabberd that starts while it is made anew.
    node.eval("""
        {ok, #{}} = easy_cluster_fence:ensure(5000), {atomic, ok} = mnesia:delete_table(easy_cluster_fence),
        Wait = fun() -> ok = mnesia:wait_for_tables([schema, easy_cluster_fence], infinity), application:set_env(lab, waited, true) end,
        spawn(Wait)""")
    until(node, "lists:keymember({sync_tab, easy_cluster_fence}, 1, element(2, process_info(whereis(mnesia_controller), dictionary)))")
    assert node.eval("easy_cluster_fence:renew([node()], 5000)") == ("ok", {})
    until(node, "application:get_env(lab, waited) =:= {ok, true}")


@newer
def test_a_member_of_the_release_that_died_before_there_was_a_fence_is_turned_away(nodes_of, release):
    one, two, three = nodes_of(release, release, release)
    two.register("bob", "secret")
    for node in (one, three):
        node.eval(f"ok = ejabberd_cluster:join('{two.name}')", timeout=60)
    three.eval("{atomic, ok} = mnesia:create_table(deleted_since, [{disc_copies, [node() | nodes()]}])")
    three.kill()
    for node in (one, two):
        until(node, f"not lists:member('{three.name}', mnesia:system_info(running_db_nodes))")
    one.load_easy_cluster()

    assert call(one, f"forget('{three.name}')") == "ok"

    two.eval("{atomic, ok} = mnesia:delete_table(deleted_since)")
    three.launch()
    wait_until(lambda: "Incompatible schema cookies" in three.log_tail(400), 40, "it to be turned away")
    two.kill()
    two.start()
    until(one, f"lists:member('{two.name}', mnesia:system_info(running_db_nodes))")
    for node in (one, two):
        assert db_nodes(node) == node.members() == {one.name, two.name}
        assert exists(node, "bob") and not node.eval("lists:member(deleted_since, mnesia:system_info(tables))")


@pytest.fixture
def installed(nodes_of, request):
    """Two nodes of a release that know nothing of each other; easy_cluster is installed on the first."""
    one, two = nodes_of(request.getfixturevalue("release"), request.getfixturevalue("release"))
    one.install_easy_cluster()
    one.register("alice", "secret")
    two.register("bob", "secret")
    return one, two


@newer
def test_a_member_of_the_release_leaves_and_joins_again(installed, release):
    one, two = installed
    join(one, two)
    one.eval("{atomic, ok} = mnesia:create_table(memory, [{ram_copies, mnesia:system_info(db_nodes)}]), mnesia:dirty_write({memory, 1, 1})")
    two.eval("{atomic, ok} = mnesia:create_table(elsewhere, [{disc_only_copies, [node()]}]), mnesia:dirty_write({elsewhere, 1, 1})")

    assert call(one, "leave()", timeout=120) == "ok"

    assert db_nodes(one) == {one.name} and db_nodes(two) == {two.name}
    assert serves(one) and serves(two) and exists(one, "bob") and exists(two, "bob")
    for table in ("memory", "elsewhere"):
        assert one.eval(f"mnesia:dirty_all_keys({table})") == [1], table
    for node in (two, one):
        node.stop()
        node.start()
        assert db_nodes(node) == {node.name}
    assert one.eval("mnesia:dirty_all_keys(memory)") == []
    with one.xmpp("bob", "secret"):
        pass
    join(one, two)
    assert one.members() == two.members() == {one.name, two.name}


@newer
def test_a_join_of_the_release_is_taken_back_and_made_again(installed, release):
    one, two = installed
    join(one, two)
    assert call(one, "rollback()", timeout=120) == "ok"
    assert db_nodes(one) == {one.name} and db_nodes(two) == {two.name}
    assert serves(one) and exists(one, "alice") and not exists(one, "bob")
    with one.xmpp("alice", "secret"), two.xmpp("bob", "secret"):
        pass
    two.stop()
    two.start()
    assert db_nodes(two) == {two.name} and exists(two, "bob")
    assert call(one, "rollback()", timeout=120) == "ok"
    assert one.members() == two.members() == {one.name, two.name} and exists(one, "bob")


@newer
def test_a_contact_of_the_release_that_is_killed_while_a_table_is_copied_from_it_comes_up_again(nodes_of, release):
    joiner, contact = nodes_of(release, release)
    joiner.load_easy_cluster()
    comes_up_again(joiner, contact)


@newer
def test_a_member_of_the_release_that_is_away_while_it_is_to_forget_a_node_is_told_when_it_is_back(lab, nodes_of, release):
    leaver, member = nodes_of(release, release)
    leaver.load_easy_cluster()
    is_told_when_it_is_back(lab, leaver, member, "cut", 6)


@newer
@pytest.mark.parametrize("step, down", [("join_schema", 300), ("start_mnesia", 1200)])
def test_members_of_the_release_stay_together_when_one_of_them_restarts_during_a_join(nodes_of, release, step, down):
    stay_together(*nodes_of(release, release, release), step, down, start="ejabberd, start, []")


@newer
def test_the_release_goes_on_with_an_empty_database_and_back(nodes_of, release):
    [node] = nodes_of(release)
    node.install_easy_cluster()
    node.register("alice", "secret")
    assert call(node, "reset()", timeout=120) == "ok"
    assert serves(node) and not exists(node, "alice") and db_nodes(node) == {node.name}
    node.stop()
    node.start()
    assert serves(node) and not exists(node, "alice")
    assert call(node, "rollback()", timeout=120) == "ok"
    assert exists(node, "alice")
    with node.xmpp("alice", "secret"):
        pass


KILL_IN_A_JOIN = """
    {{ok, Plan}} = easy_cluster_api:plan({{join_as_master, '{target}'}}),
    easy_cluster_executor:commit(Plan, fun
        ({{step, done, #{{action := {step}}}, _}}) -> erlang:halt(137, [{{flush, false}}]);
        (_Event) -> ok
    end)"""


@newer
@pytest.mark.parametrize(("step", "outcome"), [("delete_logs", "undone"), ("commit_schema", "done")])
def test_a_kill_in_a_join_of_the_release_is_ended_at_the_next_start(installed, release, step, outcome):
    one, two = installed
    one.eval_until_it_dies(KILL_IN_A_JOIN.format(target=two.name, step=step))
    one.start()
    wait_until(lambda: is_settled(one), 40, "the recovery")
    assert [past["outcome"] for past in call(one, "history()")[1]] == [outcome]
    user = "bob" if outcome == "done" else "alice"
    assert serves(one) and exists(one, user)
    both = {one.name, two.name}
    assert (db_nodes(one), db_nodes(two)) == ((both, both) if outcome == "done" else ({one.name}, {two.name}))
    two.stop()
    two.start()
    with one.xmpp(user, "secret"):
        pass
    with two.xmpp("bob", "secret"):
        pass


@newer
def test_a_forgotten_node_of_the_release_that_asks_first_is_turned_away_and_comes_in_again(installed, release):
    one, two = installed
    two.load_easy_cluster()
    join(one, two)
    one.kill()
    until(two, "mnesia:system_info(running_db_nodes) =:= [node()]")
    assert call(two, f"forget('{one.name}', #{{quorum => false}})") == "ok"

    one.launch()
    one.wait_until_dead(60)

    assert f"{two.name} does not list {one.name}" in one.log_tail(400)
    assert db_nodes(two) == two.members() == {two.name}
    marker = one.spool / "easy_cluster" / "reenter"
    marker.touch()
    shutil.chown(marker, "ejabberd", "ejabberd")
    one.start()
    assert db_nodes(one) == {one.name} and not exists(one, "bob")
    join(one, two)
    assert one.members() == two.members() == {one.name, two.name} and exists(one, "bob")


@pytest.mark.parametrize(("maker", "reader"), [("24.12", "26.07"), ("26.07", "24.12"), ("23.01", "26.07")])
def test_a_backup_is_what_it_is_to_another_release_and_comes_back(nodes_of, maker, reader):
    one, two = nodes_of(maker, reader)
    for node in (one, two):
        node.load_easy_cluster()
    folder = one.host.lab.folder / "backups"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.chown(folder, "ejabberd", "ejabberd")
    one.register("alice", "secret")
    # Terms whose bytes differ from release to release, unless they are asked for in a form that all have.
    one.eval("{atomic, ok} = mnesia:create_table(terms, [{disc_copies, [node()]}]), "
             "[mnesia:dirty_write({terms, N, #{zebra => N, apple => 1.5, <<\"k\">> => [\"text\", atom, {N}]}}) || N <- lists:seq(1, 100)], "
             "ok")  # fmt: skip

    made = call(one, f'backup("{folder}/today")')

    assert made[0] == "ok", made
    digests = [(table["name"], table["digest"]) for table in made[1]["tables"]]
    seen = two.eval(f'{{ok, #{{tables := Tables}}}} = easy_cluster_backup:verify("{folder}/today"), '
                    "[{Name, Digest} || #{name := Name, digest := Digest} <- Tables]")  # fmt: skip
    assert seen == digests
    one.register("bob", "secret")
    assert call(one, f'restore("{folder}/today")') == "ok"
    assert serves(one) and exists(one, "alice") and not exists(one, "bob")
    assert one.eval("mnesia:table_info(terms, size)") == 100
    with one.xmpp("alice", "secret"):
        pass


#: Functions from a number to a term, of every type of term.
ODD_KINDS = """
    Here = self(), Port = hd(erlang:ports()),
    Large = fun(I) -> maps:from_list([{{K, make_ref()}, I} || K <- lists:seq(1, 40)]) end,
    Nested = fun(I) -> lists:foldl(fun(_, T) -> [{T, #{a => T}} | tail] end, I, lists:seq(1, 6)) end,
    Kinds = [fun(I) -> I end, fun(I) -> float(I) end, fun(I) -> -I end, fun(I) -> I / 7 end, fun(I) -> 1 bsl (60 + I rem 8) + I end,
             fun(I) -> -(1 bsl (1000 + I)) end, fun(I) -> {zero, -0.0, 0.0, I} end, fun(I) -> {max, 1.7976931348623157e308 / I, 5.0e-324} end,
             fun(I) -> {lists:nth(1 + I rem 4, [a, '', 'é', 'Ж ж']), I} end, fun(I) -> integer_to_binary(I) end, fun(I) -> <<I:37>> end,
             fun(I) -> <<0:(I rem 17), I:64>> end, fun(I) -> integer_to_list(I) end, fun(I) -> [I, I | I] end, fun(I) -> [[], {}, #{}, <<>>, I] end,
             fun(I) -> #{I => float(I), float(I) => I, [I] => #{}} end, Large, Nested, fun(I) -> {Here, I} end, fun(I) -> {Port, I} end,
             fun(_) -> spawn(fun() -> ok end) end, fun(_) -> make_ref() end, fun(I) -> {fun lists:map/2, fun no_such:thing/7, I} end,
             fun(I) -> list_to_tuple(lists:seq(I, I + 300)) end, fun(I) -> lists:seq(I, I + 70000 * (1 - min(1, I rem 100))) end],
"""

#: Rows of them, as keys and as values, made by the node that runs this; `{first}` tells its numbers from another one's.
ODD_ROWS = ODD_KINDS.replace("{", "{{").replace("}", "}}") + """
    Made = [Kind(I) || I <- lists:seq({first}, {first} + 199), Kind <- Kinds],
    [{{atomic, ok}} = mnesia:sync_transaction(fun() -> [ok = mnesia:write({{Table, {{Node, Term}}, Term}}) || Node <- [node()], Term <- Made], ok end)
     || Table <- [odd, odd_on_disc]],
    map_size(maps:from_list([{{Term, true}} || Term <- Made]))"""


@pytest.mark.parametrize("releases", [("24.12", "23.01"), ("26.07", "23.01")], ids=pair_name)
def test_terms_of_every_type_are_the_same_on_both(nodes_of, releases):
    newer, older = nodes_of(*releases, without=("mod_mam", "mod_roster"))
    for node in (newer, older):
        node.load_easy_cluster()
    join(newer, older, options="#{yes => true}")
    copies = f"['{newer.name}', '{older.name}']"
    newer.eval(f"{{atomic, ok}} = mnesia:create_table(odd, [{{ram_copies, {copies}}}]), "
               f"{{atomic, ok}} = mnesia:create_table(odd_on_disc, [{{disc_only_copies, {copies}}}])")  # fmt: skip
    written = newer.eval(ODD_ROWS.format(first=1), 60) + older.eval(ODD_ROWS.format(first=201), 60)

    for node in (newer, older):
        compared = {each["table"]: each for each in call(node, "diff()")[1]["compared"]}
        for table in ("odd", "odd_on_disc"):
            found = compared[table]
            assert (found["differing"], found["unsettled"], found["left_out"], found["more"]) == ([], 0, 0, False)
            assert found["rows"] == {newer.name: written, older.name: written}

    # What is mended is read, archived and written on another release than the one that has it.
    older.eval("[{odd, Key, _} = Row | _] = ets:lookup(odd, hd([K || {odd, {_, #{}} = K, _} <- ets:tab2list(odd)])), "
               "true = ets:insert(odd, setelement(3, Row, {drifted, self()}))")  # fmt: skip
    assert call(newer, f"repair(#{{table => odd, winner => '{newer.name}'}})") == "ok"

    # A local fun is another term on each node, and told instead.
    older.eval("ok = mnesia:dirty_write({odd, a_fun, [fun() -> ok end]})")
    [odd] = [each for each in call(newer, "diff()")[1]["compared"] if each["table"] == "odd"]
    assert (odd["differing"], odd["left_out"]) == ([], 1)
    assert code(call(newer, f"repair(#{{table => odd, winner => '{newer.name}'}})")) == "rows_not_comparable"


@pytest.mark.parametrize("releases", [("24.12", "23.01"), ("26.07", "23.01")], ids=pair_name)
def test_a_million_terms_of_every_type_are_the_same_on_both(nodes_of, releases):
    newer, older = nodes_of(*releases, without=("mod_mam", "mod_roster"))
    for node in (newer, older):
        node.load_easy_cluster()
    join(newer, older, options="#{yes => true}")
    older.eval(f"{{atomic, ok}} = mnesia:create_table(odd, [{{ram_copies, ['{older.name}']}}])")
    rows = older.eval(ODD_KINDS + """
        [ets:insert(odd, {odd, Kind(I), Number}) || {Number, Kind} <- lists:zip(lists:seq(1, length(Kinds)), Kinds), I <- lists:seq(1, 43000)],
        mnesia:table_info(odd, size)""", 300)  # fmt: skip
    older.eval(f"{{atomic, ok}} = mnesia:add_table_copy(odd, '{newer.name}', ram_copies)", 300)

    def compared() -> dict:
        return next(each for each in call(newer, "diff()", timeout=300)[1]["compared"] if each["table"] == "odd")

    found = compared()
    assert rows > 1_000_000 and found["rows"] == {newer.name: rows, older.name: rows}
    assert (found["differing"], found["unsettled"], found["left_out"], found["more"]) == ([], 0, 0, False)
    older.eval("[[Key] | _] = ets:match(odd, {odd, '$1', 1}), true = ets:insert(odd, {odd, Key, float(1)})")
    assert len(compared()["differing"]) == 1, "1 is not 1.0"
