"""sync_node brings every missing copy here, whatever kind of table it is."""

from cluster import call, code, join

TABLES = """
    Both = {nodes},
    {{atomic, ok}} = mnesia:create_table(two_copies, [{{disc_copies, Both}}]),
    {{atomic, ok}} = mnesia:create_table(a_bag, [{{type, bag}}, {{disc_only_copies, [node()]}}]),
    {{atomic, ok}} = mnesia:create_table(in_order, [{{type, ordered_set}}, {{ram_copies, [node()]}}]),
    {{atomic, ok}} = mnesia:create_table(indexed, [{{disc_copies, [node()]}}, {{attributes, [k, a, b]}}, {{index, [b]}}]),
    {{atomic, ok}} = mnesia:create_table(fragmented, [{{frag_properties, [{{n_fragments, 4}}, {{node_pool, [node()]}}, {{n_disc_copies, 1}}]}}]),
    {{atomic, ok}} = mnesia:create_table(own_rows, [{{ram_copies, [node()]}}, {{local_content, true}}]),
    [mnesia:dirty_write({{T, I, I}}) || T <- [two_copies, in_order, own_rows], I <- lists:seq(1, 10)],
    [mnesia:dirty_write({{a_bag, 1, I}}) || I <- lists:seq(1, 10)],
    [mnesia:dirty_write({{indexed, I, x, I rem 2}}) || I <- lists:seq(1, 10)],
    mnesia:activity(async_dirty, fun() -> [mnesia:write({{fragmented, I, I}}) || I <- lists:seq(1, 100)] end, [], mnesia_frag),
    ok"""


def test_all_kinds_of_tables_come_with_their_storage_types_and_rows(plain_nodes):
    one, two, three = plain_nodes("one", "two", "three")
    one.load_easy_cluster()
    three.load_easy_cluster()
    join(three, two, "join")
    assert two.eval(TABLES.format(nodes=f"[node(), '{three.name}']")) == "ok"
    join(one, two, "join")
    assert one.eval("mnesia:system_info(local_tables)") == ["schema"]
    assert call(one, f"sync_node('{two.name}')") == "ok"
    kinds = ["two_copies", "a_bag", "in_order", "indexed", "fragmented", "fragmented_frag4", "own_rows"]
    stored = [one.eval(f"mnesia:table_info({table}, storage_type)") for table in kinds]
    assert stored == ["disc_copies", "disc_only_copies", "ram_copies", "disc_copies", "disc_copies", "disc_copies", "ram_copies"]
    two.kill()
    three.kill()
    assert one.eval("length(mnesia:dirty_read(a_bag, 1))") == 10
    assert one.eval("length(mnesia:dirty_index_read(indexed, 1, b))") == 5
    assert one.eval("mnesia:dirty_first(in_order)") == 1
    assert one.eval("mnesia:activity(async_dirty, fun() -> length(mnesia:all_keys(fragmented)) end, [], mnesia_frag)") == 100
    assert one.eval("mnesia:table_info(own_rows, size)") == 0


def test_a_second_sync_copies_nothing(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    two.eval("{atomic, ok} = mnesia:create_table(t, [{disc_copies, [node()]}])")
    join(one, two, "join")
    assert call(one, f"sync_node('{two.name}')") == "ok"
    plan = call(one, f"plan({{sync_node, '{two.name}'}})")[1]
    assert [step["action"] for step in plan["steps"]] == ["verify"]
    assert call(one, f"sync_node('{two.name}')") == "ok"


def test_a_stranger_cannot_sync(plain_nodes):
    one, two = plain_nodes("one", "two")
    one.load_easy_cluster()
    assert code(call(one, f"sync_node('{two.name}')")) == "not_a_member"
