"""Tables with properties for which Mnesia refuses what others are open to, and dets tables beside Mnesia's."""

import pytest
from cluster import call, code, db_nodes, join, until
from lab import wait_until


def forgets(node, other) -> None:
    other.kill()
    until(node, f"not lists:member('{other.name}', mnesia:system_info(running_db_nodes))")
    assert call(node, f"forget('{other.name}', #{{quorum => false}})") == "ok"


@pytest.fixture
def two(plain_nodes):
    """Two plain nodes, strangers to each other, with easy_cluster."""
    one, two = plain_nodes("one", "two")
    for node in (one, two):
        node.load_easy_cluster()
    return one, two


def test_a_majority_that_would_go_is_told_before_anything_stops_and_a_dead_one_can_be_forgotten(two):
    one, two = two
    one.eval("[begin {atomic, ok} = mnesia:create_table(T, [{disc_copies, [node()]}]), mnesia:dirty_write({T, 1, mine}) end || "
             "T <- [m, t]], {atomic, ok} = mnesia:change_table_majority(m, true)")  # fmt: skip
    refused = f"R = easy_cluster_api:join_as_master('{one.name}'), {{error, {{majority_blocks, _}}}} = R, R"
    assert "mnesia:change_table_majority(m, false)" in two.text(f"easy_cluster:format_error(begin {refused} end)")
    assert db_nodes(two) == {two.name} and call(two, "history()") == ("ok", [])

    one.eval("{atomic, ok} = mnesia:change_table_majority(m, false)")
    join(two, one)
    one.eval("{atomic, ok} = mnesia:change_table_majority(m, true)")
    journals = call(two, "history()")
    for operation in ("leave()", "leave(#{data => empty})", "rollback()"):
        assert code(call(two, operation)) == "majority_blocks"
    assert call(two, "history()") == journals
    assert one.members() == two.members() == {one.name, two.name}

    one.eval("{atomic, ok} = mnesia:change_table_majority(m, false)")
    assert call(two, "leave()") == "ok" and db_nodes(one) == {one.name}
    join(two, one)
    one.eval("{atomic, ok} = mnesia:change_table_majority(m, true)")

    forgets(one, two)
    assert db_nodes(one) == {one.name}
    assert one.eval("{mnesia:table_info(m, disc_copies), mnesia:table_info(m, majority)}") == ([one.name], True)
    assert one.eval("{atomic, ok} = mnesia:transaction(fun() -> mnesia:write({m, 2, after_it}) end), mnesia:table_info(m, size)") == 2

    two.launch()
    wait_until(lambda: "Bad cookie in table definition easy_cluster_fence" in two.log_tail(400), 30, "two to be turned away")
    assert db_nodes(one) == {one.name}


def test_a_read_only_table_keeps_its_rows_and_its_mode_and_gets_no_second_copy(two, tmp_path_factory):
    one, two = two
    one.eval("[begin {atomic, ok} = mnesia:create_table(T, [{K, [node()]}]), [mnesia:dirty_write({T, N, N}) || N <- [1, 2]], "
             "{atomic, ok} = mnesia:change_table_access_mode(T, read_only) end || {T, K} <- [{disc, disc_copies}, {ram, ram_copies}, "
             "{dets, disc_only_copies}]]")  # fmt: skip
    tables = one.eval("{ok, #{tables := Tables}} = easy_cluster_api:tables(), "
                      "[{T, R, A} || #{table := T, rows := R, copies := [#{active := A}]} <- Tables]")  # fmt: skip
    assert tables == [("dets", 2, True), ("disc", 2, True), ("ram", 2, True)]
    assert code(call(two, f"join_as_master('{one.name}')")) == "read_only_tables"

    # The failed join brings the rows in memory back, too.
    two.eval("{atomic, ok} = mnesia:create_table(mine, [{ram_copies, [node()]}]), mnesia:dirty_write({mine, 1, 1}), "
             "{atomic, ok} = mnesia:change_table_access_mode(mine, read_only)")  # fmt: skip
    join(two, one, kind="join")
    assert call(two, "rollback()") == "ok"
    assert two.eval("{mnesia:dirty_all_keys(mine), mnesia:table_info(mine, access_mode)}") == ([1], "read_only")

    join(two, one, kind="join")
    folder = one.folder / "backup"
    assert call(one, f'backup("{folder}")')[0] == "ok"
    assert code(call(two, f"sync_node('{one.name}')")) == "read_only_tables"
    assert code(call(one, "leave()")) == "read_only_tables"
    assert call(two, "leave()") == "ok"
    for name in ("disc", "dets", "ram"):
        assert two.eval(f"{{lists:sort(mnesia:dirty_all_keys({name})), mnesia:table_info({name}, access_mode)}}") == ([1, 2], "read_only")

    one.eval("[{atomic, ok} = mnesia:change_table_access_mode(T, read_write) || T <- [disc, ram, dets]], [mnesia:dirty_delete(T, 1) || T <- [disc, ram, dets]]")
    assert call(one, f'restore("{folder}")') == "ok"
    for name in ("disc", "dets", "ram"):
        assert one.eval(f"{{lists:sort(mnesia:dirty_all_keys({name})), mnesia:table_info({name}, access_mode)}}") == ([1, 2], "read_only")


