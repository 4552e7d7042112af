"""What becomes of rows that no kept file holds, and of tables with any name; and calls that make no sense."""

from cluster import call, code, join
from lab import ErlangError


def table(node, name, row, storage="ram_copies"):
    assert node.eval(f"mnesia:create_table({name}, [{{{storage}, [node()]}}])") == ("atomic", "ok")
    assert node.eval(f"mnesia:dirty_write({{{name}, {row}, {row}}})") == "ok"


def archived(node) -> dict:
    """The rows of each archive beside the database, by the name of its file."""
    folder = node.spool / "easy_cluster" / "archive"
    rows = "easy_cluster_rows:fold_archive(fun(Row, Rows) -> [Row | Rows] end, [], \"{}\")"
    return {path.name: node.eval(rows.format(path))[1] for path in sorted(folder.rglob("*.rows"))}


def test_rows_in_memory_are_in_the_archive_after_the_join(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    table(one, "mine", "1")
    table(one, "shared", "ours")
    table(two, "shared", "theirs")
    join(one, two)
    assert archived(one) == {"mine.rows": [("mine", 1, 1)], "shared.rows": [("shared", "ours", "ours")]}
    assert one.eval("mnesia:dirty_all_keys(shared)") == ["theirs"]


def test_rows_in_memory_are_merged_too(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    table(one, "mine", "1")
    join(one, two, options="#{local_rows => merge}")
    assert two.eval("mnesia:dirty_read(mine, 1)") == [("mine", 1, 1)]


def test_a_table_may_be_called_anything(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    before = set(one.host.folder.rglob("*.rows"))
    for name in ("'../../../../evil'", "'My Table'", "'grün/blau'"):
        table(one, name, "1")
    join(one, two, options="#{local_rows => merge}")
    for name in ("'../../../../evil'", "'My Table'", "'grün/blau'"):
        assert len(two.eval(f"mnesia:dirty_read({name}, 1)")) == 1
    written = set(one.host.folder.rglob("*.rows")) - before
    assert len(written) == 3 and all("easy_cluster/archive/" in str(path) for path in written), written


def test_a_second_operation_is_told_that_one_runs(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    answers = one.eval(f"""
        {{ok, Plan}} = easy_cluster_api:plan({{join_as_master, '{two.name}'}}),
        Asker = self(),
        {{ok, _}} = easy_cluster_server:run(Plan, fun
            ({{step, begun, #{{number := 1}}, _}}) -> Asker ! easy_cluster_api:plan({{join, '{two.name}'}}), ok;
            (_Event) -> ok
        end),
        receive Answer -> Answer end""", timeout=60)  # fmt: skip
    assert code(answers) == "operation_in_progress", answers


def test_what_makes_no_sense_is_an_error_with_a_code(plain_nodes):
    [one] = plain_nodes("one")
    one.load_easy_cluster()
    for request, expected in [
        ("test_node('a@b.c', [])", "bad_option"),
        ("test_node('a@b.c', foo)", "bad_option"),
        ("commit(#{steps => x})", "bad_plan"),
        ("commit(#{steps => [a | b]})", "bad_plan"),
        ("commit(#{id => 1, node => node(), operation => {a, b}, options => #{}, steps => []})", "bad_plan"),
        ("doctor('a@b.c', [a | b])", "bad_option"),
    ]:
        assert code(call(one, request)) == expected, request
    for error in ("{error, {foo, #{problems => bar}}}", "{error, {foo, #{problems => [bar]}}}", "{error, {bad_option, #{option => [a | b]}}}",
                  "{error, {foo, #{problems => [a | b]}}}", "[a | b]"):  # fmt: skip
        try:
            assert one.text(f"easy_cluster:format_error({error})")
        except ErlangError as failed:
            raise AssertionError(error) from failed
