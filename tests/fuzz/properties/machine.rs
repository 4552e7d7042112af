//! What holds for the parsers of a machine's files, whatever is in them.

use std::collections::BTreeMap;

use easy_cluster::explain;
use easy_cluster::model::machine::arguments::{self, Flag};
use easy_cluster::model::machine::cookie::{self, CookieFacts};
use easy_cluster::model::machine::ejabberd_yml::EjabberdYml;
use easy_cluster::model::machine::hosts::{HostsEntry, Inetrc, Resolver};
use easy_cluster::model::machine::terms::Term;
use easy_cluster::model::machine::{
    Broken, CookieFile, Database, FORMAT, File, Machine, Role, State, Unclear, Versions, ejabberd_yml, hosts,
    schema, settings, shell, sockets, terms, text, users,
};
use easy_cluster::validate::machine::problems;

/// A cookie that stands in no seed.
const SECRET: &str = "XYZZYPLUGHQUUXFROTZ";
/// Bytes that the variables of one script may expand to.
const MAX_EXPANDED: usize = 1 << 20;
/// Chosen by the first byte.
const CHECKS: [fn(&[u8]); 13] = [
    any_text,
    |bytes| script(&lossy(bytes)),
    |bytes| flags(&lossy(bytes)),
    |bytes| erlang_terms(&lossy(bytes)),
    |bytes| hosts_file(&lossy(bytes)),
    |bytes| inetrc(&lossy(bytes)),
    |bytes| resolver(&lossy(bytes)),
    |bytes| yml(&lossy(bytes)),
    |bytes| proc_net(&lossy(bytes)),
    |bytes| passwd(&lossy(bytes)),
    cookie_file,
    schema_file,
    whole_machine,
];

/// Reads the input as the file that its first byte chooses.
pub fn hold(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    CHECKS[usize::from(*choice) % CHECKS.len()](bytes);
}

fn lossy(bytes: &[u8]) -> String {
    text::parse(bytes).text
}

/// How many lines an editor counts.
fn lines(text: &str) -> u32 {
    u32::try_from(text.split('\n').count()).unwrap()
}

fn within(broken: &Broken, text: &str) {
    assert!((1..=lines(text)).contains(&broken.line), "{broken:?} of {} lines", lines(text));
    assert!(!broken.reason.is_empty() && broken.reason.len() < 200, "{broken:?}");
}

fn any_text(bytes: &[u8]) {
    let read = text::parse(bytes);
    assert!(read.text.len() <= 3 * bytes.len());
    if let Some(crlf) = read.crlf {
        let before: Vec<&str> = read.text.split_inclusive('\n').take(crlf as usize).collect();
        assert_eq!(before.len(), crlf as usize);
        assert_eq!(before.iter().position(|line| line.ends_with("\r\n")), Some(before.len() - 1));
    }
    let again = text::parse(read.text.as_bytes());
    assert!(again.bom || again == text::Text { bom: false, ..read });
}

fn given() -> BTreeMap<String, String> {
    BTreeMap::from([("CONFIG_DIR".to_owned(), "/etc/ejabberd".to_owned())])
}

/// Each variable's last value.
fn values(script: &shell::Script) -> BTreeMap<&str, &str> {
    let last = |a: &shell::Assignment| script.last(&a.name).map(|last| last.value.clone());
    let told = script.assignments.iter().filter(|a| last(a) == Some(a.value.clone()));
    told.filter_map(|a| Some((a.name.as_str(), a.value.as_deref().ok()?))).collect()
}

