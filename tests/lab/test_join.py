"""Two strangers become one cluster."""

import shutil

import pytest
from cluster import call, code, db_nodes, exists, join, serves, transactions
from lab import LoginRefused

FOO = "'ejabberd@foo.bar'"


@pytest.fixture
def strangers(pair):
    """Two ejabberd nodes that know nothing of each other; easy_cluster is on the first one only."""
    hello, foo = pair
    hello.load_easy_cluster()
    hello.register("alice", "secret")
    for user in ("bob", "carol"):
        foo.register(user, "secret")
    return hello, foo


def test_a_full_replica_serves_alone_when_the_other_is_killed(strangers):
    hello, foo = strangers
    join(hello, foo)
    assert hello.members() == foo.members() == {hello.name, foo.name}
    with hello.xmpp("bob", "secret") as bob, foo.xmpp("carol", "secret") as carol:
        bob.send(carol, "across")
        assert carol.receive() == ("bob@localhost", "across")
    foo.kill()
    with hello.xmpp("bob", "secret") as bob, hello.xmpp("carol", "secret") as carol:
        carol.send(bob, "still here")
        assert bob.receive() == ("carol@localhost", "still here")


def test_small_tables_come_in_one_transaction(strangers):
    hello, foo = strangers
    foo.eval("[{atomic, ok} = mnesia:create_table(list_to_atom(Kind ++ integer_to_list(N)), [{list_to_atom(Kind), [node()]}]) || "
             "Kind <- [\"ram_copies\", \"disc_copies\", \"disc_only_copies\"], N <- lists:seq(1, 3)]")  # fmt: skip
    join(hello, foo)
    assert transactions(hello) == {1}
    kinds = hello.eval("[mnesia:table_info(Table, storage_type) || Table <- [ram_copies1, disc_copies2, disc_only_copies3]]")
    assert kinds == ["ram_copies", "disc_copies", "disc_only_copies"]


def test_mnesia_is_started_as_it_was(strangers):
    hello, _ = strangers
    kind = "proplists:get_value(mnesia, proplists:get_value(started, application:info()))"
    assert hello.eval(kind) == "permanent", "ejabberd starts it so: without Mnesia, its VM ends"
    join(hello, strangers[1])
    assert hello.eval(kind) == "permanent"


def test_the_target_needs_no_easy_cluster(strangers):
    hello, foo = strangers
    join(hello, foo)
    assert foo.eval("code:which(easy_cluster)") == "non_existing"


def test_an_account_that_was_only_here_is_counted_refused_and_kept(strangers):
    hello, foo = strangers
    plan = call(hello, f"plan({{join_as_master, {FOO}}})")[1]
    assert {"table": "passwd", "here": 1, "only_here": 1, "different": 0} in plan["rows"]
    with hello.xmpp("alice", "secret"):
        pass  # now she is in the caches
    join(hello, foo)
    assert not exists(hello, "alice")
    with pytest.raises(LoginRefused):
        hello.xmpp("alice", "secret")
    assert kept_users(hello) == ["alice"]


def kept_users(node) -> list[str]:
    """The users in the kept database, as a Mnesia that is started on a copy of it has them."""
    [kept] = (node.spool / "easy_cluster" / "kept").iterdir()
    old = node.host.folder / "kept-copy"
    script = f"""
        ok = mnesia:start(), ok = mnesia:wait_for_tables([passwd], 10000),
        io:format("~s", [lists:join(",", [U || {{U, _}} <- mnesia:dirty_all_keys(passwd)])]), halt()."""
    shutil.copytree(kept, old)
    # Under the old node's name, which its schema carries, and without distribution.
    done = node.host.run("env", f"HOME={node.host.folder}", "erl", "-noinput", "-name", node.name, "-dist_listen", "false",
                         "-start_epmd", "false", "-mnesia", "dir", f'"{old}"', "-eval", script)  # fmt: skip
    shutil.rmtree(old)
    return [user for user in done.stdout.split(",") if user]


def test_a_slave_reads_the_tables_where_they_are(strangers):
    hello, foo = strangers
    foo.eval("{atomic, ok} = mnesia:create_table(elsewhere, [{disc_copies, [node()]}]), "
             "mnesia:dirty_write({elsewhere, 1, 2})")  # fmt: skip
    join(hello, foo, "join")
    assert db_nodes(hello) == {hello.name, foo.name}
    assert hello.eval("mnesia:table_info(schema, storage_type)") == "disc_copies"
    assert hello.eval("mnesia:table_info(elsewhere, storage_type)") == "unknown"
    assert hello.eval("mnesia:dirty_read(elsewhere, 1)") == [("elsewhere", 1, 2)]
    assert exists(hello, "bob")


def test_a_node_is_named_by_an_atom_a_string_a_binary_or_its_host(strangers):
    hello, foo = strangers
    for name in (FOO, '"ejabberd@foo.bar"', '<<"ejabberd@foo.bar">>', "'foo.bar'"):
        assert call(hello, f"test_node({name})")[0] == "ok", name
    assert call(hello, "join(\"foo.bar\", #{dry_run => true})")[1]["operation"] == ("join", foo.name)
    assert db_nodes(hello) == {hello.name}


def test_a_plan_can_be_looked_at_and_committed(strangers):
    hello, foo = strangers
    hello.eval(f"{{ok, Plan}} = easy_cluster_api:plan({{join_as_master, {FOO}}}), persistent_term:put(plan, Plan)")
    assert db_nodes(foo) == {foo.name}
    assert call(hello, "commit(persistent_term:get(plan))") == "ok"
    assert db_nodes(foo) == {hello.name, foo.name}
    again = call(hello, "commit(persistent_term:get(plan))")
    assert code(again) == "already_member"


