//! The doctor on made-up machines: each broken setting has its own code, and no other.

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use easy_cluster::validate::problem::{Layer, Problem};
use support::{
    COOKIE, COOKIE_FILE, CTL, HOSTS, INETRC, Machine, OTP_VERSION, PASSWD, SPOOL, VM_ARGS, YML, codes,
};

#[test]
fn a_healthy_machine_has_no_finding() {
    let (report, status) = Machine::healthy().report(&[]);
    assert_eq!((codes(&report), status), (vec![], Some(0)));
    let versions = &report["machine"]["versions"];
    assert_eq!(
        [&versions["otp"], &versions["ejabberd"], &versions["mnesia"]],
        ["25.2.3", "23.01-1", "4.21.3"]
    );
}

#[test]
fn two_healthy_machines_can_form_a_cluster() {
    assert_eq!(Machine::healthy().compared(&Machine::other()), Vec::<String>::new());
}

/// Tests of one broken setting each, and the list of their codes.
macro_rules! broken {
    ($($name:ident: $code:literal, $break:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let machine = Machine::healthy();
                let breaking: fn(&Machine) = $break;
                breaking(&machine);
                assert_eq!(machine.codes(&[]), [$code]);
            }
        )*
        const BROKEN: &[&str] = &[$($code),*];
    };
}

