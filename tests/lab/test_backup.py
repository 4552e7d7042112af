"""A cluster is backed up while it serves, and comes back on a node of another name; a database gets another owner."""

import shutil
import subprocess

import pytest
from cluster import call, code, db_nodes, details, exists, join, serves, slices
from lab import wait_until
from lab.node import REPOSITORY
from test_alone import killed_at

WRITER = """
    {{atomic, ok}} = mnesia:create_table(numbers, [{{disc_copies, [node()]}}, {{attributes, [key, value]}}]),
    {{atomic, ok}} = mnesia:create_table(squares, [{{disc_copies, ['{other}']}}, {{attributes, [key, value]}}]),
    Write = fun Write(N) ->
        {{atomic, ok}} = mnesia:transaction(fun() -> mnesia:write({{numbers, N, N}}), mnesia:write({{squares, N, N * N}}) end),
        Write(N + 1)
    end,
    register(writer, spawn(fun() -> Write(1) end)), ok"""


@pytest.fixture
def folder(lab):
    """A folder that every node of the lab can write to, for backups."""
    path = lab.folder / "backups"
    path.mkdir()
    shutil.chown(path, "ejabberd", "ejabberd")
    yield path
    shutil.rmtree(path)


def backup(node, path):
    answer = call(node, f'backup("{path}")')
    assert answer[0] == "ok", answer
    return {table["name"]: table for table in answer[1]["tables"]}, answer[1]


def test_a_cluster_comes_back_on_a_node_of_another_name(trio, folder):
    hello, foo, third = trio
    hello.load_easy_cluster()
    foo.register("bob", "secret")
    join(hello, foo)
    hello.eval("{atomic, ok} = mnesia:create_table(memory, [{ram_copies, [node()]}]), mnesia:dirty_write({memory, 1, 1})")
    hello.eval(WRITER.format(other=foo.name))
    wait_until(lambda: hello.eval("mnesia:table_info(numbers, size)") > 200, 20, "the writer")
    with foo.xmpp("bob", "secret"):
        tables, manifest = backup(hello, folder / "today")
    before = hello.eval("mnesia:table_info(numbers, size)")
    wait_until(lambda: hello.eval("mnesia:table_info(numbers, size)") > before, 20, "the writer to go on")
    assert hello.eval("mnesia:system_info(checkpoints)") == foo.eval("mnesia:system_info(checkpoints)") == []
    assert set(manifest["members"]) == {hello.name, foo.name}
    assert tables["numbers"]["rows"] == tables["squares"]["rows"] > 200
    assert "session" in [table["name"] for table in manifest["left_out"]] and "passwd" in tables
    numbers = tables["numbers"]["rows"]

    third.load_easy_cluster()
    third.register("carol", "secret")
    plan = call(third, f'restore("{folder}/today", #{{dry_run => true}})')[1]
    changes = {table["name"]: table["changes"] for table in plan["operation"][1]["tables"]}
    assert changes["passwd"] == {"here": 1, "only_here": 1, "only_in_backup": 1, "different": 0}
    assert changes["numbers"] == "undefined"
    assert exists(third, "carol") and not exists(third, "bob")

    assert call(third, f'restore("{folder}/today")') == "ok"

    assert serves(third) and exists(third, "bob") and not exists(third, "carol") and db_nodes(third) == {third.name}
    assert third.eval("mnesia:table_info(numbers, size)") == third.eval("mnesia:table_info(squares, size)") == numbers
    assert third.eval(f"lists:usort([V || N <- lists:seq(1, {numbers}), {{_, _, V}} <- mnesia:dirty_read(squares, N)]) =:= "
                      f"[N * N || N <- lists:seq(1, {numbers})]")  # fmt: skip
    with third.xmpp("bob", "secret"):
        pass
    assert third.eval("mnesia:dirty_read(memory, 1)") == [("memory", 1, 1)]
    [kept] = call(third, "status()")[1]["kept"]
    assert kept["id"].endswith(b"-restore") and kept["shared"] is False
    third.stop()
    third.start()
    assert third.eval("[mnesia:table_info(memory, storage_type), mnesia:dirty_read(memory, 1)]") == ["ram_copies", []]
    with third.xmpp("bob", "secret"):
        pass
    # What was built is no stranger to joins, and nothing of the old cluster.
    hello.stop()
    hello.start()
    assert hello.members() == foo.members() == {hello.name, foo.name} and db_nodes(third) == {third.name}


def test_what_forbids_a_backup_and_a_restore(pair, folder):
    hello, foo = pair
    hello.load_easy_cluster()
    assert code(call(hello, f'backup("{folder.parent}")')) == "backup_folder_not_empty"
    assert code(call(hello, "backup(nowhere)")) == "bad_option"
    assert code(call(hello, f'restore("{folder}/none")')) == "backup_missing"
    backup(hello, folder / "good")
    archive = folder / "good" / "tables" / "passwd.rows"
    join(hello, foo)
    assert code(call(hello, f'restore("{folder}/good")')) == "still_a_member"
    archive.write_bytes(archive.read_bytes()[:-1])
    answer = call(hello, f'restore("{folder}/good")')
    assert code(answer) == "backup_damaged" and details(answer)["table"] == "passwd"
    assert serves(hello) and hello.members() == {hello.name, foo.name}


