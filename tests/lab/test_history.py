"""What was done here, and what is kept since: told, gone on with, given up; and journals that nobody can read any more."""

import pytest
from cluster import call, code, db_nodes, details, exists, join, serves, slices, until
from lab import wait_until
from test_recovery import KILL_HERE, is_settled, steps


def journal(node):
    [path] = (node.spool / "easy_cluster" / "journal").glob("*Z-*.journal")
    return path


def codes(node):
    return [problem[0] for problem in call(node, "status()")[1]["problems"]]


def joined(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    one.eval("{atomic, ok} = mnesia:create_table(users, [{disc_copies, [node()]}]), mnesia:dirty_write({users, 1, mine}), mnesia:dump_log()")
    join(one, two)
    return one, two


def kept_id(node) -> str:
    [kept] = call(node, "status()")[1]["kept"]
    return kept["id"].decode()


def test_an_operation_is_told_with_its_plan_and_its_records(plain_nodes):
    one, two = joined(plain_nodes)
    [past] = call(one, "history()")[1]
    assert past["outcome"] == "done" and past["kept"] > 0 and past["begun"] <= past["ended"] and past["dropped"] == "undefined"
    assert call(one, f'history("{kept_id(one)}")')[1] == past
    assert code(call(one, 'history("no-such")')) == "journal_missing"
    assert code(call(one, "history([a | b])")) == "bad_id"


def test_what_is_kept_goes_when_its_name_was_typed_twice_and_not_before(plain_nodes):
    one, two = joined(plain_nodes)
    kept = kept_id(one)
    answer = call(one, f'drop_kept("{kept}")')
    assert code(answer) == "confirmation_needed" and details(answer)["id"] == kept.encode()
    assert code(call(one, f'drop_kept("{kept}", #{{confirm => "other"}})')) == "confirmation_needed"
    assert code(call(one, f'drop_kept("{kept}x", #{{confirm => "{kept}x"}})')) == "not_kept"
    assert code(call(one, f'drop_kept("{kept}", #{{sure => true}})')) == "unknown_option"
    assert kept_id(one) == kept
    assert call(one, f'drop_kept("{kept}", #{{confirm => "{kept}"}})')[0] == "ok"
    assert call(one, "status()")[1]["kept"] == [] and not (one.spool / "easy_cluster" / "kept" / kept).exists()
    [past] = call(one, "history()")[1]
    assert past["kept"] == "undefined" and past["dropped"] != "undefined" and past["outcome"] == "done"
    assert code(call(one, f'drop_kept("{kept}", #{{confirm => "{kept}"}})')) == "not_kept"
    assert one.members() == {one.name, two.name}


def test_a_kill_while_it_goes_is_ended_at_the_next_start(plain_nodes):
    one, _two = joined(plain_nodes)
    kept = kept_id(one)
    one.eval_until_it_dies(f"""
        Directory = mnesia:system_info(directory),
        {{ok, Journal}} = easy_cluster_journal:open(Directory, <<"{kept}">>),
        {{ok, _}} = easy_cluster_journal:append(Journal, {{dropping, 1}}),
        #{{kept := Folder}} = easy_cluster_directory:paths(Directory, <<"{kept}">>),
        ok = file:delete(filename:join(Folder, "manifest.term")), ok = file:delete(filename:join(Folder, "users.DCD")),
        erlang:halt(137, [{{flush, false}}])""")
    one.start()
    one.load_easy_cluster()
    assert not (one.spool / "easy_cluster" / "kept" / kept).exists()
    [past] = call(one, "history()")[1]
    assert past["dropped"] != "undefined" and past["outcome"] == "done"


def archived(plain_nodes):
    """A node that has archived rows of a table in memory before it joined."""
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    one.eval("{atomic, ok} = mnesia:create_table(online, [{ram_copies, [node()]}]), mnesia:dirty_write({online, 1, mine})")
    join(one, two)
    [folder] = (one.spool / "easy_cluster" / "archive").iterdir()
    return one, two, folder


def test_archived_rows_are_told_and_go_when_the_name_was_typed_twice(plain_nodes):
    one, two, folder = archived(plain_nodes)
    size = sum(path.stat().st_size for path in folder.iterdir())
    [past] = call(one, "history()")[1]
    assert past["archived"] == size > 0 and past["id"].decode() == folder.name
    answer = call(one, f'drop_archive("{folder.name}")')
    assert code(answer) == "archive_confirmation_needed" and details(answer)["bytes"] == size, answer
    assert code(call(one, 'drop_archive("none", #{confirm => "none"})')) == "not_archived"
    assert code(call(one, 'drop_archive("none", #{sure => true})')) == "unknown_option"
    assert folder.is_dir()

    assert call(one, f'drop_archive("{folder.name}", #{{confirm => "{folder.name}"}})')[0] == "ok"

    assert not folder.exists() and kept_id(one) == folder.name, "the database is another thing"
    [past] = call(one, "history()")[1]
    assert past["archived"] == "undefined" and past["outcome"] == "done"
    assert call(one, "rollback()") == "ok", "without these rows"
    assert db_nodes(one) == {one.name} and one.eval("mnesia:dirty_all_keys(online)") == []


def test_a_kill_while_an_archive_goes_is_ended_at_the_next_start(plain_nodes):
    one, _two, folder = archived(plain_nodes)
    one.eval_until_it_dies(f"""
        {{ok, Journal}} = easy_cluster_journal:open(mnesia:system_info(directory), <<"{folder.name}">>),
        {{ok, _}} = easy_cluster_journal:append(Journal, {{dropping_archive, 1}}),
        erlang:halt(137, [{{flush, false}}])""")
    one.start()
    one.load_easy_cluster()
    assert not folder.exists() and kept_id(one) == folder.name
    [past] = call(one, "history()")[1]
    assert past["archived"] == "undefined" and past["outcome"] == "done"


def test_archives_count_in_the_quota(plain_nodes):
    one, two, folder = archived(plain_nodes)
    kept = kept_id(one)
    [database] = call(one, "status()")[1]["kept"]
    one.eval(f"application:set_env(easy_cluster, kept_quota, {database['bytes']})")
    [problem] = [each for each in call(one, "status()")[1]["problems"] if each[0] == "kept_quota"]
    assert problem[1]["databases"] == problem[1]["archives"] == 1 and problem[1]["function"] == b"drop_kept", problem
    assert call(one, f'drop_kept("{kept}", #{{confirm => "{kept}"}})')[0] == "ok"
    assert "kept_quota" not in codes(one)
    one.eval("application:set_env(easy_cluster, kept_quota, 10)")
    [problem] = [each for each in call(one, "status()")[1]["problems"] if each[0] == "kept_quota"]
    assert problem[1]["function"] == b"drop_archive" and problem[1]["oldest"] == folder.name.encode(), problem
    assert folder.is_dir() and one.members() == {one.name, two.name}


def test_a_quota_warns_and_deletes_nothing(plain_nodes):
    one, two = joined(plain_nodes)
    assert "kept_quota" not in codes(one)
    one.eval("application:set_env(easy_cluster, kept_quota, 1000)")
    [problem] = [each for each in call(one, "status()")[1]["problems"] if each[0] == "kept_quota"]
    assert problem[1]["oldest"] == kept_id(one).encode() and problem[1]["limit"] == 1000
    assert "kept_quota" in [each[0] for each in call(one, "doctor()")[1]["problems"]]
    plan = call(one, f"plan({{sync_node, '{two.name}'}})")[1]
    assert "kept_quota" in [each[0] for each in plan["warnings"]]
    assert kept_id(one)


def test_there_is_nothing_to_go_on_with(plain_nodes):
    [one] = plain_nodes("one")
    one.load_easy_cluster()
    assert code(call(one, "resume()")) == "nothing_to_resume"


QUOTA = "modules:\n  mod_easy_cluster:\n    kept_quota: {}\n"


def with_quota(node, value):
    """In the file that module_install has made."""
    (node.config_folder / "modules.d" / "easy_cluster.yml").write_text(QUOTA.format(value))


def quota(node):
    return node.eval("application:get_env(easy_cluster, kept_quota)")


def test_the_quota_and_the_scrub_are_options_of_the_module(solo):
    solo.install_easy_cluster()
    with_quota(solo, 1000000)
    assert solo.eval("ejabberd_admin:reload_config()") == "ok" and quota(solo) == ("ok", 1000000)
    for bad in ("-1", "0", "lots", "1.5", "[1]"):
        with_quota(solo, bad)
        assert solo.eval("ejabberd_admin:reload_config()") != "ok", bad
        assert quota(solo) == ("ok", 1000000) and serves(solo), bad
    # Beside it, the options of the scrub.
    scrub = "[application:get_env(easy_cluster, Name) || Name <- [scrub, scrub_interval]]"
    assert solo.eval(scrub) == [("ok", True), ("ok", 86_400_000)]
    with_quota(solo, "1000000\n    scrub: false\n    scrub_interval: 2 hours")
    assert solo.eval("ejabberd_admin:reload_config()") == "ok" and solo.eval(scrub) == [("ok", False), ("ok", 7_200_000)]
    with_quota(solo, "1000000\n    scrub_interval: never")
    assert solo.eval("ejabberd_admin:reload_config()") != "ok" and solo.eval(scrub) == [("ok", False), ("ok", 7_200_000)]
    with_quota(solo, "infinity")
    solo.stop()
    solo.start()
    assert quota(solo) == ("ok", "infinity") and codes(solo) == []
    solo.stop()
    with_quota(solo, "lots")
    solo.launch()
    wait_until(lambda: solo._process.poll() is not None, 40, "ejabberd to refuse its configuration")
    assert "kept_quota" in (solo.logs / "ejabberd.log").read_text()
    solo.wait_until_dead()


@pytest.fixture
def installed(pair):
    hello, foo = pair
    hello.install_easy_cluster()
    hello.register("alice", "secret")
    foo.register("bob", "secret")
    return hello, foo


def killed_with_a_damaged_journal(hello, foo, name, damage):
    step = steps(hello, foo).index(name) + 1
    hello.eval_until_it_dies(KILL_HERE.format(target=foo.name, step=step, moment="done"))
    path = journal(hello)
    damage(path)
    return path, path.read_bytes() if path.is_file() else None


def flip_the_plan(path):
    data = bytearray(path.read_bytes())
    data[200] ^= 0x55
    path.write_bytes(data)


def of_another_version(path):
    import zlib

    data = path.read_bytes()
    start = data[:8] + (2).to_bytes(2, "big")
    path.write_bytes(start + zlib.crc32(start).to_bytes(4, "big") + data[14:])


def in_its_place_a_folder(path):
    path.unlink()
    path.mkdir()


def emptied(path):
    path.write_bytes(b"")


def deleted(path):
    path.unlink()


DAMAGES = [(flip_the_plan, "journal_corrupt"), (in_its_place_a_folder, "journal_read"), (emptied, None), (deleted, None)]


@pytest.mark.parametrize("damage, problem", DAMAGES, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("name", slices(["join_schema", "schema_to_disc", "delete_logs", "commit_schema", "start_mnesia"], 0, 3))
def test_where_no_journal_can_be_read_the_directory_tells(installed, name, damage, problem):
    hello, foo = installed
    path, before = killed_with_a_damaged_journal(hello, foo, name, damage)
    hello.start()
    wait_until(lambda: is_settled(hello), 30, "the recovery")
    assert serves(hello)
    if name in ("join_schema", "schema_to_disc", "delete_logs"):
        assert exists(hello, "alice") and not exists(hello, "bob") and db_nodes(hello) == {hello.name}
        assert db_nodes(foo) == {foo.name}
    else:
        assert exists(hello, "bob") and not exists(hello, "alice")
        assert hello.members() == foo.members() == {hello.name, foo.name}
    if problem:
        assert problem in codes(hello)
        assert problem in [each[0] for each in call(hello, "doctor()", timeout=90)[1]["problems"]]
        assert "unreadable" in [past["outcome"] for past in call(hello, "history()")[1]]
        assert before is None or path.read_bytes() == before
    foo.stop()
    foo.start()
    until(foo, "mnesia:wait_for_tables(mnesia:system_info(tables), 1000) =:= ok")
    assert exists(foo, "bob")


def test_a_journal_of_another_version_keeps_half_an_exchange_from_starting(installed):
    hello, foo = installed
    path, before = killed_with_a_damaged_journal(hello, foo, "commit_schema", of_another_version)
    hello.launch()
    wait_until(lambda: hello._process.poll() is not None, 40, "ejabberd to give up")
    assert "half_exchanged" in (hello.logs / "ejabberd.log").read_text() + (hello.logs / "console.log").read_text()
    assert path.read_bytes() == before
    hello.wait_until_dead()


def test_a_journal_of_another_version_whose_operation_is_over_is_told_and_no_more(installed):
    hello, foo = installed
    join(hello, foo)
    path = journal(hello)
    of_another_version(path)
    before = path.read_bytes()
    hello.kill()
    hello.start()
    assert serves(hello) and exists(hello, "bob") and hello.members() == {hello.name, foo.name}
    assert "journal_version" in codes(hello) and is_settled(hello)
    assert path.read_bytes() == before