broken! {
    no_ejabberdctl_cfg: "config_missing", |m| {
        m.remove(CTL);
        m.write(VM_ARGS, "-kernel inet_dist_use_interface {10,0,0,1} inet_dist_listen_min 4370 inet_dist_listen_max 4375");
    };
    no_ejabberd_yml: "config_missing", |m| m.remove(YML);
    a_directory_instead_of_ejabberd_yml: "config_unreadable", |m| m.directory(YML);
    a_fifo_instead_of_vm_args: "config_unreadable", |m| { m.write(VM_ARGS, ""); m.fifo(VM_ARGS); };
    an_inetrc_of_a_gigabyte: "config_unreadable", |m| {
        m.write(INETRC, "");
        fs::File::options().write(true).open(m.path(INETRC)).and_then(|file| file.set_len(1 << 30)).unwrap();
    };
    a_byte_order_mark: "config_bom", |m| {
        let text = fs::read_to_string(m.path(CTL)).unwrap();
        m.write(CTL, format!("\u{feff}{text}"));
    };
    lines_of_windows: "config_crlf", |m| m.replace(CTL, "\n", "\r\n");
    a_quote_that_is_not_closed: "config_syntax", |m| m.append(CTL, "ERL_OPTIONS=\"-hidden\n");
    a_tab_in_ejabberd_yml: "config_syntax", |m| m.append(YML, "listen:\n\t- port: 5222\n");
    an_inetrc_without_a_full_stop: "config_syntax", |m| m.write(INETRC, "{lookup, [\"file\"]}");
    a_node_name_that_a_program_prints: "config_unclear", |m| m.append(CTL, "ERLANG_NODE=ejabberd@$(hostname -f)\n");
    another_script_that_is_read: "config_unclear", |m| m.append(CTL, ". /etc/default/more\n");
    a_file_that_ejabberd_yml_includes: "config_unclear", |m| m.append(YML, "include_config_file: more.yml\n");
    a_line_of_the_hosts_file_without_address: "hosts_line", |m| m.append(HOSTS, "third.host 10.0.0.3\n");
    no_such_user: "user_unknown", |m| m.replace(PASSWD, "ejabberd:", "xmpp:");

    no_cookie: "cookie_missing", |m| m.remove(COOKIE_FILE);
    a_directory_instead_of_the_cookie: "cookie_unreadable", |m| m.directory(COOKIE_FILE);
    a_cookie_that_the_group_can_read: "cookie_mode", |m| m.mode(COOKIE_FILE, 0o440);
    a_cookie_of_another_user: "cookie_owner", |m| {
        m.replace(PASSWD, &format!(":{}:", m.uid()), &format!(":{}:", m.uid() + 2));
        m.mode(SPOOL, 0o777);
    };
    an_empty_cookie: "cookie_empty", |m| m.cookie("\n");
    a_cookie_that_no_atom_holds: "cookie_too_long", |m| m.cookie("ab".repeat(128));
    a_cookie_with_a_tab: "cookie_characters", |m| m.cookie(format!("{COOKIE}\tX"));
    a_cookie_of_two_lines: "cookie_characters", |m| m.cookie(format!("{COOKIE}\n{COOKIE}\n"));
    a_cookie_with_a_byte_order_mark: "cookie_characters", |m| m.cookie(format!("\u{feff}{COOKIE}"));
    a_cookie_with_a_space_behind_it: "cookie_space", |m| m.cookie(format!("{COOKIE} "));
    a_cookie_with_a_newline: "cookie_line_end", |m| m.cookie(format!("{COOKIE}\n"));
    a_cookie_with_a_carriage_return: "cookie_line_end", |m| m.cookie(format!("{COOKIE}\r\n"));
    a_cookie_that_can_be_guessed: "cookie_weak", |m| m.cookie("secret");
    another_cookie_of_root: "several_cookies", |m| {
        m.append(PASSWD, "root:x:0:0::/root:/bin/sh\n");
        m.write("root/.erlang.cookie", "ZXCVBNMASDFGHJKLQWER");
    };
    a_blank_before_the_sign: "config_sets_nothing", |m| m.append(CTL, "ERL_OPTIONS = -hidden\n");
    a_database_of_another_name_in_a_folder_of_its_own: "other_database", |m| {
        m.database_of("ejabberd@old.host");
        fs::create_dir_all(m.path(&format!("{SPOOL}/database/ejabberd@old.host"))).unwrap();
        let (from, to) = (m.path(&format!("{SPOOL}/schema.DAT")), m.path(&format!("{SPOOL}/database/ejabberd@old.host/schema.DAT")));
        fs::rename(from, to).unwrap();
    };
    a_cookie_among_the_arguments: "cookie_in_arguments", |m| m.append(CTL, "ERL_OPTIONS='-setcookie ABCDEFGHIJKLMNOPQRST'\n");

    no_node_name: "node_name_default", |m| m.replace(CTL, "ERLANG_NODE=ejabberd@hello.world", "");
    the_loopback_as_node_name: "node_name_default", |m| m.replace(CTL, "@hello.world", "@127.0.0.1");
    a_name_without_a_dot: "host_without_dot", |m| {
        m.replace(CTL, "@hello.world", "@hello");
        m.append(HOSTS, "10.0.0.1 hello\n");
    };
    two_ats_in_the_name: "bad_node_name", |m| m.replace(CTL, "@hello.world", "@hello@world.x");
    a_space_in_the_name: "bad_node_name", |m| m.replace(CTL, "ejabberd@hello.world", "'ejab berd@hello.world'");
    a_host_that_nobody_knows: "own_host_unknown", |m| m.write(HOSTS, "127.0.0.1 localhost\n");
    debians_address_for_the_own_host: "own_host_loopback", |m| m.replace(HOSTS, "10.0.0.1", "127.0.1.1");
    an_own_host_that_is_another_machine: "own_host_elsewhere", |m| m.replace(HOSTS, "10.0.0.1", "10.0.0.9");

    an_interface_of_another_machine: "interface_not_here", |m| m.replace(CTL, "10.0.0.1", "10.0.0.9");
    the_loopback_as_interface: "interface_loopback", |m| m.replace(CTL, "10.0.0.1", "127.0.0.1");
    the_name_of_an_interface: "interface_malformed", |m| m.replace(CTL, "10.0.0.1", "eth0");
    an_interface_of_ipv6: "interface_ipv6_without_proto_dist", |m| {
        m.replace(CTL, "10.0.0.1", "fd00::1");
        m.write("proc/net/if_inet6", "fd000000000000000000000000000001 04 40 00 82 eth0\n");
    };
    no_interface: "distribution_open", |m| m.replace(CTL, "INET_DIST_INTERFACE=10.0.0.1", "");
    no_port_window: "no_port_window", |m| m.replace(CTL, "FIREWALL_WINDOW=4370-4375", "");
    a_port_window_from_high_to_low: "port_window_malformed", |m| m.replace(CTL, "4370-4375", "4375-4370");
    a_port_window_with_a_colon: "port_window_malformed", |m| m.replace(CTL, "4370-4375", "4370:4375");
    an_epmd_for_everybody: "epmd_open", |m| m.listening(&[[0, 0, 0, 0]]);
    an_epmd_for_nobody: "epmd_local", |m| m.listening(&[[127, 0, 0, 1]]);
    an_epmd_that_will_be_for_nobody: "epmd_local", |m| {
        m.listening(&[]);
        m.append(CTL, "ERL_EPMD_ADDRESS=127.0.0.1\n");
    };
    a_distribution_through_tls: "tls_distribution", |m| m.append(CTL, "ERL_OPTIONS='-proto_dist inet_tls'\n");

    a_database_of_another_node: "mnesia_owner_differs", |m| m.database_of("ejabberd@old.host");
    a_file_instead_of_the_database: "mnesia_directory_unreadable", |m| {
        m.write("srv/file", "");
        m.append(CTL, "SPOOL_DIR=/srv/file\n");
    };
    a_schema_that_was_cut: "mnesia_schema_damaged", |m| {
        m.database_of("ejabberd@hello.world");
        let whole = fs::read(m.path(&format!("{SPOOL}/schema.DAT"))).unwrap();
        m.write(&format!("{SPOOL}/schema.DAT"), &whole[..whole.len() / 2]);
    };
    two_tick_times: "tick_time_twice", |m| {
        m.append(YML, "net_ticktime: 30\n");
        m.write(VM_ARGS, "-kernel net_ticktime 20\n");
    };
    a_tick_time_of_a_second: "tick_time_extreme", |m| m.append(YML, "net_ticktime: 1\n");
    an_erlang_of_another_age: "otp_too_old", |m| m.write(OTP_VERSION, "22.3.4\n");
}