@pytest.fixture
def program():
    """`easy-cluster`."""
    subprocess.run(["cargo", "build", "--quiet", "--locked", "-p", "easy_cluster_cli"], cwd=REPOSITORY, check=True)
    return REPOSITORY / "target" / "debug" / "easy-cluster"


def rename(node, program, old, new, *options):
    """What `easy-cluster rename` says in the host of the node, as the user ejabberd."""
    host = node.host
    copy = host.folder / "easy-cluster"
    shutil.copy(program, copy)
    built = host.lab.readable(REPOSITORY / "_build/default/lib/easy_cluster")
    argv = [str(copy), "rename", old, new, str(node.spool), "--ebin", f"{built}/ebin", *options]
    user = ["setpriv", "--reuid=ejabberd", "--regid=ejabberd", "--init-groups", "env", f"HOME={node.spool}"]
    return host.call(host.command(*user, *argv), 120)


def called(node, name):
    """The node under another name, as after a change of its host's."""
    config = node.config_folder / "ejabberdctl.cfg"
    config.write_text(config.read_text().replace(node.name, name))
    node.name = name


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_ejabberd_starts_under_the_name_that_its_database_was_given(solo, program, end):
    old, new = solo.name, "chat@hello.world"
    for user in ("alice", "bob"):
        solo.register(user, "secret")
    solo.eval("mnesia:sync_log()")
    getattr(solo, end)()
    called(solo, new)
    solo.launch()
    console = solo.log_files()[0]
    wait_until(lambda: f"owned by ['{old}']" in console.read_text(), 20, "ejabberd to refuse")
    solo.eval_until_it_dies("erlang:halt(0, [{flush, false}])")
    before = solo.checksums()

    refused = rename(solo, program, "ejabberd@wrong.host", new)
    assert refused.returncode == 1 and f"is owned by {old}" in refused.stdout, refused.stdout + refused.stderr
    dry = rename(solo, program, old, new, "--dry-run")
    assert dry.returncode == 0 and f"the database of {old} becomes that of {new}" in dry.stdout, dry.stdout + dry.stderr
    assert solo.checksums() == before

    done = rename(solo, program, old, new)
    assert done.returncode == 0, done.stdout + done.stderr

    solo.start()
    assert serves(solo) and db_nodes(solo) == {new} and exists(solo, "alice") and exists(solo, "bob")
    with solo.xmpp("alice", "secret"):
        pass
    kept = next((solo.spool / "easy_cluster" / "kept").iterdir())
    assert {path.name for path in kept.iterdir()} >= {"schema.DAT", "passwd.DAT", "manifest.term"}
    assert rename(solo, program, new, old, "--dry-run").returncode == 1, "it runs"


@pytest.mark.parametrize(("step", "restored"), slices([("build_database", False), ("delete_logs", False), ("commit_schema", True),
                                                       ("reopen_mnesia", True)], 1, 2))  # fmt: skip
def test_a_kill_leaves_the_old_database_or_the_backup(solo, folder, step, restored):
    solo.install_easy_cluster()
    solo.register("alice", "secret")
    backup(solo, folder / "today")
    solo.register("bob", "secret")
    killed_at(solo, f'{{restore, "{folder}/today"}}', step, "done")
    assert serves(solo) and exists(solo, "alice") and exists(solo, "bob") is not restored
    outcome = call(solo, "history()")[1][-1]["outcome"]
    assert outcome == ("done" if restored else "undone")


def test_rows_in_memory_come_back_once_as_memory_is(plain_nodes, folder):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    two.load_easy_cluster()
    one.eval("[begin {atomic, ok} = mnesia:create_table(T, [{K, [node()]}]), mnesia:dirty_write({T, 1, mine}) end || "
             "{T, K} <- [{memory, ram_copies}, {users, disc_copies}]]")  # fmt: skip
    backup(one, folder / "today")
    two.eval("{atomic, ok} = mnesia:create_table(memory, [{ram_copies, [node()]}]), mnesia:dirty_write({memory, 2, theirs})")
    assert call(two, f'restore("{folder}/today")') == "ok"
    assert two.eval("mnesia:dirty_all_keys(memory)") == [1] and two.eval("mnesia:dirty_all_keys(users)") == [1]
    two.eval("mnesia:dirty_delete(memory, 1)")
    two.kill()
    two.start()
    assert two.eval("mnesia:wait_for_tables([memory, users], 10000)") == "ok"
    assert two.eval("mnesia:dirty_all_keys(memory)") == [] and two.eval("mnesia:dirty_all_keys(users)") == [1]
    assert two.eval("mnesia:table_info(memory, storage_type)") == "ram_copies"


def test_a_table_in_memory_may_have_any_name(plain_nodes, folder):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    two.load_easy_cluster()
    names = ["a/b", "new\\nline", "", ".", "..", "x" * 255, "\\x{416}" * 150, "with a blank"]
    for name in names:
        one.eval(f"{{atomic, ok}} = mnesia:create_table('{name}', [{{ram_copies, [node()]}}]), mnesia:dirty_write({{'{name}', 1, mine}})")
    join(two, one)
    backup(one, folder / "today")
    full = "[mnesia:dirty_all_keys(Table) || Table <- mnesia:system_info(tables) -- [schema, easy_cluster_fence]]"
    assert call(two, "leave()") == "ok"
    assert two.eval(full) == [[1]] * len(names)
    assert call(two, "reset()") == "ok" and two.eval(full) == []
    assert call(two, f'restore("{folder}/today")') == "ok"
    assert two.eval(full) == [[1]] * len(names)
