//! Logs and terms: what each text says, and that it says nothing else.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use easy_cluster::explain::log::{
    self, Explainer, MAX_OF_ONE_CODE, MAX_SIGHTINGS, MAX_TEXT, Sighting, sightings,
};
use easy_cluster::validate::problem::{Nodes, Problem};
use proptest::prelude::*;

fn codes(text: &str) -> Vec<&'static str> {
    sightings(text).iter().map(|sighting| sighting.problem.code()).collect()
}

fn only(text: &str) -> Sighting {
    let [sighting] = <[Sighting; 1]>::try_from(sightings(text)).expect(text);
    sighting
}

fn recorded(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/fixtures/logs/{name}.log", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// What Erlang/OTP 25, Mnesia and ejabberd 23.01 printed when they were broken on purpose.
const RECORDED: &[(&str, &[&str])] = &[
    ("ejabberd2301_healthy", &[]),
    ("ejabberd2412_healthy", &[]),
    ("ejabberd2607_healthy", &[]),
    ("ejabberd2301_bad_table_cookie", &["bad_table_cookie"]),
    ("ejabberd2301_split", &["split_while_running"]),
    ("ejabberd2301_waits", &["waiting_for_tables"]),
    ("ejabberd2301_waits_and_restarts", &["waiting_for_tables"]),
    ("lager39_overloaded_and_refused", &["mnesia_overloaded", "peer_cookie_differs"]),
    ("ejabberd2301_wrong_cookie", &["peer_cookie_differs"]),
    ("ejabberd2301_renamed", &["node_name_mismatch", "mnesia_not_running"]),
    ("ejabberdctl2301", &["no_connection", "rpc_nodedown", "rpc_nodedown", "restore_file_missing"]),
    ("otp25_bad_interface", &["bad_environment_value"]),
    ("otp25_bad_interface_2", &["bad_environment_value"]),
    ("otp25_bad_table_cookie_at_start", &["bad_table_cookie"]),
    ("otp25_cookie_characters", &["cookie_file"]),
    ("otp25_cookie_directory", &["cookie_file"]),
    ("otp25_cookie_empty", &["cookie_file"]),
    ("otp25_cookie_mode", &["cookie_file"]),
    ("otp25_interface_not_here", &["listen_failed"]),
    ("otp25_ipv6_interface", &["listen_badarg"]),
    ("otp25_long_name", &["cannot_set_node_name"]),
    ("otp25_name_in_use", &["name_in_use"]),
    ("otp25_no_epmd", &["listen_failed"]),
    ("otp25_old_incarnation", &["old_incarnation"]),
    (
        "otp25_overlapping_partitions",
        &["overlapping_partitions", "overlapping_partitions", "overlapping_partitions"],
    ),
    ("otp25_overloaded", &["mnesia_overloaded"]),
    ("otp25_shell_bad_transform", &["bad_transform"]),
    ("otp25_shell_badarg_unknown", &["no_copy_here"]),
    ("otp25_shell_delete_schema", &["mnesia_not_stopped"]),
    ("otp25_shell_merge_schema_failed", &["bad_table_cookie"]),
    ("otp25_shell_no_exists2", &["table_missing"]),
    ("otp25_shell_no_exists3", &["table_missing"]),
    ("otp25_shell_no_majority", &["no_majority"]),
    ("otp25_shell_node_not_running2", &["replicas_not_active"]),
    ("otp25_shell_not_active", &["replicas_not_active"]),
    ("otp25_shell_schema_cookies", &["incompatible_schema_cookies"]),
    ("otp25_shell_wait_timeout", &["waiting_for_tables"]),
    ("otp25_short_name", &["cannot_set_node_name"]),
    ("otp25_split_and_allow_list", &["split_while_running", "node_disallowed"]),
    ("otp25_split_other_side", &["split_while_running", "split_at_start"]),
    ("otp25_wrong_cookie", &["peer_cookie_differs"]),
];

/// The same texts as other releases, loggers and collectors print them.
const VARIANTS: &[(&str, &str)] = &[
    // {no_ping, N}
    ("no_connection", "Error: {no_ping,'ejabberd@foo.bar'}"),
    ("no_connection", "{error,{no_ping,ejabberd@foo}}"),
    ("no_connection", "{error,\n    {no_ping,\n        'ejabberd@foo.bar'}}"),
    ("no_connection", r#"{:error, {:no_ping, :"ejabberd@foo.bar"}}"#),
    ("cannot_reach_node", "Error: error\nError: \"This node cannot reach that node.\""),
    ("cannot_reach_node", "{error,<<\"This node cannot reach that node.\">>}"),
    ("cannot_reach_node", r#"{"result":"error","text":"This node cannot reach that node."}"#),
    // Failed RPC
    ("rpc_timeout", "Failed RPC connection to the node 'ejabberd@foo.bar': timeout"),
    ("rpc_timeout", "Failed RPC connection to the node ejabberd@localhost: timeout"),
    ("rpc_nodedown", "Failed RPC connection to the node ejabberd@localhost: nodedown"),
    ("rpc_nodedown", "\u{1b}[31mFailed RPC connection to the node 'ejabberd@foo.bar': nodedown\u{1b}[0m\r\n"),
    (
        "rpc_nodedown",
        "Nov 25 07:10:29 xmpp ejabberdctl[123]: Failed RPC connection to the node 'ejabberd@foo.bar': nodedown",
    ),
    (
        "rpc_failed",
        "Failed RPC connection to the node ejabberd@localhost: {'EXIT',\n                                  {badarg,\n                                   [{ets,lookup,",
    ),
    // Cookies
    ("node_disallowed", "** Connection attempt from disallowed node 'ctl-1-ejabberd@foo.bar' ** "),
    (
        "node_disallowed",
        "=ERROR REPORT==== 3-Mar-2020::10:01:02 ===\n** Connection attempt from disallowed node ejabberd@foo ** \n",
    ),
    (
        "node_disallowed",
        "2021-03-03 10:01:02.345 [error] <0.45.0> ** Connection attempt from disallowed node 'ejabberd@foo.bar' **",
    ),
    (
        "node_disallowed",
        r#"10:01:02.345 [error] ** Connection attempt from disallowed node :"ejabberd@foo.bar" **"#,
    ),
    ("node_disallowed", "** Connection attempt with disallowed node 'ejabberd@foo.bar' ** \n"),
    ("peer_cookie_differs", "** Connection attempt to disallowed node 'ejabberd@foo.bar' ** "),
    (
        "peer_cookie_differs",
        "** Connection attempt to node 'ejabberd@foo.bar' cancelled. Invalid challenge ack. **",
    ),
    (
        "peer_cookie_differs",
        r#"{"time":"2026-11-25T07:10:29Z","level":"error","msg":"** Connection attempt from node 'ejabberd@foo.bar' rejected. Invalid challenge reply. **\n"}"#,
    ),
    (
        "peer_cookie_differs",
        "2026-11-25T07:10:29.1Z stderr F ** Connection attempt from node 'ejabberd@foo.bar' rejected. Invalid challenge reply. **",
    ),
    ("cookie_file", "Error when reading /var/lib/ejabberd/.erlang.cookie: eacces"),
    (
        "cookie_file",
        "{\"init terminating in do_boot\",{{\"Cookie file /var/lib/ejabberd/.erlang.cookie must be accessible by owner only\",[]}}}",
    ),
    ("cookie_file", "Failed to create cookie file '/var/lib/ejabberd/.erlang.cookie': eacces"),
    // Names
    (
        "name_in_use",
        "Protocol 'inet_tcp': the name ejabberd@localhost seems to be in use by another Erlang node",
    ),
    (
        "name_in_use",
        "Protocol 'inet_tcp': the name ejabberd@localhost\r seems to be in use by another Erlang node\r\n",
    ),
    (
        "name_in_use",
        "{error_logger,{{2015,7,23},{17,25,1}},\"Protocol: ~tp: the name ejabberd@localhost seems to be in use by another Erlang node\",[\"inet_tcp\"]}",
    ),
    (
        "name_in_use",
        "Protocol 'inet_tcp': the name ejabberd@localhost seems to be in use by another\n  Erlang node",
    ),
    ("name_in_use", "ERROR: The ejabberd node 'ejabberd@localhost' is already running."),
    ("name_in_use", "ERROR: The ejabberd node 'ejabberd@localhost' is registered,"),
    (
        "cannot_set_node_name",
        "{error_logger,{{2015,7,23},{17,25,1}},\"Can't set long node name!\\nPlease check your configuration\\n\",[]}",
    ),
    (
        "cannot_set_node_name",
        "2025-09-26 17:22:06.251459\n    args: []\n    label: {error_logger,info_msg}\n    format: \"Can't set long node name!\\nPlease check your configuration\\n\"",
    ),
    (
        "cannot_set_node_name",
        "{\"msg\":\"Can\\u0027t set short node name!\\nPlease check your configuration\"}",
    ),
    (
        "illegal_hostname",
        "** System NOT running to use fully qualified hostnames **\n** Hostname foo.bar is illegal **",
    ),
    (
        "illegal_hostname",
        "=ERROR REPORT==== 25-Nov-2026::07:16:17.281508 ===\r\n** System running to use fully qualified hostnames **\r\n** Hostname foo is illegal **\r\n",
    ),
    (
        "node_name_mismatch",
        "Erlang node name mismatch: I'm running in node [ejabberd@foo.bar], but the mnesia database is owned by ['ejabberd@hello.world']",
    ),
    (
        "node_name_mismatch",
        "Erlang node name mismatch: I'm running in node [ejabberd@foo.bar], but the mnesia database is owned by [ejabberd@hello,\n                     'ejabberd@hello.world']",
    ),
    (
        "node_name_mismatch",
        "Node name mismatch: I'm [ejabberd@foo.bar], the database is owned by ['ejabberd@hello.world']",
    ),
    // Listening
    ("listen_badarg", "Protocol 'inet_tcp': register/listen error: badarg"),
    ("listen_badarg", "Protocol: \"inet_tcp\": register/listen error: badarg"),
    ("listen_failed", "Protocol 'inet_tcp': register/listen error: no_reg_reply_from_epmd"),
    (
        "bad_environment_value",
        "{\"could not start kernel pid\",application_controller,\"{bad_environment_value,\\\"{\\\\\"init\\\"}\"}",
    ),
    (
        "bad_environment_value",
        "could not start kernel pid (application_controller) ({bad_environment_value,\"{\\\"init\"})",
    ),
    (
        "otp_incompatible",
        "** 'ejabberd@foo.bar': Connection attempt from node 'old@foo.bar' rejected since it cannot handle [\"HANDSHAKE_23\",\"BIG_CREATION\"].**",
    ),
    (
        "otp_incompatible",
        "** 'ejabberd@foo.bar': Connection attempt to node 'old@foo.bar' aborted since it cannot handle [\"MANDATORY_25_DIGEST\"].**",
    ),
    (
        "node_not_responding",
        "** Node 'ejabberd@foo.bar' not responding **\n** Removing (timedout) connection **\n",
    ),
    (
        "node_not_responding",
        "2023-04-12T15:26:53.439234+00:00 [error] ** Node ejabberd@foo not responding **, ** Removing (timedout) connection **",
    ),
    // Merging schemas
    (
        "bad_table_cookie",
        "Error: {merge_schema_failed,\"Bad cookie in table definition muc_online_room: 'ejabberd@a.test' = {cstruct,muc_online_room,set}, 'ejabberd@b.test' = {cstruct,muc_online_room,set}\\n\"}",
    ),
    (
        "bad_table_cookie",
        "{error,{merge_schema_failed,\n         \"Bad cookie in table definition foo: a@foo = {cstruct,foo,set,[a@foo],[],\"\n         \"[],[],0}, b@foo = {cstruct,foo,set}\\n\"}}",
    ),
    (
        "bad_table_cookie",
        "2023-01-02T15:48:36.196116+00:00 [error] Mnesia('a@foo.bar'): ** ERROR ** (core dumped to file: \"/var/lib/ejabberd/MnesiaCore\"), ** FATAL ** Failed to merge schema: Bad cookie in table definition x: 'a@foo.bar' = {cstruct,x}, 'b@foo.bar' = {cstruct,x}",
    ),
    (
        "forgotten_returned",
        " ** FATAL ** Failed to merge schema: Bad cookie in table definition easy_cluster_fence: 'a@foo.bar' = {cstruct,easy_cluster_fence,set,[],['a@foo.bar'],[]}, 'b@foo.bar' = {cstruct,easy_cluster_fence,set}",
    ),
    (
        "bad_table_cookie",
        "Bad cookies. Cannot merge definitions of table foo. Local = {cstruct,foo}, Remote = {cstruct,foo}",
    ),
    (
        "cannot_merge_definitions",
        "{error,{merge_schema_failed,\"Cannot merge definitions of table foo. Local = {cstruct}, Remote = {cstruct}\\n\"}}",
    ),
    (
        "schema_storage_differs",
        "Incompatible schema storage types (local). on 'a@foo.bar' storage disc_copies, on 'b@foo.bar' storage ram_copies",
    ),
    (
        "schema_storage_differs",
        "Cannot merge storage type for node 'a@foo.bar' in cstruct {cstruct,foo} with remote cstruct",
    ),
    (
        "incompatible_schema_cookies",
        "Incompatible schema cookies. Please, restart from old backup.'a@foo.bar' = [{name,schema}], 'b@foo.bar' = [{name,schema}]",
    ),
    (
        "incompatible_schema_cookies",
        "{error,{merge_schema_failed,\"Incompatible schema cookies. Please, \"\n                            \"restart from old backup.a@foo = [{name,schema},\"\n     \"{type,set}], b@foo = [{name,schema}]\\n\"}}",
    ),
    ("merge_schema_failed", "{error,{merge_schema_failed,\"Cannot get cstructs\"}}"),
    // What Mnesia and dets repair, and what means no harm
    (
        "harmless",
        "2026-11-25 07:10:29.1 [info] dets: file \"/var/lib/ejabberd/passwd.DAT\" not properly closed, repairing ...",
    ),
    (
        "harmless",
        "Mnesia('a@foo.bar'): ** ERROR ** Checkpoint '{1,a}' has been deactivated, last table copy deleted.\n",
    ),
    ("harmless", "2026-11-25 07:10:29.1 [error] <0.50.0> ** Cannot get connection id for node 'a@foo.bar'"),
    ("log_repaired", "Data may be missing, log \"/var/lib/ejabberd/LATEST.LOG\" repaired: Lost 512 bytes"),
    (
        "log_repaired",
        "Data may be missing, Corrupt logfile deleted: \"/var/lib/ejabberd/DECISION_TAB.LOG\", {error,x}",
    ),
    ("log_repaired", "\"/var/lib/ejabberd/PREVIOUS.LOG\" repaired, lost 12 bad bytes"),
    (
        "no_connection",
        "Mnesia('a@foo.bar'): ** ERROR ** Mnesia on 'a@foo.bar' could not connect to node(s) ['b@foo.bar']",
    ),
    (
        "no_connection",
        "Mnesia('a@foo.bar'): ** ERROR ** Mnesia on 'a@foo.bar' could not connect to node 'b@foo.bar'",
    ),
    ("merge_schema_failed", " ** FATAL ** Failed to merge schema: {aborted,nodedown}"),
    // Splits
    (
        "split_while_running",
        "Mnesia('a@foo.bar'): ** ERROR ** mnesia_event got {inconsistent_database, running_partitioned_network, 'b@foo.bar'}",
    ),
    (
        "split_while_running",
        "{mnesia_system_event,{inconsistent_database,running_partitioned_network,\n                                               'b@foo.bar'}}",
    ),
    (
        "split_while_running",
        r#"[error] Mnesia(:"a@foo.bar"): ** ERROR ** mnesia_event got {:inconsistent_database, :running_partitioned_network, :"b@foo.bar"}"#,
    ),
    (
        "split_at_start",
        "Mnesia('a@foo.bar'): ** ERROR ** mnesia_event got {inconsistent_database, starting_partitioned_network, 'b@foo.bar'}",
    ),
    ("bad_decision", "mnesia_event got {inconsistent_database, bad_decision, 'b@foo.bar'}"),
    (
        "overlapping_partitions",
        "'global' at node 'a@foo.bar' disconnected node 'b@foo.bar' in order to prevent overlapping partitions",
    ),
    (
        "overlapping_partitions",
        "'global' at node a@foo requested disconnect from node b@foo in order to prevent overlapping partitions",
    ),
    (
        "overlapping_partitions",
        "'global' at node a@foo disconnected old node b@foo in order to\n prevent overlapping partitions",
    ),
    (
        "overlapping_partitions",
        "{\"message\":\"'global' at node :\\\"a@foo.bar\\\" disconnected node :\\\"b@foo.bar\\\" in order to prevent overlapping partitions\",\"severity\":\"WARNING\"}",
    ),
    ("overlapping_partitions", "'global' at 'a@foo.bar' failed to connect to 'b@foo.bar'"),
    (
        "old_incarnation",
        "Discarding message {'$gen_cast',{x,#Ref<0.1.2.3>}} from <0.228.0> to <0.4740.0> in an old incarnation (1728668511) of this node (1728669470)",
    ),
    (
        "old_incarnation",
        "2020-05-18 06:55:37.324 [error] emulator Discarding message {route,\n  {jid,<<\"a\">>}} from <0.1.0> to <0.9.0> in an old incarnation (3) of this node (1)",
    ),
    ("no_majority", "{aborted,{no_majority,roster}}"),
    ("no_majority", "{'EXIT',{aborted,{no_majority,\n    roster}}}"),
    // Tables
    ("waiting_for_tables", "{timeout,[session,roster]}"),
    ("waiting_for_tables", "{timeout_waiting_for_tables,['a@foo.bar','b@foo.bar'],[session,roster]}"),
    (
        "waiting_for_tables",
        "{error,{timeout_waiting_for_tables,\n           [session,\n            roster]}}",
    ),
    ("waiting_for_tables", "{:timeout, [:session, :roster]}"),
    (
        "waiting_for_tables",
        "2023-01-01 10:00:00.123456+00:00 [info] Loading modules\n2023-01-01 10:00:00.223456+00:00 [info] Waiting for Mnesia synchronization to complete\n",
    ),
    (
        "replicas_not_active",
        "{aborted,{not_active,\"All replicas on diskfull nodes are not active yet\",roster,['b@foo.bar']}}",
    ),
    (
        "replicas_not_active",
        "{aborted,\n    {not_active,\n        \"All replicas on diskfull nodes are not \"\n        \"active yet\",\n        roster,\n        ['b@foo.bar','c@foo.bar']}}",
    ),
    (
        "no_copy_here",
        "[error] failure on mnesia change_table_copy_type\n [last_activity,ejabberd2@localhost,disc_only_copies]: {aborted,{badarg,last_activity,unknown}}",
    ),
    ("no_copy_here", "{aborted,{badarg,\n   last_activity,\n   unknown}}"),
    (
        "table_missing",
        "Error: {{shutdown,\n            {failed_to_start_child,ejabberd_commands,\n                {aborted,{no_exists,ejabberd_commands}}}},\n        {ejabberd_app,start,[normal,[]]}}",
    ),
    (
        "table_missing",
        "Problem 'exit {aborted,\n                  {no_exists,\n                      [ejabberd_commands,\n                       [{{ejabberd_commands,'$1'}}]]}}' occurred executing the command.",
    ),
    ("table_missing", "** exception exit: {aborted,{no_exists,ejabberd_commands,where_to_read}}"),
    (
        "bad_transform",
        "{aborted,\n {\"Bad transform function\",\n  archive_msg,\n  #Fun<ejabberd_mnesia.8.102878464>,\n  'ejabberd@example.org',\n  {badfun,\n   #Fun<ejabberd_mnesia.8.102878464>}}}",
    ),
    (
        "restore_table_missing",
        "Can't restore backup from \"/home/test/27.backup\" at node ejabberd@localhost: Table acl does not exist.",
    ),
    (
        "restore_table_missing",
        "Error: table_not_exists\nError: \"Can't restore backup from \\\"/home/test/27.backup\\\" at node 'ejabberd@foo.bar': Table 'acl' does not exist.\"",
    ),
    (
        "mnesia_overloaded",
        "Mnesia('stag@foo.bar'): *\\* WARNING *\\* Mnesia is overloaded: {dump_log,\n                                                                          write_threshold}",
    ),
    (
        "mnesia_overloaded",
        "23:06:47.459 [warn] Mnesia(:\"a@b\"): ** WARNING ** Mnesia is overloaded: {:dump_log, :write_threshold}",
    ),
    (
        "mnesia_overloaded",
        "[warning] Unexpected info: {mnesia_system_event,\n                     {mnesia_overload,{dump_log,write_threshold}}}",
    ),
    ("mnesia_not_stopped", "{error,{\"Mnesia is not stopped everywhere\",['a@foo.bar']}}"),
    (
        "mnesia_not_stopped",
        "{error,\n    {\"Mnesia is not stopped everywhere\",\n     ['a@foo.bar',\n      b@foo]}}",
    ),
    ("mnesia_not_stopped", "{:error, {'Mnesia is not stopped everywhere', [:\"a@foo.bar\"]}}"),
    ("mnesia_not_running", "{aborted,{node_not_running,'a@foo.bar'}}"),
    (
        "waits_for_decision",
        "2026-12-01 04:00:00.000000+00:00 [error] <0.99.0>@easy_cluster_undecided:watch/2:47 waits_for_decision (membership, error)\n  evidence  Mnesia on ejabberd@foo.bar is starting and waits for ejabberd@hello.world, c@x.y: it was killed in the middle of a transaction, and only ejabberd@hello.world, c@x.y can say how it ended",
    ),
];

#[test]
fn every_recorded_text_yields_its_codes_and_no_other() {
    for (name, expected) in RECORDED {
        assert_eq!(codes(&recorded(name)), *expected, "{name}");
    }
}

#[test]
fn every_recording_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/logs");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(RECORDED.iter().any(|(known, _)| *known == name), "{name}");
    }
}

#[test]
fn every_variant_yields_its_code_and_never_anothers() {
    for (expected, text) in VARIANTS {
        assert_eq!(codes(text), [*expected], "{text}");
    }
}

#[test]
fn a_text_behind_a_collectors_column_is_still_known() {
    for column in
        ["Nov 25 07:10:29 foo ejabberdctl[12]: ", "ejabberd_1  | ", "2026-11-25T07:10:29.1Z stdout F "]
    {
        for (expected, text) in VARIANTS {
            let lines: Vec<String> = text.lines().map(|line| format!("{column}{line}")).collect();
            let found = codes(&lines.join("\n"));
            // What is told by lines that are not indented has lost how they belong together.
            let together = text.lines().skip(1).all(|line| line.starts_with([' ', '*']));
            assert!(found == [*expected] || !together, "{column}{text}: {found:?}");
        }
    }
}

/// Terms and messages of the same kinds as people have sent, each with its code and with what its fix has to name.
const SENT: &[(&str, &str, &str)] = &[
    ("waiting_for_tables", "{timeout_waiting_for_tables,['a@b','c@d'],[session,ros", "a@b, c@d"),
    ("waiting_for_tables", "{timeout_waiting_for_tables,['a@b',", "a@b"),
    ("waiting_for_tables", "ekka_mnesia: still waiting for table(s): [route,mqtt_app]", "boot-order"),
    ("node_not_responding", "** Node :\"a@b.c\" not responding **", "a@b.c"),
    ("illegal_hostname", "** Hostname a.b is illegal **", "names of one kind"),
    ("no_connection", "{badrpc,timeout}", "test_node"),
    ("no_connection", "{badrpc, nodedown}", "test_node"),
    ("no_connection", "(a@b)1> net_adm:ping('c@d').\npang", "test_node('c@d')"),
    (
        "no_connection",
        "{failed_to_cluster_with,['c@d'],\"Mnesia could not connect to any nodes.\"}",
        "doctor c@d",
    ),
    ("replicas_not_active", "{aborted,{not_active,schema,x@nowhere}}", "forget('x@nowhere')"),
    (
        "replicas_not_active",
        "{aborted,{not_active,\"All replicas on diskfull nodes are not active yet\",foo,[a@b,c@d]}}",
        "forget('a@b', #{also => ['c@d']})",
    ),
    ("node_name_mismatch", "{aborted,{badarg,schema,unknown}}", "easy-cluster rename"),
    ("node_name_mismatch", "{aborted, {badarg, schema, disc_copies}}", "easy-cluster rename"),
    (
        "node_name_mismatch",
        "Node name mismatch: I'm [a@b], the database is owned by ['c@d']",
        "rename c@d a@b /var/lib/ejabberd",
    ),
    ("mnesia_stopped", "{aborted,{no_exists,[schema,tables]}}", "ejabberdctl start"),
    ("mnesia_stopped", "{'EXIT',{aborted,{no_exists,schema}}}", "ejabberdctl start"),
    ("database_exists", "{error,{'a@b',{already_exists,'a@b'}}}", "nothing"),
    ("copy_exists", "{aborted,{already_exists,schema,'a@b',disc_copies}}", "nothing"),
    ("copy_exists", "{aborted,{already_exists,roster,'a@b'}}", "nothing"),
    ("copy_exists", "{aborted,{already_exists,roster}}", "nothing"),
    ("ram_schema", "{aborted,{bad_type,roster,disc_copies,'a@b'}}", "change_table_copy_type(schema"),
    ("row_layout", "{aborted,{bad_type,{passwd,{<<\"a\">>,<<\"b\">>},<<\"c\">>}}}", "table_info(passwd"),
    ("mnesia_not_running", "Failed: {node_down,'a@b'}", "test_node('a@b')"),
    ("mnesia_not_running", "Could not auto-cluster with node a@b: {error,tables_not_present}", "a@b"),
    (
        "stale_member",
        "{inconsistent_cluster,\"Node 'a@b' thinks it's clustered with node 'c@d', but 'c@d' disagrees\"}",
        "forget('c@d')",
    ),
    (
        "otp_incompatible",
        "{error,{inconsistent_cluster,\"OTP version mismatch: local node is 25.1, remote node 27.0\"}}",
        "OTP",
    ),
    (
        "versions_differ",
        "{error,{inconsistent_cluster,\"Mnesia version mismatch: local node is 4.15, remote node 4.16\"}}",
        "same version",
    ),
    (
        "split_while_running",
        "Mnesia inconsistent_database event: running_partitioned_network, 'a@b'",
        "backup",
    ),
    (
        "mnesia_died",
        "Mnesia('a@b'): ** ERROR ** (ignoring core) ** FATAL ** mnesia_tm crashed: {badarg,[]}",
        "cp -a",
    ),
    (
        "mnesia_died",
        "Mnesia(:\"a@b\"): ** ERROR ** (core dumped to file: ~c\"/x/MnesiaCore\"), ** FATAL ** Cannot create directory ~c\"/x/y\": {:file_error, ~c\"/x/y\", :erofs}",
        "findmnt -T /x",
    ),
    (
        "mnesia_died",
        " ** FATAL ** {error,{\"Cannot rename disk_log file\",latest_log,\n     \"/x/PREVIOUS.LOG\",{log_header,trans_log,\"4.3\"},\n   {file_error,\"/x/PREVIOUS.LOG\",enospc}}}",
        "df -h /x",
    ),
    (
        "mnesia_died",
        " ** FATAL ** Cannot open log file \"/x/LATEST.LOG\": {file_error,\"/x/LATEST.LOG\",emfile}",
        "LimitNOFILE",
    ),
    ("table_file", "{error,{premature_eof,\"/x/offline_msg.DAT\"}}", "cp -a /x FOLDER"),
    ("table_file", "{error,{not_a_dets_file,\"/x/offline_msg.DAT\"}}", "cp -a /x FOLDER"),
    ("table_file", "dets: {error,{file_error,\"/x/y.DAT\",eacces}}", "chown -R ejabberd: /x"),
    (
        "cookie_file",
        "/usr/sbin/ejabberdctl: 76: cannot create /home/e/.erlang.cookie: Permission denied",
        "/home/e/.erlang.cookie",
    ),
    ("cookie_file", "/usr/sbin/ejabberdctl: line 76: /home/e/.erlang.cookie: Permission denied", "/home/e"),
    ("epmd_port_taken", "epmd: failed to bind socket: Address already in use", "4369"),
    (
        "epmd_port_taken",
        "systemd[1]: epmd.socket: Failed to create listening socket (0.0.0.0:4369): Address already in use",
        "4369",
    ),
    ("epmd_runs", "epmd: there is already a epmd running at port 4369", "nothing"),
    ("ctl_user", "ERROR: This command can only be run by root or the user ejabberd", "sudo -u ejabberd"),
    (
        "listen_badarg",
        "{error_logger,{{2026,11,25},{3,28,56}},\"Protocol: ~tp: register/listen error: ~tp~n\",[\"inet_tcp\",badarg]}",
        "inet6_tcp",
    ),
    (
        "listen_failed",
        "{error_logger,{{2026,11,25},{3,28,56}},\"Protocol: ~p: register/listen error: ~p~n\",[\"inet_tcp\",epmd_close]}\n{error_logger,{{2026,11,25},{3,28,56}},crash_report,[[x]]}",
        "epmd -kill",
    ),
    ("listen_failed", "Protocol 'inet_tcp': register/listen error: eaddrinuse", "ERL_DIST_PORT"),
    (
        "name_in_use",
        "{error_logger,{{2026,11,25},{3,28,56}},\"Protocol: ~ts: the name ~ts seems to be in use by another Erlang node\",[\"inet_tcp\",\"a@b\"]}",
        "--follow-symlinks 's/\\r$//'",
    ),
    (
        "split_while_running",
        "mnesia_event got {inconsistent_database, running_partitioned_network, &#39;a@b.c&#39;}",
        "backup",
    ),
    (
        "split_at_start",
        "mnesia_event got {inconsistent_database, starting_partitioned_network, \u{2018}a@b.c\u{2019}}",
        "'a@b.c'",
    ),
    (
        "node_not_responding",
        "<p>** Node &#x27;a@b.c&#x27; not responding **<br/>\n** Removing (timedout) connection **</p>",
        "a@b.c",
    ),
    ("no_majority", "{aborted,{no_majority,\u{ab}roster\u{bb}}}", "status"),
];

#[test]
fn what_people_send_has_its_code_and_a_fix_with_what_is_known() {
    for (code, text, named) in SENT {
        let sighting = only(text);
        assert_eq!(sighting.problem.code(), *code, "{text}");
        let fix = sighting.problem.fix();
        assert!(fix.contains(named), "{text}: {fix}");
        assert!(!sighting.problem.to_string().contains('?'), "{text}: {}", sighting.problem);
    }
}

#[test]
fn no_fact_of_a_table_is_a_node_or_a_pod() {
    for text in [
        "{timeout_waiting_for_tables,['a@b','c@d']",
        "{timeout_waiting_for_tables,['a@b','c@d'],[rab",
        "[pod/x-0/y] {timeout_waiting_for_tables,\n[pod/x-0/y]          ['a@b',\n[pod/x-0/y]           'c@d'],\n[pod/x-0/y]        [roster]}",
    ] {
        let Problem::WaitingForTables { tables, nodes } = only(text).problem else { panic!("{text}") };
        assert!(!tables.contains(['@', '/']), "{tables}");
        assert_eq!(nodes, Nodes(vec!["a@b".into(), "c@d".into()]), "{text}");
    }
}

/// Two definitions of a table tell who was wiped.
#[test]
fn a_bad_cookie_names_who_was_wiped_and_a_way_for_both() {
    let side = |node: &str, holders: &str| {
        format!(
            "'{node}' = {{cstruct,x,set,[],[{holders}],[],[],0,read_write,false,[],[],false,x,[k,v],[],[],[],{{{{1,2,3}},'{node}'}},{{{{2,0}},[]}}}}"
        )
    };
    let text = |one: &str, two: &str| {
        format!("Bad cookie in table definition x: {}, {}", side("a@b", one), side("c@d", two))
    };
    for (one, two, wiped) in [
        ("'a@b','c@d'", "'c@d'", Some(("c@d", "a@b"))),
        ("'a@b'", "'c@d','a@b'", Some(("a@b", "c@d"))),
        ("'a@b'", "'c@d'", None),
        ("'a@b','c@d'", "'c@d','a@b'", None),
    ] {
        let fix = only(&text(one, two)).problem.fix();
        match wiped {
            Some((wiped, keeps)) => {
                let steps = [
                    format!("On {keeps}: easy_cluster:forget('{wiped}')"),
                    format!("on {wiped}: easy_cluster:join_as_master('{keeps}')"),
                ];
                assert!(steps.iter().all(|step| fix.contains(step)), "{fix}");
            }
            None => {
                assert!(
                    fix.contains("join_as_master('a@b')") && fix.contains("join_as_master('c@d')"),
                    "{fix}"
                );
                assert!(!fix.contains("forget("), "{fix}");
            }
        }
    }
}

/// The fence is made anew when a node is forgotten: the definition that lists fewer nodes is the cluster's.
#[test]
fn a_fence_that_differs_tells_who_was_forgotten() {
    let side = |node: &str, holders: &str| {
        format!("'{node}' = {{cstruct,easy_cluster_fence,set,[],[{holders}],[],[],0,read_write}}")
    };
    for (one, two) in [("'a@b','c@d'", "'c@d'"), ("'c@d','a@b','e@f'", "'e@f','c@d'")] {
        for (first, second) in [(side("a@b", one), side("c@d", two)), (side("c@d", two), side("a@b", one))] {
            let text = format!("Bad cookie in table definition easy_cluster_fence: {first}, {second}");
            let fix = only(&text).problem.fix();
            assert!(fix.starts_with("on a@b,") && fix.contains("join_as_master('c@d')"), "{fix}");
        }
    }
    let neither = side("a@b", "'a@b'") + ", " + &side("c@d", "'c@d'");
    let fix = only(&format!("Bad cookie in table definition easy_cluster_fence: {neither}")).problem.fix();
    assert!(fix.starts_with("on the node that does not start"), "{fix}");
}

#[test]
fn of_definitions_that_cannot_be_merged_the_other_side_is_named() {
    let text = "Cannot merge definitions of table foo. Local = {cstruct,foo,set,['a@b'],[],[],0}, Remote = {cstruct,foo,set,['a@b','c@d','e@f'],[],[],0}\n";
    assert!(only(text).problem.fix().ends_with("join_as_master('c@d')"));
}

#[test]
fn lines_that_were_searched_for_prove_nothing_of_what_is_not_there() {
    let loaded = "2026-11-25 07:18:28.014857+00:00 [info] <0.123.0>@ejabberd_config:load/1:89 Configuration loaded successfully\n";
    assert_eq!(codes(loaded), [""; 0]);
    let loading = "2026-11-25 07:18:27.853980+00:00 [info] <0.123.0>@ejabberd_config:load/1:82 Loading configuration from /etc/ejabberd/ejabberd.yml\n";
    assert_eq!(codes(&[loading, loaded, loading].concat()), [""; 0]);
}

#[test]
fn a_line_that_a_terminal_has_wrapped_inside_of_a_word_is_one() {
    let text = "2026-11-25 07:10:29.123456+00:00 [error] <0.708.0> ** Connection attempt from disallowed node 'ejabberd@hello.world.example' ** and so on until the text is long enough";
    for width in [72, 80, 100, 132] {
        let wrapped: Vec<String> =
            text.chars().collect::<Vec<_>>().chunks(width).map(|line| line.iter().collect()).collect();
        assert_eq!(
            only(&wrapped.join("\n")).problem,
            Problem::NodeDisallowed { node: "ejabberd@hello.world.example".into() },
            "{width}"
        );
    }
}

#[test]
fn a_line_that_a_container_has_cut_is_one_wherever_it_was_cut() {
    let text =
        "2026-11-25 07:10:29.1 [error] <0.1.0> ** Connection attempt from disallowed node 'a@b.example' ** ";
    for at in 1..text.len() - 1 {
        let (head, tail) = text.split_at(at);
        let cut = format!("2026-11-25T07:10:29.1Z stdout P {head}\n2026-11-25T07:10:29.2Z stdout F {tail}");
        assert_eq!(only(&cut).problem, Problem::NodeDisallowed { node: "a@b.example".into() }, "{cut}");
    }
}

#[test]
fn records_inside_of_quotes_are_joined_without_them() {
    let lines = [
        "2026-11-25 07:10:28.1 [error] {error,{timeout_waiting_for_tables,",
        "          [session,",
        "           roster]}}",
    ];
    for column in ["\"2026-11-25T07:10:29Z\",\"a\",\"", "time=\"2026-11-25T07:10:29Z\" level=error msg=\""] {
        let text: Vec<String> = lines.iter().map(|line| format!("{column}{line}\"")).collect();
        let told = Problem::WaitingForTables { tables: "session, roster".into(), nodes: Nodes(Vec::new()) };
        assert_eq!(only(&text.join("\n")).problem, told, "{column}");
    }
}

#[test]
fn the_text_of_another_product_asks_for_no_report() {
    let Err(problem) = log::explain("2026-11-25 07:10:29 [info] <0.1.0> RabbitMQ is asked to stop") else {
        panic!()
    };
    assert!(
        matches!(&problem, Problem::NotRecognised { product, .. } if product == "RabbitMQ"),
        "{problem:?}"
    );
    assert!(!problem.fix().contains("please report it"), "{}", problem.fix());
}

#[test]
fn a_log_tells_where_its_installation_has_its_files() {
    let text = "2026-11-25 07:10:28.1 [info] Loading configuration from /opt/ejabberd/conf/ejabberd.yml\n\n\
                Protocol 'inet_tcp': the name a@b seems to be in use by another Erlang node\n\n\
                Mnesia('a@b'): ** ERROR ** (core dumped to file: \"/opt/ejabberd/database/a@b/MnesiaCore.a@b_1\")\n \
                ** FATAL ** mnesia_tm crashed: {x,y}\n";
    let told = log::words(&log::explain(text).unwrap(), &[]);
    assert!(told.contains("'s/\\r$//' /opt/ejabberd/conf/ejabberdctl.cfg"), "{told}");
    assert!(told.contains("cp -a /opt/ejabberd/database/a@b FOLDER"), "{told}");
}

/// What collectors put before a line: times, names, levels and brackets, in any order and number. Digits may differ from
/// line to line, as a time's do.
fn columns() -> impl Strategy<Value = Vec<String>> {
    let piece = prop::sample::select(vec![
        "2026-11-25T07:10:29.123456789Z ",
        "2026-11-25 07:10:29 ",
        "Nov 25 07:10:29 ",
        "@4000000065f1a2b33b9aca00 ",
        "2026-11-25_07:10:29.12345 ",
        "1795591065.123 ",
        "[2026-11-25T07:10:29Z] ",
        "25/Nov/2026:07:10:29 +0000 ",
        "<13>1 2026-11-25T07:10:29Z ",
        "ejabberd-1  | ",
        "st_ejabberd.1.gw0pyyy7ylay@manager-2    | ",
        "[pod/ejabberd-0/ejabberd] ",
        "host ejabberdctl[123]: ",
        "host ejabberd: ",
        "ejabberd-0 ejabberd ",
        "stdout F ",
        "ejabberd.log:12:",
        "12-",
        "> ",
        "INFO - ",
        "\u{1b}[36mejabberd-1  | \u{1b}[0m",
        "^[[32mcontainer |^[[0m ",
        "level=info msg=x ",
        "a.example\t",
    ]);
    prop::collection::vec(piece.prop_map(str::to_owned), 1..4)
}

/// Texts of several lines that are told as one, with another record before and behind them.
fn records() -> Vec<(String, String)> {
    let mut records: Vec<(String, String)> = VARIANTS
        .iter()
        .filter(|(_, text)| {
            text.contains('\n') && text.lines().skip(1).all(|line| line.starts_with([' ', '*']))
        })
        .map(|(code, text)| ((*code).to_owned(), (*text).to_owned()))
        .collect();
    for name in [
        "otp25_bad_table_cookie_at_start",
        "ejabberd2301_bad_table_cookie",
        "otp25_split_other_side",
        "otp25_shell_schema_cookies",
    ] {
        records.push((name.to_owned(), recorded(name)));
    }
    records
}

fn facts(text: &str) -> Vec<Problem> {
    sightings(text).into_iter().map(|sighting| sighting.problem).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_record_behind_any_column_of_equal_shape_has_the_facts_that_it_has_without(
        column in columns(), record in 0..1_000_usize, shift in 0..10_u8, surrounded in any::<bool>(),
    ) {
        let records = records();
        let (name, text) = &records[record % records.len()];
        let own = if surrounded {
            format!("2026-11-25 07:10:28.000001+00:00 [info] <0.1.0> x\n2026-11-25 07:10:29.123456+00:00 [error] <0.708.0> {}\n2026-11-25 07:10:30.000001+00:00 [info] <0.1.0> y", text.trim_end())
        } else {
            text.trim_end().to_owned()
        };
        let column = column.concat();
        let prefixed: Vec<String> = own
            .lines()
            .zip(0_u8..)
            .map(|(line, number)| {
                // The last digit of a time goes on with the lines.
                let at = column.rfind(|c: char| c.is_ascii_digit());
                let mut column = column.clone();
                if let Some(at) = at.filter(|at| column[..*at].ends_with(|c: char| c.is_ascii_digit())) {
                    column.replace_range(at..=at, &((number + shift) % 10).to_string());
                }
                column + line
            })
            .collect();
        prop_assert_eq!(facts(&prefixed.join("\n")), facts(&own), "{}: {:?}", name, column);
    }

    /// A JSON object a line, whatever else is in it.
    #[test]
    fn any_record_in_objects_of_one_line_each_has_the_facts_that_it_has_without(
        key in prop::sample::select(vec!["log", "message", "msg", "MESSAGE", "line"]), record in 0..1_000_usize, first in any::<bool>(), end in prop::sample::select(vec!["", "\n"]),
    ) {
        let records = records();
        let (name, text) = &records[record % records.len()];
        let objects: Vec<String> = text
            .trim_end()
            .lines()
            .map(|line| {
                let value = serde_json::to_string(&format!("{line}{end}")).unwrap();
                let rest = r#""stream": "stdout", "time": "2026-11-25T07:10:29.1Z""#;
                if first { format!(r#"{{"{key}": {value}, {rest}}}"#) } else { format!(r#"{{{rest}, "{key}": {value}}}"#) }
            })
            .collect();
        prop_assert_eq!(facts(&objects.join("\n")), facts(text), "{}", name);
    }
}

#[test]
fn two_lines_of_one_message_in_the_journal_are_read_as_one() {
    let journal = "Nov 25 07:10:29 foo ejabberdctl[12]: ** System running to use fully qualified hostnames **\n\
                   Nov 25 07:10:29 foo ejabberdctl[12]: ** Hostname foo is illegal **";
    let sighting = only(journal);
    assert_eq!(sighting.problem, Problem::IllegalHostname { host: "foo".into(), names: "long".into() });
    assert!(sighting.text.starts_with("Nov 25 07:10:29 foo ejabberdctl[12]: ** System"), "{}", sighting.text);
}

#[test]
fn a_text_inside_of_json_is_still_known() {
    for (expected, text) in VARIANTS.iter().filter(|(code, _)| *code != "waiting_for_tables") {
        let json =
            format!("{{\"time\":\"2026-11-25T07:10:29Z\",\"msg\":{}}}", serde_json::to_string(text).unwrap());
        assert_eq!(codes(&json), [*expected], "{json}");
    }
}

#[test]
fn a_text_with_windows_line_ends_and_colours_is_still_known() {
    for (expected, text) in VARIANTS {
        let coloured = format!("\u{1b}[1;31m{}\u{1b}[0m\r\n", text.replace('\n', "\u{1b}[0m\r\n\u{1b}[31m"));
        assert_eq!(codes(&coloured), [*expected], "{coloured:?}");
    }
}

#[test]
fn a_text_between_thousands_of_healthy_lines_keeps_its_line() {
    let healthy = recorded("ejabberd2301_healthy");
    let before = healthy.repeat(40);
    for (expected, text) in VARIANTS.iter().filter(|(code, _)| *code != "waiting_for_tables") {
        let found = sightings(&format!("{before}\n{text}\n\n{healthy}"));
        assert_eq!(found.iter().map(|s| s.problem.code()).collect::<Vec<_>>(), [*expected], "{text}");
        let lines = before.lines().count() as u64;
        assert!((lines + 1..lines + 9).contains(&found[0].line), "{text}: {}", found[0].line);
    }
}

#[test]
fn the_facts_of_a_text_fill_the_problem() {
    let told = only(&recorded("otp25_shell_not_active")).problem;
    let nodes = Nodes(vec!["b@127.0.0.1".into()]);
    assert_eq!(told, Problem::ReplicasNotActive { table: "foo".into(), nodes });
    let told = only(&recorded("otp25_shell_merge_schema_failed")).problem;
    assert!(matches!(told, Problem::BadTableCookie { table, between, .. }
        if table.as_str() == "foo" && between == "one on b@127.0.0.1 and one on a@127.0.0.1"));
    let told = only(r#"{:error, {:no_ping, :"a@foo.bar"}}"#).problem;
    assert!(matches!(told, Problem::NoConnection { node, .. } if node.as_str() == "a@foo.bar"));
    let told = only(&recorded("otp25_bad_interface")).problem;
    assert_eq!(told, Problem::BadEnvironmentValue { value: "{\"init".into() });
    let told = only(&recorded("otp25_cookie_directory")).problem;
    assert_eq!(told, Problem::CookieFile { reason: "it is of type directory".into(), path: String::new() });
}

#[test]
fn the_same_problem_is_counted_and_another_node_is_another_problem() {
    let refused = |node: &str| format!("** Connection attempt from disallowed node {node} **\n\n");
    let found = sightings(&[refused("a@foo"), refused("b@foo"), refused("a@foo")].concat());
    let facts: Vec<_> = found.iter().map(|s| (s.line, s.count)).collect();
    assert_eq!(facts, [(1, 2), (3, 1)]);
}

#[test]
fn the_last_line_is_known_without_a_line_end() {
    assert_eq!(codes("{aborted,{no_majority,roster}}"), ["no_majority"]);
}

#[test]
fn two_records_are_not_read_as_one() {
    let half = "System running to use fully qualified hostnames **";
    let other = "Hostname foo is illegal **";
    let kind = |text: &str| {
        let Problem::IllegalHostname { names, .. } = only(text).problem else { panic!("{text}") };
        names
    };
    assert_eq!(kind(&format!("** {half}\n** {other}")), "long");
    for between in ["\n\n** ", "\n2026-11-25 07:18:28.853980+00:00 [error] ** ", "\n{\"msg\":\"x\"}\n** "] {
        assert_eq!(kind(&format!("** {half}{between}{other}")), "long", "{between}");
    }
}

#[test]
fn prose_about_problems_is_not_a_problem() {
    for text in [
        "",
        "\n\n",
        "the cookie differs",
        "{timeout,{gen_server,call,[x]}}",
        "{timeout,[1,2]}",
        "{badarg,[{ets,lookup}]}",
    ] {
        assert_eq!(codes(text), [""; 0], "{text}");
    }
}

#[test]
fn a_flood_of_one_code_hides_no_other_and_is_counted() {
    let mut explainer = Explainer::new();
    for i in 0..5_000 {
        explainer.line(&format!("** Connection attempt from disallowed node scan{i}@foo **"));
        explainer.line("");
    }
    explainer.line("{aborted,{no_majority,roster}}");
    let found = explainer.finish();
    assert_eq!(found.lines, 10_001);
    assert_eq!(found.sightings.len(), MAX_OF_ONE_CODE + 1);
    assert_eq!(found.left_off, 5_000 - MAX_OF_ONE_CODE as u64);
    assert!(log::words(&found, &[]).ends_with("4900 more sightings with other facts are not listed\n"));
    assert_eq!(found.sightings.last().unwrap().problem.code(), "no_majority");
}

#[test]
fn distinct_sightings_are_bounded() {
    let mut explainer = Explainer::new();
    for i in 0..200 {
        for (_, text) in VARIANTS {
            explainer.line(&text.replace("foo", &format!("foo{i}")).replace("roster", &format!("roster{i}")));
            explainer.line("");
        }
    }
    let found = explainer.finish();
    assert_eq!(found.sightings.len(), MAX_SIGHTINGS);
    assert!(found.left_off > 0);
}

#[test]
fn a_line_of_megabytes_is_searched_and_quoted_shortly() {
    let text = format!("{}{{aborted,{{no_majority,roster}}}}{}", "x y".repeat(1 << 20), "é ".repeat(1 << 20));
    let sighting = only(&text);
    assert_eq!((sighting.line, sighting.problem.code()), (1, "no_majority"));
    assert!(sighting.text.chars().count() <= 300, "{}", sighting.text);
    assert!(sighting.text.contains("no_majority"), "{}", sighting.text);
}

#[test]
fn a_text_at_any_place_of_a_long_line_is_found() {
    let text = "** Connection attempt from node 'ejabberd@foo.bar' rejected. Invalid challenge reply. **";
    for padding in 8_100..8_200 {
        let line = format!("x{}{text}", "é".repeat(padding / 2));
        let sighting = only(&line);
        assert_eq!(
            sighting.problem,
            Problem::PeerCookieDiffers { node: "ejabberd@foo.bar".into() },
            "{padding}"
        );
        assert!(!sighting.text.contains('\u{fffd}'), "{}", sighting.text);
    }
}

/// What was read is searched in batches; a text that lies across two is in one of them whole, and once.
#[test]
fn a_text_at_any_place_of_a_large_file_is_found_once_with_its_line() {
    let line = format!("2026-11-25 07:18:28.346870+00:00 [info] {}\n", "x".repeat(23));
    let text = "{aborted,\n {\"Bad transform function\",\n  archive_msg,\n  #Fun<ejabberd_mnesia.8>,\n  a@foo,\n  x}}\n";
    let healthy = line.repeat(5_000);
    for lines in (2_020..2_060).chain(4_000..4_010) {
        let (before, after) = healthy.split_at(line.len() * lines);
        let sighting = only(&format!("{before}{text}{after}"));
        assert_eq!((sighting.line, sighting.count), (lines as u64 + 2, 1));
        assert!(sighting.text.contains("Bad transform function"), "{}", sighting.text);
    }
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let mut explainer = Explainer::new();
    explainer.feed(b"\xff\xfe caf\xe9 {aborted,{no_majority,roster}}\n\xc3");
    let found = explainer.finish();
    assert_eq!((found.lines, found.sightings.len()), (2, 1));
    assert!(found.sightings[0].text.contains('\u{fffd}'));
}

#[test]
fn a_cookie_in_the_line_is_not_quoted() {
    let sighting = only("erl -setcookie SECRET {aborted,{no_majority,roster}}");
    assert_eq!(sighting.text, "erl -setcookie *** {aborted,{no_majority,roster}}");
    let told = log::words(&log::explain("{bad_environment_value,\"-setcookie SECRET\"}").unwrap(), &[]);
    assert!(!told.contains("SECRET"), "{told}");
}

#[test]
fn a_cookie_is_not_told_when_its_key_is_on_the_line_before_or_in_another_element() {
    let not_active = "{aborted,{not_active,\"All replicas on diskfull nodes are not active yet\",foo,";
    for text in [
        "[{setcookie,\n   [\"SECRET\"]}] {aborted,{no_majority,roster}}",
        // The second line looks as if a log collector had begun it.
        "[{setcookie,\n[\"SECRET\"]}] a b[1]: {aborted,{no_majority,roster}}",
        &format!("{not_active}\n [{{setcookie,[\"SECRET\"]}}]}}}}"),
    ] {
        let told = log::words(&log::explain(text).unwrap(), &[]);
        assert!(!told.contains("SECRET"), "{told}");
    }
}

#[test]
fn a_colour_that_is_cut_takes_nothing_of_the_next_line_with_it() {
    let told = log::explain("hello \u{1b}[31\n\"cookie\": \"SECRET\"").unwrap_err();
    assert_eq!(
        told,
        Problem::NotRecognised { text: "hello \"cookie\": \"***\"".into(), product: String::new() }
    );
}

#[test]
fn a_line_at_any_place_of_a_large_file_is_quoted_from_its_beginning_and_without_its_cookie() {
    let line = "2026-11-25 07:18:28.346870+00:00 [info] erl -setcookie SECRET {aborted,{no_majority,roster}}";
    let healthy = "2026-11-25 07:18:28.346870+00:00 [info] healthy\n";
    let before = healthy.repeat(((120 << 10) - 2 * line.len()) / healthy.len());
    for padding in (0..3 * line.len()).step_by(7) {
        let sighting = only(&format!("{}\n{before}{line}\n{}", "x".repeat(padding), healthy.repeat(1_000)));
        assert_eq!(sighting.text, line.replace("SECRET", "***"), "{padding}");
    }
}

#[test]
fn a_name_cannot_bring_its_own_code_into_a_fix() {
    for text in [
        r#"{no_exists,"x'],1),os:cmd(['ls"}"#,
        r#"{no_ping,"a@b'),halt(). %"}"#,
        r#"{no_ping,$HOME`ls`@foo}"#,
    ] {
        let fix = only(text).problem.fix();
        let strange = ["os:cmd(", "halt(", "$", "`"].iter().any(|code| fix.contains(code));
        assert!(!strange, "{fix}");
    }
}

#[test]
fn the_words_name_line_count_evidence_cause_and_fix() {
    let text = recorded("otp25_overloaded");
    let told = log::words(&log::explain(&text).unwrap(), &[]);
    for part in [
        "line 2, ",
        " times: Mnesia('d@127.0.0.1')",
        "mnesia_overloaded",
        "{dump_log,write_threshold}",
        "cause",
        "fix",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn what_is_not_known_is_said_with_its_beginning() {
    let Err(Problem::NotRecognised { text, .. }) = log::explain("something else\nentirely") else { panic!() };
    assert_eq!(text, "something else entirely");
}

#[test]
fn a_text_that_is_too_long_is_refused() {
    let refused = log::explain(&"x".repeat(MAX_TEXT + 1));
    assert_eq!(refused.err().map(|problem| problem.code()), Some("text_too_long"));
    assert_eq!(
        log::explain(&"x".repeat(MAX_TEXT)).err().map(|problem| problem.code()),
        Some("not_recognised")
    );
}

proptest! {
    #[test]
    fn no_text_brings_it_down(text in any::<Vec<u8>>(), cut in any::<prop::sample::Index>()) {
        let mut explainer = Explainer::new();
        let (head, tail) = text.split_at(cut.index(text.len() + 1));
        explainer.feed(head);
        explainer.feed(tail);
        let _ = explainer.finish();
    }

    /// Pieces of known texts in any order, with escapes, quotes and line ends between.
    #[test]
    fn no_mixture_of_known_words_brings_it_down(
        words in prop::collection::vec((0..VARIANTS.len(), any::<prop::sample::Index>(), "[\\\\\"'\\[\\]{}<>,~n\u{1b}\n ]{0,4}"), 0..40),
    ) {
        let text: String = words
            .iter()
            .map(|(which, part, between)| {
                let text: Vec<char> = VARIANTS[*which].1.chars().collect();
                text[..part.index(text.len())].iter().collect::<String>() + between
            })
            .collect();
        for sighting in sightings(&text) {
            prop_assert!(sighting.text.chars().count() <= 300);
            prop_assert!(sighting.line >= 1 && sighting.line <= text.lines().count() as u64 + 1);
        }
    }

    /// However the bytes are cut, the same is found.
    #[test]
    fn the_size_of_the_bites_does_not_matter(size in 1_usize..400) {
        let text: String = VARIANTS.iter().map(|(_, text)| format!("{text}\n\n")).collect();
        let mut explainer = Explainer::new();
        for bite in text.as_bytes().chunks(size) {
            explainer.feed(bite);
        }
        prop_assert_eq!(explainer.finish().sightings, sightings(&text));
    }
}

#[test]
fn what_is_wrong_on_this_machine_stands_beside_the_text_that_it_explains() {
    let found = log::explain("Connection attempt from disallowed node 'ejabberd@foo.bar'").unwrap();
    assert!(log::is_local(&found));
    let mode = Problem::CookieMode { path: "/home/e/.erlang.cookie".into(), mode: "644".into() };
    let other = Problem::NoPortWindow { node: "ejabberd@foo.bar".into() };
    let told = log::words(&found, &[mode, other]);
    assert!(told.contains("\n  here      cookie_mode: "), "{told}");
    assert!(!told.contains("no_port_window"), "only what may be why: {told}");
}

/// The lines of several sources, one from each in turn, as tools print them that follow several at once.
fn in_turn(sources: &[(&str, &str)]) -> String {
    let mut lines: Vec<_> = sources
        .iter()
        .map(|(column, text)| text.lines().map(move |line| column.replace("TEXT", &escaped(column, line))))
        .collect();
    let mut out = String::new();
    loop {
        let mut ended = true;
        for line in lines.iter_mut().filter_map(Iterator::next) {
            out.push_str(&line);
            out.push('\n');
            ended = false;
        }
        if ended {
            return out;
        }
    }
}

fn escaped(column: &str, line: &str) -> String {
    if column.starts_with('{') { line.replace('\\', "\\\\").replace('"', "\\\"") } else { line.to_owned() }
}

#[test]
fn lines_of_several_sources_among_one_another_are_the_records_of_each() {
    let columns = [
        ["hello-1  | TEXT", "world-12 | TEXT"],
        ["hello-1 TEXT", "hello-2 TEXT"],
        ["[pod/hello-0/ejabberd] TEXT", "[pod/hello-1/ejabberd] TEXT"],
        ["Nov 25 07:10:29 hello ejabberd[812]: TEXT", "Nov 25 07:10:29 world ejabberd[9]: TEXT"],
        ["Nov 25 07:10:29 hello ejabberd[812]: TEXT", "Nov 25 07:10:29 hello systemd[1]: TEXT"],
        ["2026-11-25T07:10:29.1Z hello TEXT", "2026-11-25T07:10:29.2Z world TEXT"],
        [
            r#"2026-11-25T07:10:29Z {app="x", pod="a"} TEXT"#,
            r#"2026-11-25T07:10:29Z {app="x", pod="b"} TEXT"#,
        ],
        [r#"{"pod":"hello","log":"TEXT\n"}"#, r#"{"pod":"world","log":"TEXT\n"}"#],
    ];
    let record = "2026-11-25 07:10:29.1 [error] <0.1.0> Mnesia('a@b'):\n ** ERROR ** (core dumped to file: \"/x/MnesiaCore\")\n ** FATAL ** Failed to merge schema:\n Bad cookie in table definition x: 'a@b' =\n {cstruct,x}, 'c@d' =\n {cstruct,x}\n";
    let texts = [
        record.to_owned(),
        recorded("ejabberd2301_bad_table_cookie"),
        recorded("otp25_overlapping_partitions"),
        recorded("otp25_split_and_allow_list"),
    ];
    let healthy = recorded("ejabberd2301_healthy");
    for alone in texts {
        let facts = |text: &str| -> Vec<Problem> {
            sightings(text).into_iter().map(|sighting| sighting.problem).collect()
        };
        assert!(!facts(&alone).is_empty());
        for [one, two] in columns {
            let both = in_turn(&[(one, &alone), (two, &healthy)]);
            assert_eq!(facts(&both), facts(&alone), "{alone} behind {one}");
        }
    }
}