/// Tests of one difference between two machines each, broken on the other one.
macro_rules! different {
    ($($name:ident: $code:literal, $break:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let (here, there) = (Machine::healthy(), Machine::other());
                let breaking: fn(&Machine, &Machine) = $break;
                breaking(&here, &there);
                assert_eq!(here.compared(&there), [$code]);
            }
        )*
        const DIFFERENT: &[&str] = &[$($code),*];
    };
}

different! {
    one_name_twice: "same_node_name", |_, there| there.replace(CTL, "@foo.bar", "@hello.world");
    different_cookies: "cookies_differ", |_, there| there.cookie("ZXCVBNMASDFGHJKLQWER");
    an_other_machine_that_does_not_know_this_one: "host_not_listed", |_, there| there.replace(HOSTS, "10.0.0.1", "#");
    a_machine_that_does_not_know_the_other_one: "unknown_host", |here, _| here.replace(HOSTS, "10.0.0.2", "#");
    a_machine_that_takes_a_third_one_for_the_other: "host_other_address", |here, _| {
        here.replace(HOSTS, "10.0.0.2", "10.0.0.3");
    };
    a_machine_that_takes_itself_for_the_other: "host_other_address", |here, _| {
        here.replace(HOSTS, "10.0.0.2", "127.0.0.1");
    };
    different_ports_of_epmd: "epmd_ports_differ", |_, there| there.append(CTL, "export ERL_EPMD_PORT=4000\n");
    one_node_without_epmd: "dist_ports_differ", |_, there| there.append(CTL, "ERL_DIST_PORT=5210\n");
    one_node_with_ipv6: "proto_dist_differs", |_, there| there.append(CTL, "ERL_OPTIONS='-proto_dist inet6_tcp'\n");
    different_modules: "modules_differ", |_, there| there.replace(YML, "mod_roster", "mod_muc");
    a_module_that_only_the_other_machine_has: "modules_differ", |_, there| there.append(YML, "  mod_muc: {}\n");
    a_module_that_only_this_machine_has: "modules_differ", |here, _| here.append(YML, "  mod_muc: {}\n");
    different_domains: "domains_differ", |_, there| there.append(YML, "hosts: [b.example]\n");
    different_accounts: "auth_methods_differ", |_, there| there.replace(YML, "internal", "ldap");
    different_tick_times: "tick_time_differs", |_, there| there.append(YML, "net_ticktime: 30\n");
    different_versions: "versions_differ", |_, there| there.write(OTP_VERSION, "27.1\n");
    a_short_name_and_a_long_one: "name_mode_mismatch", |here, there| {
        there.replace(CTL, "@foo.bar", "@foo");
        for machine in [here, there] {
            machine.append(HOSTS, "10.0.0.2 foo\n");
        }
    };
}