def test_looking_leaves_no_connection_behind(strangers):
    hello, _ = strangers
    assert call(hello, f"test_node({FOO})")[0] == "ok"
    assert call(hello, f"plan({{join, {FOO}}})")[0] == "ok"
    assert hello.eval("[N || N <- nodes(connected), string:prefix(atom_to_list(N), \"lab-control\") =:= nomatch]") == []


def test_the_journal_has_every_step_and_no_cookie(strangers):
    hello, foo = strangers
    join(hello, foo)
    events = hello.eval("Dir = mnesia:system_info(directory), [Id] = easy_cluster_journal:list(Dir), "
                        "{ok, #{events := Events, tail := clean}} = easy_cluster_journal:read(Dir, Id), "
                        "[element(1, Event) || {_, _, Event} <- Events]")  # fmt: skip
    assert events[0] == "begun" and events[-1] == "outcome"
    assert events[1:-1] == ["intent", "done"] * (len(events) // 2 - 1)
    cookie = hello.eval("atom_to_binary(erlang:get_cookie())")
    for path in (hello.spool / "easy_cluster").rglob("*"):
        if path.is_file():
            assert cookie not in path.read_bytes(), path


def test_status_names_the_members_and_what_is_kept(strangers):
    hello, foo = strangers
    join(hello, foo)
    status = call(hello, "status()")[1]
    assert {member["node"]: member["role"] for member in status["members"]} == {hello.name: "master", foo.name: "master"}
    assert len(status["kept"]) == 1 and status["unfinished"] == "undefined" and status["operation"] == "none"
    foo.kill()
    down = call(hello, "status()")[1]
    assert {member["node"]: member["role"] for member in down["members"]}[foo.name] == "down"
    assert [problem[0] for problem in down["problems"]] == ["member_down"]


def test_both_survive_a_restart_as_members(strangers):
    hello, foo = strangers
    join(hello, foo)
    hello.stop()
    hello.start()
    assert hello.members() == {hello.name, foo.name} and exists(hello, "bob") and serves(hello)
    hello.load_easy_cluster()
    assert call(hello, "status()")[1]["problems"] == []


def test_merge_puts_rows_that_were_only_here_into_the_cluster(strangers):
    hello, foo = strangers
    foo.register("both", "theirs")
    hello.register("both", "ours")
    hello.eval("{atomic, ok} = mnesia:create_table(only_mine, [{disc_copies, [node()]}, {type, bag}]), "
               "mnesia:dirty_write({only_mine, 1, 2})")  # fmt: skip
    join(hello, foo, options="#{local_rows => merge}")
    assert exists(foo, "alice") and exists(foo, "bob")
    check = 'ejabberd_auth:check_password(<<"both">>, <<>>, <<"localhost">>, <<"{}">>)'
    assert foo.eval(check.format("theirs")) is True and hello.eval(check.format("ours")) is False
    assert foo.eval("mnesia:dirty_read(only_mine, 1)") == [("only_mine", 1, 2)]
    [conflicts] = (hello.spool / "easy_cluster" / "archive").rglob("passwd.conflicts")
    archived = hello.eval(f'easy_cluster_rows:fold_archive(fun(Row, Rows) -> [element(2, Row) | Rows] end, [], "{conflicts}")')
    assert archived == ("ok", [(b"both", b"localhost")])


def test_a_third_node_joins_and_holds_everything(trio):
    hello, foo, third = trio
    hello.load_easy_cluster()
    third.load_easy_cluster()
    foo.register("bob", "secret")
    join(hello, foo)
    join(third, hello)
    assert third.members() == {hello.name, foo.name, third.name}
    roles = {member["node"]: member["role"] for member in call(third, "status()")[1]["members"]}
    assert set(roles.values()) == {"master"}
    hello.kill()
    foo.kill()
    with third.xmpp("bob", "secret"):
        pass


def test_help_and_errors_have_words(strangers):
    hello, _ = strangers
    transcript = hello.shell("easy_cluster:help().", "easy_cluster:join('ejabberd@hello.world').")
    assert "join_as_master(Node)" in transcript
    assert "cannot_join_itself (request, error)" in transcript and "fix       name another node" in transcript


def test_what_was_printed_is_the_last_thing_on_the_screen(strangers):
    hello, _ = strangers
    for typed in ("status()", "tables()", "history()", "doctor()", "diff()", "pause()", "resume()", 'explain("{error,{no_ping,a@b}}")'):
        assert last_line(hello.shell(f"easy_cluster:{typed}.")) == "ok", typed
    assert last_line(hello.shell("easy_cluster:explain(nothing_that_is_known).")) == "{error,not_recognised}"
    assert "no_plan (request, error)" in hello.shell("easy_cluster:commit(last).")

    planned = last_line(hello.shell(f"easy_cluster:plan({{join_as_master, {FOO}}})."))

    assert planned.startswith("{ok,<<") and planned.endswith("-join_as_master\">>}") and hello.members() == {hello.name}
    assert last_line(hello.shell("easy_cluster:commit(last).")) == "ok" and len(hello.members()) == 2


def last_line(transcript: str) -> str:
    """What the shell says last before its prompt."""
    return transcript.rstrip().splitlines()[-2].strip()


def test_the_shell_shows_the_plan_and_one_line_a_step(strangers):
    hello, _ = strangers
    transcript = hello.shell(f"easy_cluster:join_as_master({FOO}).")
    assert "1 row of passwd exists only here" in transcript
    assert "switch to the new schema by one rename" in transcript
    assert "done: " in transcript and last_line(transcript) == "ok"
