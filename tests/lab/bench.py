"""The measurements of docs/performance.md that need real ejabberd nodes: `make bench`.

Three ways to join, in turn, on the same data, each by a node whose database is new and whose configuration is some seconds older
than it, as on any machine in use:
  ours   easy_cluster:join_as_master/1, from the call to its return
  stock  what `ejabberdctl join_cluster` does (ejabberd_cluster:join/1)
  2012   the procedure of 2012: delete the schema, join, copy each table, start ejabberd
and the time that it takes to keep an old database of 1 MB and of 1 GB.

`bench.py --timeline` shows instead where one join of ours spends its time, by the clock of its journal.
"""

import statistics
import sys

from lab import Lab, wait_until

RUNS = 5
TABLES = {  # name: (rows, storage type), about 170 bytes a row; ejabberd keeps rosters and archives in disc_only_copies
    "bench_set": (1_000_000, "disc_copies"),
    "bench_bag": (200_000, "disc_copies"),
    "bench_dets": (50_000, "disc_only_copies"),
}

MAKE_TABLES = """
    Row = fun(Name, Key, I) -> {Name, Key, <<I:64, 0:448>>, <<I:128>>} end,
    [begin
         {atomic, ok} = mnesia:create_table(Name, [{Storage, [node()]}, {type, Type}, {attributes, [key, body, hash]}]),
         [ok = mnesia:dirty_write(Row(Name, Key(I), I)) || I <- lists:seq(1, Rows)]
     end || {Name, Type, Storage, Rows, Key} <- [{bench_set, set, disc_copies, 1000000, fun(I) -> I end},
                                                 {bench_bag, bag, disc_copies, 200000, fun(I) -> I div 4 end},
                                                 {bench_dets, set, disc_only_copies, 50000, fun(I) -> I end}]],
    dumped = mnesia:dump_log(), ok"""

OURS = "{{Micros, ok}} = timer:tc(easy_cluster, join_as_master, ['{target}']), Micros"

STOCK = "{{Micros, ok}} = timer:tc(ejabberd_cluster, join, ['{target}']), Micros"

PROCEDURE_2012 = """
    Join = fun() ->
        application:stop(ejabberd), mnesia:stop(), mnesia:delete_schema([node()]), mnesia:start(),
        mnesia:change_config(extra_db_nodes, ['{target}']),
        mnesia:change_table_copy_type(schema, node(), disc_copies),
        [mnesia:add_table_copy(Table, node(), Type)
         || Table <- mnesia:system_info(tables),
            [{{_Node, Type}}] <- [mnesia:table_info(Table, where_to_commit)]],
        application:start(ejabberd)
    end,
    pong = net_adm:ping('{target}'),
    {{Micros, ok}} = timer:tc(Join), Micros"""

# Milliseconds of planning, of each step, and from the last one to the return.
TIMELINE = """
    Name = fun({{Action, #{{table := Table}}}}) -> {{Action, Table}}; ({{Action, #{{}}}}) -> Action; (Action) -> Action end,
    Begin = os:system_time(microsecond),
    ok = easy_cluster:join_as_master('{target}'),
    End = os:system_time(microsecond),
    Directory = mnesia:system_info(directory),
    {{ok, #{{events := Events}}}} = easy_cluster_journal:read(Directory, lists:last(easy_cluster_journal:list(Directory))),
    [{{_, Begun, _}} | _] = Events,
    Intents = [{{Number, Name(Action), At}} || {{_, At, {{intent, Number, Action}}}} <- Events],
    Steps = [{{Step, At - Since}} || {{Number, Step, Since}} <- Intents, {{_, At, {{done, Done, _}}}} <- Events, Done =:= Number],
    {{_, Last, _}} = lists:last(Events),
    [{{Step, Micros / 1000}} || {{Step, Micros}} <- [{{plan_and_recheck, Begun - Begin}}] ++ Steps ++ [{{after_the_last, End - Last}}]]"""

WAYS = {"ours": OURS, "stock": STOCK, "2012": PROCEDURE_2012}