#[test]
fn every_code_of_a_machine_is_broken_here() {
    // What takes more than a broken file has a test of its own below.
    let others = ["mnesia_directory_owner", "report_unreadable"];
    // The doctor does not ask this: boot-order and rename do, whose tests have them.
    let of_commands = ["not_a_database", "mnesia_log_damaged", "foreign_database", "database_twice"];
    let of_rename = ["database_of_other", "wrong_user", "directory_in_use"];
    let elsewhere = [&others[..], &of_commands, &of_rename].concat();
    let machine = Problem::catalogue().into_iter().filter(|entry| entry.layer == Layer::Machine);
    let missing: Vec<&str> = machine
        .map(|entry| entry.code)
        .filter(|code| !BROKEN.contains(code) && !DIFFERENT.contains(code) && !elsewhere.contains(code))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn lines_that_set_nothing_are_told_with_their_numbers() {
    for (line, variable) in [
        ("ERLANG_NODE = ejabberd@a.b", "ERLANG_NODE"),
        ("ERLANG_NODE: ejabberd@a.b", "ERLANG_NODE"),
        ("ERLANG_NODE ejabberd@a.b", "ERLANG_NODE"),
        ("set ERLANG_NODE=ejabberd@a.b", "ERLANG_NODE"),
        ("env INET_DIST_INTERFACE=10.0.0.1", "INET_DIST_INTERFACE"),
        ("setenv ERL_OPTIONS -hidden", "ERL_OPTIONS"),
        ("ERLANG_NODE= ejabberd@a.b", "ERLANG_NODE"),
        ("ERLANG_NODE=ejabberd@a.b or more", "ERLANG_NODE"),
        ("ERLANG_NODE={{ env['ERLANG_NODE'] or 'x' }}", "ERLANG_NODE"),
        ("export ERLANG_NODE = ejabberd@a.b", "ERLANG_NODE"),
        ("$ERLANG_NODE=ejabberd@a.b", "ERLANG_NODE"),
    ] {
        let machine = Machine::healthy();
        machine.append(CTL, &format!("{line}\n"));
        let (report, _) = machine.report(&[]);
        assert_eq!(
            codes(&report).iter().filter(|code| *code == "config_sets_nothing").count(),
            1,
            "{line}: {report}"
        );
        let findings = report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["code"] == "config_sets_nothing").unwrap();
        let meant = ["ERLANG_NODE=ejabberd@a.b", "INET_DIST_INTERFACE=10.0.0.1", "VALUE"];
        assert!(meant.iter().any(|text| finding["fix"].as_str().unwrap().contains(text)), "{finding}");
        assert_eq!(
            (&finding["details"]["line"], &finding["details"]["variable"]),
            (&4.into(), &variable.into()),
            "{line}"
        );
    }
    let machine = Machine::healthy();
    machine.append(
        CTL,
        "echo ERLANG_NODE=x\nulimit -n 9\n# ERLANG_NODE = x\nTZ=x true\n[ \"$ERLANG_NODE\" = x ] && true\n",
    );
    assert_eq!(machine.codes(&[]), Vec::<String>::new());
}