def test_copies_of_a_read_only_table_are_compared_and_not_repaired_and_their_dead_holder_is_forgotten(two):
    one, two = two
    one.eval("{atomic, ok} = mnesia:create_table(ro, [{disc_copies, [node()]}]), mnesia:dirty_write({ro, 1, 1})")
    join(two, one)
    one.eval("{atomic, ok} = mnesia:change_table_access_mode(ro, read_only)")
    assert one.eval("{ok, #{compared := Compared}} = easy_cluster_api:diff(), [{T, length(maps:keys(R))} || #{table := T, rows := R} <- Compared]") == [("ro", 2)]
    assert code(call(one, f"repair(#{{table => ro, winner => '{two.name}'}})")) == "read_only_tables"
    assert code(call(two, "leave()")) == code(call(two, "rollback()")) == "read_only_tables"
    assert one.members() == two.members() == {one.name, two.name}
    forgets(one, two)
    assert one.eval("{mnesia:table_info(ro, disc_copies), mnesia:dirty_all_keys(ro), mnesia:table_info(ro, access_mode)}") == ([one.name], [1], "read_only")
    one.kill()
    one.start()
    assert one.eval("mnesia:wait_for_tables([ro], 10000)") == "ok"


def test_dets_tables_of_others_keep_nobody_waiting_and_shared_ones_are_told(two):
    one, two = two
    two.eval("{atomic, ok} = mnesia:create_table(rows, [{disc_only_copies, [node()]}])")
    opened = """Me = self(), true = register(opener, spawn(fun() -> R = dets:open_file({name}, {options}), Me ! {{opened, R}},
        receive stop -> ok end end)), receive {{opened, {{ok, {name}}}}} -> ok end"""
    two.eval(opened.format(name="rows", options="[{file, dets:info(rows, filename)}, {keypos, 2}, {repair, false}]"))
    assert code(call(two, f"join_as_master('{one.name}')")) == "file_in_use"
    two.eval("M = monitor(process, opener), opener ! stop, receive {'DOWN', M, _, _, _} -> ok end")
    until(two, "length(dets:info(rows, users)) =:= 1")
    two.eval(opened.format(name="mine", options=f'[{{file, "{two.folder}/mine.dets"}}]'))
    join(two, one, timeout=30)
    assert two.eval("dets:info(mine, size)") == 0


def test_a_program_with_cluster_tools_of_its_own_is_asked_about(two):
    one, two = two
    two.eval("ok = application:load({application, vmq_server, [{applications, [kernel, stdlib]}, {modules, []}, {registered, []}, {vsn, \"1\"}]}), "
             "ok = application:start(vmq_server)")  # fmt: skip
    for operation in (f"join_as_master('{one.name}')", "reset()"):
        assert code(call(two, operation)) == "own_cluster_tools"
    assert call(two, "history()") == ("ok", [])
    join(two, one, options="#{yes => true}")
    assert code(call(two, "leave()")) == code(call(two, "rollback()")) == "own_cluster_tools"