KEEP = """
    Folder = filename:join("{folder}", "keep-" ++ integer_to_list({megabytes})),
    ok = filelib:ensure_dir(filename:join(Folder, "x")),
    Files = [begin
                 ok = file:write_file(filename:join(Folder, "t" ++ integer_to_list(I) ++ ".DCD"), binary:copy(<<0>>, {bytes}))
             end || I <- lists:seq(1, 20)],
    ok = file:write_file(filename:join(Folder, "schema.DAT"), <<1>>),
    true = length(Files) =:= 20,
    Times = [element(1, {{_, ok}} = timer:tc(easy_cluster_directory, keep, [Folder, integer_to_binary(I)]))
             || I <- lists:seq(1, {runs} + 1)],
    tl(Times)"""


def one_join(lab, target, way: str) -> float:
    """Seconds that a new node needs to join in this way; afterwards the target is alone again."""
    node = lab.host("hello.world").ejabberd()
    node.age()
    lab.start(node)
    try:
        if way == "ours":
            node.load_easy_cluster()
        micros = node.eval(WAYS[way].format(target=target.name), timeout=300)
        for table, (rows, storage) in TABLES.items():
            found = node.eval(f"{{mnesia:table_info({table}, storage_type), mnesia:table_info({table}, size)}}")
            assert found == (storage, rows), (way, table, found)
        assert node.eval("lists:keymember(ejabberd, 1, application:which_applications())")
    finally:
        node.destroy()
    wait_until(lambda: target.members() == {target.name}, 30, "the target to be alone")
    assert target.eval(f"mnesia:del_table_copy(schema, '{node.name}')") == ("atomic", "ok")
    return micros / 1e6


def joins(lab):
    target = lab.host("foo.bar").ejabberd()
    lab.start(target)
    assert target.eval(MAKE_TABLES, timeout=300) == "ok"
    times = {way: [] for way in WAYS}
    for number in range(1, RUNS + 1):
        for way in WAYS:
            times[way].append(one_join(lab, target, way))
            print(f"  run {number}  {way:<6} {times[way][-1]:6.2f} s", flush=True)
    target.destroy()
    ours = statistics.median(times["ours"])
    print(f"\njoin of {sum(rows for rows, _ in TABLES.values()):,} rows, medians of {RUNS}, side by side")
    for way, runs in times.items():
        median = statistics.median(runs)
        print(f"  {way:<6} {median:6.2f} s  ({min(runs):.2f} to {max(runs):.2f})  ours/{way} {ours / median:.2f}")
    return ours / statistics.median(times["stock"]), ours / statistics.median(times["2012"])


def timeline(lab):
    target = lab.host("foo.bar").ejabberd()
    lab.start(target)
    assert target.eval(MAKE_TABLES, timeout=300) == "ok"
    node = lab.host("hello.world").ejabberd()
    node.age()
    lab.start(node)
    node.load_easy_cluster()
    total = 0.0
    for step, milliseconds in node.eval(TIMELINE.format(target=target.name), timeout=300):
        total += milliseconds
        print(f"  {total:8.1f} ms  +{milliseconds:7.1f}  {step if isinstance(step, str) else ' '.join(step)}")


def keeping(lab):
    node = lab.host("third.host").mnesia(name="keeper", disc=False)
    lab.start(node)
    node.load_easy_cluster()
    node.eval("mnesia:stop()")
    medians = {}
    for megabytes in (1, 1000):
        code = KEEP.format(folder=node.folder, megabytes=megabytes, bytes=megabytes * 50_000, runs=RUNS)
        medians[megabytes] = statistics.median(node.eval(code, timeout=300)) / 1000
    node.destroy()
    print(f"\nkeeping an old database of 20 tables, medians of {RUNS}")
    for megabytes, milliseconds in medians.items():
        print(f"  {megabytes:>5} MB  {milliseconds:6.2f} ms")
    print(f"  ratio {medians[1000] / medians[1]:.2f}")


def main():
    if "--timeline" in sys.argv[1:]:
        with Lab() as lab:
            timeline(lab)
        return 0
    with Lab() as lab:
        stock, procedure = joins(lab)
        # Last, as the gigabyte that it writes keeps the disk busy for a while.
        keeping(lab)
    print(f"\ntargets: ours/stock at most 0.45: {stock:.2f}; ours/2012 at most 1.0: {procedure:.2f}")
    return 0 if stock <= 0.45 and procedure <= 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
