"""Members that are killed, frozen, cut off or restarted while an operation needs them: the cluster survives, and so does this node."""

import contextlib
import signal
import threading

import pytest
from cluster import call, code, db_nodes, join
from lab import Late, NodeDown, wait_until

#: Commits an operation; at each event that matches, the statement is carried out before the operation goes on.
COMMIT = """
    {{ok, Plan}} = easy_cluster_api:plan({operation}),
    easy_cluster_executor:commit(Plan, fun ({event}) -> {statement}; (_Event) -> ok end)"""
#: What lets the laboratory act in the middle: the operation says where it is, and waits.
HOLD = "persistent_term:put(lab_reached, yes), (fun Wait() -> persistent_term:get(lab_go, no) =:= yes orelse (receive after 10 -> Wait() end) end)()"
PENDING = "maps:get(pending, easy_cluster_server:state())"


@contextlib.contextmanager
def committing(node, operation: str, event: str, statement: str, timeout: float = 120):
    """Carries an operation out beside; yields the list that gets its answer."""
    answers: list = []

    def commit() -> None:
        answers.append(node.eval(COMMIT.format(operation=operation, event=event, statement=statement), timeout))

    thread = threading.Thread(target=commit)
    thread.start()
    try:
        yield answers
    finally:
        node.eval("persistent_term:put(lab_go, yes)")
        thread.join()
        node.eval("[persistent_term:erase(Key) || Key <- [lab_reached, lab_go]]")


def reached(node) -> bool:
    return node.eval("persistent_term:get(lab_reached, no)") == "yes"


def filled(node, rows: int = 150000):
    """A table on disc that takes some time to be copied."""
    node.eval(f"""
        {{atomic, ok}} = mnesia:create_table(big, [{{disc_copies, [node()]}}]),
        mnesia:async_dirty(fun() -> [mnesia:write({{big, K, {{K, <<"some text to make it longer">>}}}}) || K <- lists:seq(1, {rows})] end),
        dumped = mnesia:dump_log(), ok""", 60)  # fmt: skip


def is_undecided(node) -> bool:
    """Whether the node has promised to commit a transaction, and does not know yet whether it will be."""
    return node.eval("""
        [Pid || Pid <- processes(), {current_function, {mnesia_tm, commit_participant, _}} <- [process_info(Pid, current_function)]] =/= []""")


def killed_undecided(joiner, contact):
    """Has the contact killed while a table is copied from it, with the open transaction on its disc."""
    filled(contact)
    event = "{step, begun, #{action := {copy_table, #{table := big}}}, _}"
    with committing(joiner, f"{{join_as_master, '{contact.name}'}}", event, "persistent_term:put(lab_reached, yes)") as answers:
        wait_until(lambda: reached(joiner), 60, "the copy to be begun", every=0.005)
        wait_until(lambda: is_undecided(contact), 60, "the copy to be made", every=0.005)
        contact.eval("ok = mnesia:sync_log()")
        contact.kill()
    assert code(answers[0]) == "step_failed", answers


@pytest.fixture
def strangers(plain_nodes):
    joiner, contact = plain_nodes("joiner", "contact")
    joiner.load_easy_cluster()
    return joiner, contact


def test_a_contact_that_is_killed_while_a_table_is_copied_from_it_comes_up_again(strangers):
    comes_up_again(*strangers)


def comes_up_again(joiner, contact):
    """What the test above says, of any two nodes of which the first has easy_cluster."""
    killed_undecided(joiner, contact)
    contact.start()
    assert db_nodes(joiner) == {joiner.name}
    wait_until(lambda: db_nodes(contact) == {contact.name}, 20, "the contact to be told")
    assert contact.eval("ok = mnesia:wait_for_tables([big], 60000), mnesia:table_info(big, size)", 70) == 150000
    wait_until(lambda: joiner.eval(PENDING) == [], 20, "nothing to be pending")
    join(joiner, contact)


def test_a_contact_comes_up_again_whatever_became_of_the_joiner_meanwhile(strangers):
    joiner, contact = strangers
    killed_undecided(joiner, contact)
    joiner.kill()
    contact.launch()
    wait_until(lambda: contact.is_up() and contact.eval("mnesia:system_info(is_running)") == "starting", 20, "Mnesia to wait")
    contact.load_easy_cluster()
    problem = f"{{waits_for_decision, #{{node => '{contact.name}', awaited => ['{joiner.name}']}}}}"
    wait_until(lambda: problems(contact) == ["waits_for_decision"], 20, "the status to say for whom it waits")
    said = contact.text(f"easy_cluster:format_error({problem})")
    assert joiner.name in said and "max_wait_for_decision" in said
    joiner.start()
    joiner.load_easy_cluster()
    wait_until(lambda: contact.eval("mnesia:system_info(is_running)") == "yes", 30, "the contact to start")
    wait_until(lambda: db_nodes(contact) == {contact.name}, 20, "the contact to be told")