fn script(text: &str) {
    let read = shell::parse(text, &given());
    let mut line = 1;
    for assignment in &read.assignments {
        assert!((line..=lines(text)).contains(&assignment.line), "{assignment:?} after {line}");
        line = assignment.line;
        assert!(!assignment.name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    }
    assert!(read.unclear.iter().all(|unclear| (1..=lines(text)).contains(&unclear.line)));
    read.broken.iter().for_each(|broken| within(broken, text));
    let told: usize = read.assignments.iter().filter_map(|a| Some(a.value.as_ref().ok()?.len())).sum();
    assert!(told <= text.len() + MAX_EXPANDED, "{told} bytes of {}", text.len());

    let quoted = |value: &str| value.replace('\'', "'\\''");
    let printed: String =
        values(&read).iter().map(|(name, value)| format!("{name}='{}'\n", quoted(value))).collect();
    let again = shell::parse(&printed, &given());
    assert_eq!((values(&again), again.broken.clone()), (values(&read), None), "{printed}");
}

fn flags(text: &str) {
    let read = arguments::parse(text);
    let words = |flags: &[Flag]| -> Vec<String> {
        flags.iter().flat_map(|flag| [&flag.name].into_iter().chain(&flag.values)).cloned().collect()
    };
    assert!(words(&read).concat().len() <= text.len());
    let quoted = |word: &String| format!("\"{}\" ", word.replace('\\', "\\\\").replace('"', "\\\""));
    let printed: String = words(&read).iter().map(quoted).collect();
    assert_eq!(words(&arguments::parse(&printed)), words(&read));
    if !text.contains(['"', '\'', '\\', '#', '\u{b}']) && text.is_ascii() {
        assert_eq!(words(&arguments::split(text)), words(&read), "nothing is quoted in {text:?}");
    }
}

fn print(term: &Term) -> String {
    let quoted = |text: &str, mark: char| {
        format!("{mark}{}{mark}", text.replace('\\', "\\\\").replace(mark, &format!("\\{mark}")))
    };
    let all = |terms: &[Term]| terms.iter().map(print).collect::<Vec<_>>().join(",");
    match term {
        Term::Atom(text) => quoted(text, '\''),
        Term::Text(text) => quoted(text, '"'),
        Term::Integer(number) => number.to_string(),
        Term::Tuple(parts) => format!("{{{}}}", all(parts)),
        Term::List(elements) => format!("[{}]", all(elements)),
    }
}

fn erlang_terms(text: &str) {
    match terms::parse(text) {
        Err(broken) => within(&broken, text),
        Ok(read) => {
            let printed: String = read.iter().map(|term| print(term) + ".\n").collect();
            assert_eq!(terms::parse(&printed), Ok(read));
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_ascii_whitespace())
}

fn hosts_file(text: &str) {
    let (read, bad) = hosts::parse(text);
    let mut numbers: Vec<u32> = read.iter().map(|entry| entry.line).chain(bad).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!(numbers.iter().all(|line| (1..=lines(text)).contains(line)), "{numbers:?}");
    let names_of = |entries: Vec<HostsEntry>| -> Vec<_> {
        entries.into_iter().map(|entry| (entry.address, entry.names)).collect()
    };
    let read = names_of(read);
    assert!(read.iter().flat_map(|(_, names)| names).all(|name| is_word(name) && !name.contains('#')));
    let printed: String =
        read.iter().map(|(address, names)| format!("{address} {}\n", names.join(" "))).collect();
    let (again, bad) = hosts::parse(&printed);
    assert_eq!((names_of(again), bad), (read, Vec::new()));
}

fn inetrc(text: &str) {
    let read = match hosts::parse_inetrc(text) {
        Err(broken) => return within(&broken, text),
        Ok(read) => read,
    };
    let list = |texts: &[String]| Term::List(texts.iter().cloned().map(Term::Text).collect());
    let setting = |key: &str, values: Vec<Term>| {
        print(&Term::Tuple([vec![Term::Atom(key.into())], values].concat())) + ".\n"
    };
    let mut printed = setting("lookup", vec![list(&read.lookup)]);
    for entry in &read.hosts {
        printed += &setting("host", vec![Term::Text(entry.address.to_string()), list(&entry.names)]);
    }
    printed.extend(read.hosts_files.iter().map(|path| setting("hosts_file", vec![Term::Text(path.clone())])));
    // The lines are others.
    let without_lines = |mut read: Inetrc| {
        read.hosts.iter_mut().for_each(|entry| entry.line = 0);
        read
    };
    assert_eq!(hosts::parse_inetrc(&printed).map(without_lines), Ok(without_lines(read)));
}

fn resolver(text: &str) {
    let read = hosts::parse_resolver(text);
    assert!(read.nameservers.iter().chain(&read.search).all(|word| is_word(word)));
    let servers: String = read.nameservers.iter().map(|server| format!("nameserver {server}\n")).collect();
    assert_eq!(hosts::parse_resolver(&format!("{servers}search {}\n", read.search.join(" "))), read);
}

fn yml(text: &str) {
    let read = match ejabberd_yml::parse(text) {
        Err(broken) => return within(&broken, text),
        Ok(read) => read,
    };
    let EjabberdYml { hosts, listen, modules, net_ticktime, auth_methods, includes } = &read;
    let ports = listen.iter().flat_map(|entry| [&entry.port, &entry.module]);
    let told = [hosts, modules, auth_methods, includes].into_iter().flatten().chain(ports);
    assert!(told.map(String::len).sum::<usize>() <= 2 * text.len());
    let quoted = |text: &String| serde_json::to_string(text).unwrap();
    let list = |texts: &[String]| texts.iter().map(quoted).collect::<Vec<_>>().join(", ");
    let mut printed = format!(
        "hosts: [{}]\nauth_method: [{}]\ninclude_config_file: [{}]\nmodules:\n",
        list(hosts),
        list(auth_methods),
        list(includes)
    );
    printed.extend(modules.iter().map(|module| format!("  ? {}\n  : x\n", quoted(module))));
    printed += "listen:\n";
    for entry in listen {
        printed += &format!("  - port: {}\n    module: {}\n", quoted(&entry.port), quoted(&entry.module));
    }
    printed.extend(net_ticktime.map(|seconds| format!("net_ticktime: {seconds}\n")));
    assert_eq!(ejabberd_yml::parse(&printed), Ok(read), "{printed}");
}

fn proc_net(text: &str) {
    assert!(sockets::parse(text).len() <= lines(text) as usize);
    let (four, six) = (sockets::parse_ipv4(text), sockets::parse_ipv6(text));
    assert!(four.iter().all(std::net::IpAddr::is_ipv4) && six.iter().all(std::net::IpAddr::is_ipv6));
    assert!(four.is_sorted_by(|one, other| one < other) && six.is_sorted_by(|one, other| one < other));
}

fn passwd(text: &str) {
    let read = users::parse(text);
    let printed: String =
        read.iter().map(|user| format!("{}:x:{}:0::{}:/bin/sh\n", user.name, user.uid, user.home)).collect();
    assert_eq!(users::parse(&printed), read);
}

fn cookie_file(bytes: &[u8]) {
    let (facts, secret) = cookie::parse(bytes);
    assert_eq!(facts.fingerprint, secret.as_ref().map(cookie::Secret::fingerprint));
    assert!(facts.length <= bytes.len() as u64);
    assert!(facts.refused.is_none() || secret.is_none());
    if let Some(secret) = &secret {
        assert_eq!(cookie::parse(secret.expose().as_bytes()).1.as_ref(), Some(secret));
        assert_eq!(format!("{secret:?}"), "***");
    }
    // Another cookie of that shape is told in the same words, so that none of them is of the cookie.
    let other: Vec<u8> = bytes
        .iter()
        .map(|byte| if byte.is_ascii_graphic() { b'!' + (byte - b'!' + 47) % 94 } else { *byte })
        .collect();
    let shape = |facts: CookieFacts| CookieFacts {
        fingerprint: facts.fingerprint.map(|_| "12345678".into()),
        weak: facts.weak.filter(|why| !why.contains("tutorials")),
        ..facts
    };
    let tutorial = |facts: &CookieFacts| facts.weak.as_ref().is_some_and(|why| why.contains("tutorials"));
    let turned = cookie::parse(&other).0;
    assert!(facts.fingerprint.is_none() || other == bytes || facts.fingerprint != turned.fingerprint);
    if !tutorial(&facts) && !tutorial(&turned) {
        assert_eq!(shape(facts), shape(turned));
    }
}

fn schema_file(bytes: &[u8]) {
    match schema::parse(bytes) {
        Err(reason) => assert!(reason.starts_with("it ") && reason.len() < 100, "{reason}"),
        Ok(members) => {
            assert!(!members.is_empty() && members.is_sorted_by(|one, other| one < other));
            assert!(members.iter().map(|node| node.as_str().len()).sum::<usize>() <= 3 * bytes.len());
            // What was written over the file's head does not matter, nor the head.
            let mut headless = bytes.to_vec();
            headless[..4].fill(0xff);
            assert_eq!(schema::parse(&headless), Ok(members));
        }
    }
}

/// `ejabberdctl.cfg`, `vm.args`, `ejabberd.yml`, `inetrc`, hosts and cookie file, with a NUL between them. What is told of
/// them all never has the cookie, which is planted in three places.
fn whole_machine(bytes: &[u8]) {
    let mut parts = bytes.splitn(6, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let mut files = Vec::new();
    let mut file = |role: Role, bytes: &[u8]| {
        let text = text::parse(bytes);
        files.push(File {
            role,
            path: format!("/{role:?}"),
            state: State::Read,
            bom: text.bom,
            crlf: text.crlf,
            broken: None,
            unclear: Vec::new(),
        });
        text.text
    };
    let cfg = file(Role::Ctl, part());
    let vm_args = file(Role::VmArgs, part());
    let yml = file(Role::Yml, part());
    let inetrc = file(Role::Inetrc, part());
    let hosts = file(Role::Hosts, part());
    let cookie = [part(), SECRET.as_bytes()].concat();

    let script = shell::parse(&format!("{cfg}\nERL_OPTIONS=\"-setcookie {SECRET}\"\n"), &given());
    let vm_args = arguments::parse(&format!("{vm_args}\n-setcookie {SECRET}\n"));
    let (settings, argument_cookie) = settings::settings(&script, &vm_args, "hello.world");
    let yml = ejabberd_yml::parse(&yml);
    let inetrc = hosts::parse_inetrc(&inetrc);
    let (entries, _) = hosts::parse(&hosts);
    let (facts, file_cookie) = cookie::parse(&cookie);
    for file in &mut files {
        file.broken = match file.role {
            Role::Ctl => script.broken.clone(),
            Role::Yml => yml.as_ref().err().cloned(),
            Role::Inetrc => inetrc.as_ref().err().cloned(),
            Role::VmArgs | Role::Hosts | Role::Resolver => None,
        };
    }
    let unclear: Vec<Unclear> = script.unclear.clone();
    if let Some(file) = files.first_mut() {
        file.unclear = unclear;
    }
    let machine = Machine {
        format: FORMAT,
        hostname: "hello.world".into(),
        addresses: Vec::new(),
        user: "ejabberd".into(),
        uid: Some(1),
        files,
        yml: yml.ok(),
        cookies: vec![CookieFile {
            path: "/.erlang.cookie".into(),
            user: "ejabberd".into(),
            state: State::Read,
            mode: 0o400,
            owner: 1,
            owner_name: "ejabberd".into(),
            facts: Some(facts),
        }],
        cookie: argument_cookie.or(file_cookie).map(|secret| secret.fingerprint()),
        hosts: entries,
        inetrc: inetrc.unwrap_or_else(|_| Inetrc::default()),
        resolver: Resolver::default(),
        resolved: Vec::new(),
        listeners: Vec::new(),
        database: Database {
            directory: settings.spool.clone().unwrap_or_default(),
            state: State::Missing,
            owner: None,
            mode: 0,
            schema: State::Missing,
            others: Vec::new(),
            members: Vec::new(),
        },
        versions: Versions::default(),
        settings,
    };
    let words = explain::machine::facts(&machine) + &explain::errors::problems(&problems(&machine));
    assert!(words.chars().all(|c| c == '\n' || !c.is_control()), "{words:?}");
    let report = serde_json::to_string(&machine).unwrap();
    assert!(!words.contains(SECRET) && !report.contains(SECRET), "{words}\n{report}");
    assert_eq!(serde_json::from_str::<Machine>(&report).ok(), Some(machine));
}