#[test]
fn the_argument_for_the_name_wins_wherever_it_is_set() {
    let machine = Machine::healthy();
    machine.append(CTL, "ERLANG_NODE_ARG=ejabberd@foo.bar\n");
    assert_eq!(machine.report(&[]).0["machine"]["settings"]["node"]["name"], "ejabberd@foo.bar");
    let machine = Machine::healthy();
    machine.write(
        "proc/1/environ",
        "PATH=/bin\0ERLANG_NODE_ARG=ejabberd@foo.bar\0ERLANG_COOKIE=ABCDEFGHIJKLMNOPQRST\0",
    );
    let (report, _) = machine.report(&[]);
    assert_eq!(report["machine"]["settings"]["node"]["name"], "ejabberd@foo.bar");
    assert!(!report.to_string().contains("ABCDEFGHIJKLMNOPQRST"));
}

#[test]
fn a_cookie_among_the_arguments_is_judged_too() {
    let machine = Machine::healthy();
    machine.write(VM_ARGS, "-setcookie monster\n");
    let (report, _) = machine.report(&[]);
    assert_eq!(codes(&report), ["cookie_weak", "cookie_in_arguments"]);
    assert!(!report["findings"].to_string().contains("> vm.args"), "it would be overwritten");
}

#[test]
fn erlangs_own_hosts_replace_those_of_the_system() {
    let machine = Machine::healthy();
    machine.write(INETRC, "{lookup, [\"file\"]}.\n%% ours\n{host, {127,0,0,1}, [\"hello.world\"]}.\n");
    let (report, _) = machine.report(&[]);
    assert_eq!(codes(&report), ["own_host_loopback"]);
    let fix = report["findings"][0]["fix"].as_str().unwrap();
    assert!(fix.contains("line 3 of /etc/ejabberd/inetrc") && fix.contains("10.0.0.1"), "{fix}");
}

#[test]
fn links_stay_below_the_root() {
    let machine = Machine::healthy();
    machine.write("srv/default", fs::read(machine.path(CTL)).unwrap());
    machine.remove(CTL);
    std::os::unix::fs::symlink("/srv/default", machine.path(CTL)).unwrap();
    assert_eq!(machine.codes(&[]), Vec::<String>::new());
    machine.remove(CTL);
    std::os::unix::fs::symlink("../../../../../../srv/default", machine.path(CTL)).unwrap();
    assert_eq!(machine.codes(&[]), Vec::<String>::new());
}

#[test]
fn fixes_name_the_files_of_this_installation() {
    let machine = Machine::healthy();
    for name in ["ejabberdctl.cfg", "ejabberd.yml", "inetrc"] {
        machine.write(
            &format!("opt/ejabberd/conf/{name}"),
            fs::read(machine.path(&format!("etc/ejabberd/{name}"))).unwrap(),
        );
    }
    machine.replace("opt/ejabberd/conf/ejabberdctl.cfg", "FIREWALL_WINDOW=4370-4375", "");
    let done = machine.doctor(&["--config", "/opt/ejabberd/conf"]);
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("set FIREWALL_WINDOW=4370-4375 in /opt/ejabberd/conf/ejabberdctl.cfg"), "{text}");
}

#[test]
fn a_database_of_another_user() {
    let machine = Machine::healthy();
    machine.replace(PASSWD, &format!(":{}:", machine.uid()), &format!(":{}:", machine.uid() + 2));
    // The cookie belongs to the same user, and only root could give it away.
    assert_eq!(machine.codes(&[]), ["cookie_owner", "mnesia_directory_owner"]);
}