def test_a_copy_whose_source_dies_in_the_middle_of_it_is_given_up(strangers):
    """The rows of a table on disc only are awaited by a process of dets, which nobody tells that they will not come."""
    joiner, contact = strangers
    contact.eval("""
        {atomic, ok} = mnesia:create_table(slow, [{disc_only_copies, [node()]}]),
        Text = binary:copy(<<"x">>, 1000),
        mnesia:async_dirty(fun() -> [mnesia:write({slow, K, Text}) || K <- lists:seq(1, 20000)] end), dumped = mnesia:dump_log(), ok""", 60)
    arrives = """File = filename:join(mnesia:system_info(directory), "slow.TMP"), filelib:file_size(File) > 2000000"""
    with committing(joiner, f"{{join_as_master, '{contact.name}'}}", "{step, begun, #{action := {copy_table, #{table := slow}}}, _}", "ok") as answers:
        wait_until(lambda: joiner.eval(arrives), 60, "rows to arrive", every=0.01)
        contact.kill()
    assert code(answers[0]) == "step_failed", answers
    assert db_nodes(joiner) == {joiner.name} and joiner.eval("mnesia:system_info(is_running)") == "yes"
    contact.start()
    wait_until(lambda: db_nodes(contact) == {contact.name}, 20, "the contact to be told")
    assert contact.eval("ok = mnesia:wait_for_tables([slow], 60000), mnesia:table_info(slow, size)", 70) == 20000


def problems(node) -> list[str]:
    """The codes of what `status()` finds."""
    return [problem[0] for problem in call(node, "status()")[1]["problems"]]


@pytest.mark.parametrize("how, seconds", [("freeze", 6), ("cut", 6)])
def test_a_member_that_is_away_while_it_is_to_forget_this_node_is_told_when_it_is_back(lab, strangers, how, seconds):
    is_told_when_it_is_back(lab, *strangers, how, seconds)


def is_told_when_it_is_back(lab, leaver, member, how: str, seconds: float):
    """What the test above says."""
    join(leaver, member)
    member.eval("{atomic, ok} = mnesia:create_table(t, [{disc_copies, [node()]}]), mnesia:dirty_write({t, 1, 1})")
    with committing(leaver, "leave", "{step, begun, #{action := {forget_here, _}}, _}", HOLD) as answers:
        wait_until(lambda: reached(leaver), 60, "the member to be told")
        away = threading.Event()
        lab.cut(leaver, member) if how == "cut" else member.signal(signal.SIGSTOP)
        leaver.eval("persistent_term:put(lab_go, yes)")
        # How long it is away is what is tried.
        away.wait(seconds)
        lab.mend(leaver, member) if how == "cut" else member.signal(signal.SIGCONT)
    assert answers[0][0] == "ok", answers
    assert db_nodes(leaver) == {leaver.name} and leaver.eval("mnesia:system_info(is_running)") == "yes"
    wait_until(lambda: db_nodes(member) == {member.name}, 30, "the member to be told")
    wait_until(lambda: leaver.eval(PENDING) == [], 20, "nothing to be pending")
    assert member.eval("mnesia:dirty_read(t, 1)") == [("t", 1, 1)]
    # Both start again, each with its own database.
    for node in (leaver, member):
        node.stop()
        node.start()
        assert db_nodes(node) == {node.name}


def test_a_member_starts_beside_one_that_was_wiped_and_keeps_what_the_cluster_has(strangers):
    wiped, member = strangers
    join(wiped, member)
    member.eval("{atomic, ok} = mnesia:create_table(t, [{disc_copies, [node()]}]), mnesia:dirty_write({t, 1, 1})")
    wiped.stop()
    for path in wiped.mnesia_files().values():
        path.unlink()
    wiped.start()
    member.eval("ok = application:stop(mnesia)")
    member.load_easy_cluster()
    member.eval("ok = mnesia:start(), ok = mnesia:wait_for_tables([t], 5000)")
    assert db_nodes(member) == {wiped.name, member.name} and member.eval("mnesia:dirty_read(t, 1)") == [("t", 1, 1)]
    assert db_nodes(wiped) == {wiped.name}
    assert "easy_cluster:forget('" + wiped.name in member.log()


@pytest.mark.parametrize("step, down", [("join_schema", 300), ("start_mnesia", 1200)])
def test_members_that_see_one_another_stay_so_when_one_of_them_restarts_during_a_join(plain_nodes, step, down):
    stay_together(*plain_nodes("joiner", "contact", "third"), step, down, start="mnesia, start, []")


def stay_together(joiner, contact, third, step: str, down: int, start: str):
    """What the test above says; `start` is the function by which the third node's Mnesia comes back."""
    for node in (joiner, third):
        node.load_easy_cluster()
    join(third, contact)
    restart = f"""rpc:call('{third.name}', application, stop, [ejabberd]), rpc:call('{third.name}', mnesia, stop, []),
                  rpc:cast('{third.name}', timer, apply_after, [{down}, {start}])"""
    event = f"{{step, done, #{{action := {{{step}, _}}}}, _}}"
    with committing(joiner, f"{{join_as_master, '{contact.name}'}}", event, restart) as answers:
        pass
    assert answers
    joined = db_nodes(joiner) != {joiner.name}
    whole = {contact.name, third.name} | ({joiner.name} if joined else set())
    for node in (contact, third):
        wait_until(lambda node=node: runs(node) == whole, 40, f"{node.name} to see {whole}")
    wait_until(lambda: db_nodes(contact) == db_nodes(third) == whole, 30, "the members to be told")


def runs(node) -> set[str]:
    """Who replicates with the node."""
    with contextlib.suppress(NodeDown, Late):
        return node.members()
    return set()