#[test]
fn the_line_that_a_hosts_file_lacks_has_the_address_that_the_other_machine_told() {
    let (here, there) = (Machine::healthy(), Machine::other());
    here.replace(HOSTS, "10.0.0.2", "#");
    there.replace(HOSTS, "10.0.0.1", "#");
    let report = here.path("report.json");
    fs::write(&report, there.doctor(&["--json"]).stdout).unwrap();
    let said = here.doctor(&["--compare", report.to_str().unwrap()]).stdout;
    let said = String::from_utf8(said).unwrap();
    for line in ["echo '10.0.0.2 foo.bar' >> /etc/hosts", "echo '10.0.0.1 hello.world' >> /etc/hosts"] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn a_host_that_nobody_knows_is_told_once() {
    let (here, there) = (Machine::healthy(), Machine::other());
    here.replace(HOSTS, "10.0.0.2", "#");
    let report = here.path("report.json");
    fs::write(&report, there.doctor(&["--json"]).stdout).unwrap();
    assert_eq!(here.codes(&["--compare", report.to_str().unwrap(), "foo.bar"]), ["unknown_host"]);
}

#[test]
fn reports_that_cannot_be_used() {
    let machine = Machine::healthy();
    let report = machine.path("report.json");
    let path = report.to_str().unwrap();
    assert_eq!(machine.codes(&["--compare", path]), ["report_unreadable"]);
    for text in
        ["", "{}", "[1]", "{\"format\":1}", "{\"format\":2,\"machine\":{}}", &"[".repeat(100_000), "\u{0}"]
    {
        fs::write(&report, text).unwrap();
        assert_eq!(machine.codes(&["--compare", path]), ["report_unreadable"], "{text:.40}");
    }
}

#[test]
fn the_exit_status_is_that_of_the_worst_finding() {
    let machine = Machine::healthy();
    assert_eq!(machine.doctor(&[]).status.code(), Some(0));
    machine.cookie("secret");
    assert_eq!(machine.doctor(&[]).status.code(), Some(3));
    machine.remove(YML);
    assert_eq!(machine.doctor(&[]).status.code(), Some(1));
    assert_eq!(machine.doctor(&["--no-such-option"]).status.code(), Some(2));
    assert_eq!(machine.doctor(&["--timeout", "0"]).status.code(), Some(2));
}

#[test]
fn a_finding_is_told_with_evidence_cause_fix_and_link() {
    let machine = Machine::healthy();
    machine.mode(COOKIE_FILE, 0o440);
    let text = String::from_utf8(machine.doctor(&[]).stdout).unwrap();
    assert!(text.starts_with("hello.world: 1 error\n"), "{text}");
    for line in [
        "  node       ejabberd@hello.world (long name, from ERLANG_NODE)\n",
        "  host       hello.world is 10.0.0.1\n",
        "  versions   OTP 25.2.3, ejabberd 23.01-1, mnesia 4.21.3\n",
        "cookie_mode (machine, error)\n",
        "  evidence  the cookie file /var/lib/ejabberd/.erlang.cookie has mode 440",
        "  cause     Erlang does not start",
        "  fix       chmod 400 /var/lib/ejabberd/.erlang.cookie\n",
        "  see       easy-cluster explain cookie_mode\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let (report, _) = machine.report(&[]);
    let finding = &report["findings"][0];
    assert_eq!(finding["details"]["mode"], "440");
    assert_eq!(finding["severity"], "error");
    assert_eq!(report["format"], 1);
}

#[test]
fn errors_come_before_warnings() {
    let machine = Machine::healthy();
    machine.listening(&[[0, 0, 0, 0]]);
    machine.database_of("ejabberd@old.host");
    assert_eq!(machine.codes(&[]), ["mnesia_owner_differs", "epmd_open"]);
}

#[test]
fn a_file_that_is_too_large_is_told_with_its_size() {
    let machine = Machine::healthy();
    fs::File::options().write(true).open(machine.path(YML)).and_then(|file| file.set_len(1 << 30)).unwrap();
    let (report, _) = machine.report(&[]);
    let evidence = report["findings"][0]["evidence"].as_str().unwrap();
    assert!(evidence.contains("it has 1.07 GB, and at most 1.0 MB are read"), "{evidence}");
}

#[test]
fn a_cookie_is_in_no_output() {
    let machine = Machine::healthy();
    machine.append(CTL, "ERL_OPTIONS='-setcookie ABCDEFGHIJKLMNOPQRST'\n");
    machine.write(VM_ARGS, "-setcookie UVWXYZABCDEFGHIJKLMN\n");
    for arguments in [&["--json"][..], &[]] {
        let done = machine.doctor(arguments);
        let text = [done.stdout, done.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        for cookie in [COOKIE, "ABCDEFGHIJKLMNOPQRST", "UVWXYZABCDEFGHIJKLMN"] {
            assert!(!text.contains(cookie), "{text}");
        }
    }
}

#[test]
fn config_and_spool_lead_to_another_installation() {
    let machine = Machine::healthy();
    machine.write("srv/etc/ejabberdctl.cfg", fs::read(machine.path(CTL)).unwrap());
    machine.write("srv/etc/ejabberd.yml", "");
    machine.write("srv/etc/inetrc", fs::read(machine.path(INETRC)).unwrap());
    machine.write("srv/spool/.erlang.cookie", "ZXCVBNMASDFGHJKLQWER");
    machine.mode("srv/spool/.erlang.cookie", 0o400);
    machine.remove("etc/ejabberd");
    let (report, status) = machine.report(&["--config", "/srv/etc", "--spool", "/srv/spool"]);
    assert_eq!((codes(&report), status), (vec![], Some(0)));
    assert_eq!(report["machine"]["database"]["directory"], "/srv/spool");
    assert_eq!(report["machine"]["cookies"][0]["path"], "/srv/spool/.erlang.cookie");
}

#[test]
fn files_that_the_doctor_may_not_read_are_told() {
    let machine = Machine::healthy();
    if machine.uid() != 0 {
        machine.mode(YML, 0o000);
        assert_eq!(machine.codes(&[]), ["config_unreadable"]);
        return;
    }
    // root may read everything, so the doctor is called as nobody, who needs a copy that is in reach.
    use std::os::unix::process::CommandExt as _;
    machine.mode("", 0o755);
    let program = machine.path("easy-cluster");
    fs::copy(env!("CARGO_BIN_EXE_easy-cluster"), &program).unwrap();
    machine.mode(YML, 0o400);
    let done = Command::new(program)
        .args(["doctor", "--json", "--root"])
        .arg(machine.root())
        .uid(65_534)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(codes(&report), ["config_unreadable", "cookie_unreadable"]);
    assert!(report["findings"][0]["evidence"].as_str().unwrap().contains("Permission denied"), "{report}");
}

#[test]
fn a_node_without_epmd_behind_its_host_is_told() {
    let machine = Machine::healthy();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    machine.append(CTL, &format!("export ERL_EPMD_PORT={port}\n"));
    assert_eq!(machine.codes(&["ejabberd@127.0.0.1"]), ["epmd_unreachable"]);
    machine.append(HOSTS, "127.0.0.1 third.host\n");
    assert_eq!(machine.codes(&["third.host"]), ["loopback_trap"]);
    assert_eq!(machine.codes(&["ejabberd@no.such.host"]), ["unknown_host"]);
    assert_eq!(machine.codes(&["ejabberd@third"]), ["name_mode_mismatch"]);
    assert_eq!(machine.codes(&["a@b@c"]), ["bad_node_name"]);
}

#[test]
fn a_real_node_is_reached_with_the_cookie_of_the_file_and_with_no_other() {
    let machine = Machine::healthy();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut node = Command::new("erl")
        .args(["-name", "peer@127.0.0.1", "-setcookie", COOKIE, "-noinput", "-start_epmd", "false"])
        .args(["-erl_epmd_port", &port.to_string(), "-kernel", "logger_level", "none"])
        .args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-eval", "io:format(\"ready~n\")."])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("erl is installed");
    let mut ready = String::new();
    let said = BufReader::new(node.stdout.take().unwrap()).read_line(&mut ready);
    machine.append(CTL, &format!("ERL_DIST_PORT={port}\n"));
    let (reached, status) = machine.report(&["peer@127.0.0.1"]);
    machine.cookie("ZXCVBNMASDFGHJKLQWER");
    let refused = machine.codes(&["peer@127.0.0.1"]);
    machine.remove(COOKIE_FILE);
    let without = machine.codes(&["peer@127.0.0.1"]);
    node.kill().unwrap();
    node.wait().unwrap();

    assert_eq!((said.unwrap(), ready.as_str()), (6, "ready\n"));
    assert_eq!((codes(&reached), status), (vec![], Some(0)));
    assert_eq!(reached["reaches"][0]["node"], "peer@127.0.0.1");
    assert_eq!(refused, ["wrong_cookie"]);
    assert_eq!(without, ["cookie_missing"]);
}
