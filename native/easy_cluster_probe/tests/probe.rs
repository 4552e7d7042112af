//! The probe against real epmd and Erlang nodes, and against listeners that behave badly.

#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use easy_cluster::model::reach::{Reach, ReachFailure, Release, Step};
use easy_cluster_probe::{Cookie, Family, ProbeRequest, Target, fuzz, probe};
use tokio::net::TcpSocket;

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const COOKIE: &str = "right";
/// The node that asks. Nothing of it runs, unless a test says so.
const HERE: &str = "ejabberd@hello.world";
/// For what has to be there soon.
const SOON: Duration = Duration::from_secs(30);
/// For peers that answer at once.
const PLENTY: u64 = 20_000;
/// For peers that do not.
const SHORT: u64 = 700;

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// An epmd of its own, on a free port of 127.0.0.1.
struct Epmd {
    port: u16,
    _process: Process,
}

impl Epmd {
    fn start() -> Self {
        let until = Instant::now() + SOON;
        loop {
            let port = free_port();
            let mut child = Command::new("epmd")
                .args(["-port", &port.to_string(), "-address", "127.0.0.1"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("epmd is installed");
            // Another process may have taken the port meanwhile; then this epmd ends.
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect((LOOPBACK, port)).is_ok() {
                    return Self { port, _process: Process(child) };
                }
                assert!(Instant::now() < until, "epmd does not listen");
                thread::yield_now();
            }
        }
    }

    /// Registers `alive` at `port` for as long as the connection is kept.
    fn register(&self, alive: &str, port: u16) -> TcpStream {
        self.register_version(alive, port, 6)
    }

    fn register_version(&self, alive: &str, port: u16, version: u16) -> TcpStream {
        let (hidden, tcp_ipv4, version, none) = (72, 0, version.to_be_bytes(), [0, 0]);
        let length = u16::try_from(alive.len()).unwrap().to_be_bytes();
        let parts: [&[u8]; 8] = [
            b"x",
            &port.to_be_bytes(),
            &[hidden, tcp_ipv4],
            &version,
            &version,
            &length,
            alive.as_bytes(),
            &none,
        ];
        let message = parts.concat();
        let mut stream = TcpStream::connect((LOOPBACK, self.port)).unwrap();
        stream.write_all(&u16::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&message).unwrap();
        let mut tag_and_result = [0; 2];
        stream.read_exact(&mut tag_and_result).unwrap();
        assert!(matches!(tag_and_result, [b'v' | b'y', 0]), "{tag_and_result:?}");
        stream
    }
}

/// A real node.
struct Node {
    lines: Receiver<String>,
    _process: Process,
}

impl Node {
    /// Runs `program` in a node called `name`, which prints `ready` when it has.
    fn start(epmd: &Epmd, name: &str, program: &str) -> Self {
        Self::start_with(epmd, name, program, &["-kernel", "inet_dist_use_interface", "{127,0,0,1}"])
    }

    /// The same with other options of the distribution.
    fn start_with(epmd: &Epmd, name: &str, program: &str, options: &[&str]) -> Self {
        let mut child = Command::new("erl")
            .args(["-name", name, "-setcookie", COOKIE, "-noinput", "-start_epmd", "false"])
            .args(["-kernel", "logger_level", "none"])
            .args(options)
            .args(["-eval", &format!("{program}, io:format(\"ready~n\").")])
            .env("ERL_EPMD_PORT", epmd.port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("erl is installed");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let process = Process(child);
        let (send, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let node = Self { lines, _process: process };
        assert_eq!(node.line(), "ready");
        node
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(SOON).expect("the node says something")
    }
}

fn free_port() -> u16 {
    TcpListener::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap().port()
}

fn target(node: &str) -> Target {
    Target { node: node.into(), cookie: COOKIE.into() }
}

fn request(epmd_port: u16, timeout_ms: u64, targets: Vec<Target>) -> ProbeRequest {
    ProbeRequest {
        targets,
        timeout_ms,
        epmd_port,
        dist_port: None,
        hosts: Vec::new(),
        here: HERE.into(),
        connected: Vec::new(),
        family: None,
        tls: false,
    }
}

fn look(request: &ProbeRequest) -> Reach {
    let mut reaches = probe(request);
    assert_eq!(reaches.len(), 1);
    reaches.remove(0)
}

fn look_for(epmd: &Epmd, node: &str) -> Reach {
    look(&request(epmd.port, PLENTY, vec![target(node)]))
}

/// Accepts connections on `address` and lets `behave` have each of them, in a thread.
fn listen(address: impl Into<SocketAddr>, behave: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind(address.into()).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let behave = behave.clone();
            thread::spawn(move || behave(stream));
        }
    });
    port
}

/// Says nothing until the other side closes.
fn silent(mut stream: TcpStream) {
    let mut heard = Vec::new();
    let _closed = stream.read_to_end(&mut heard);
}

/// Says `bytes` again and again, one at a time, until the other side closes.
fn dribble(mut stream: TcpStream, bytes: &[u8]) {
    for byte in bytes.iter().cycle() {
        if stream.write_all(&[*byte]).is_err() {
            break;
        }
        // The subject of the test, not a wait for something.
        thread::sleep(Duration::from_millis(50));
    }
}

/// The failure of a probe with a [`SHORT`] time-out, and that it cost this and not more.
fn costs_one_time_out(request: &ProbeRequest) -> ReachFailure {
    let start = Instant::now();
    let reach = look(request);
    let (took, time_out) = (start.elapsed(), Duration::from_millis(SHORT));
    assert!(took >= time_out && took < time_out.mul_f64(1.3), "{took:?}");
    reach.failure.expect("a failure")
}

fn without_epmd(dist_port: u16, timeout_ms: u64) -> ProbeRequest {
    ProbeRequest { dist_port: Some(dist_port), ..request(1, timeout_ms, vec![target("x@127.0.0.1")]) }
}

fn step_of(failure: ReachFailure) -> (String, String) {
    let ReachFailure::HandshakeFailed { step, reason } = failure else {
        panic!("{failure:?}");
    };
    (step, reason)
}

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A listener whose queue is full: connections to it come to nothing, as behind a firewall that drops packets.
struct BlackHole {
    port: u16,
    _held: (tokio::runtime::Runtime, tokio::net::TcpListener, Vec<tokio::net::TcpStream>),
}

impl BlackHole {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (listener, fill) = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((LOOPBACK, 0).into()).unwrap();
            let listener = socket.listen(0).unwrap();
            let address = listener.local_addr().unwrap();
            let mut fill = Vec::new();
            // The one that is too much does not come about; how many fit is the kernel's affair.
            let limit = Duration::from_millis(100);
            while let Ok(stream) = tokio::time::timeout(limit, tokio::net::TcpStream::connect(address)).await
            {
                fill.push(stream.unwrap());
            }
            (listener, fill)
        });
        Self { port: listener.local_addr().unwrap().port(), _held: (runtime, listener, fill) }
    }
}

/// A certificate and options with which a node uses TLS for its distribution.
struct Tls(std::path::PathBuf);

impl Tls {
    fn make(name: &str) -> Self {
        let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "1"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(&folder)
            .output()
            .expect("openssl is installed");
        assert!(made.status.success(), "{made:?}");
        let file = |name| folder.join(name).display().to_string();
        let options = format!(
            "[{{server, [{{certfile, {:?}}}, {{keyfile, {:?}}}]}}].",
            file("cert.pem"),
            file("key.pem")
        );
        std::fs::write(folder.join("tls.conf"), options).unwrap();
        Self(folder)
    }

    fn start(&self, epmd: &Epmd, name: &str) -> Node {
        let options = self.0.join("tls.conf").display().to_string();
        Node::start_with(epmd, name, "ok", &["-proto_dist", "inet_tls", "-ssl_dist_optfile", &options])
    }
}

fn names_of(reach: &Reach) -> Vec<&str> {
    reach.registered.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn a_node_that_lets_us_in_sees_a_hidden_node_come_and_go() {
    let epmd = Epmd::start();
    let watch = "Eval = self(),
        spawn(fun() ->
            ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
            Eval ! watching,
            [receive {What, Name, [{node_type, Type}]} -> io:format(\"~s ~s ~s~n\", [What, Name, Type]) end
             || _ <- [up, down]],
            io:format(\"~w~n\", [{nodes(), nodes(hidden), nodes(connected)}]),
            receive {What, _, _} -> io:format(\"~s again~n\", [What]) after 500 -> io:format(\"quiet~n\") end
        end),
        receive watching -> ok end";
    let node = Node::start(&epmd, "x@127.0.0.1", watch);
    let reach = look_for(&epmd, "x@127.0.0.1");
    assert_eq!(reach.failure, None);
    assert_eq!(reach.addresses, [IpAddr::from(LOOPBACK)]);
    assert_eq!(names_of(&reach), ["x"]);
    assert_eq!(reach.steps, [Step::Status, Step::Challenge, Step::Cookie, Step::Name]);
    assert!(matches!(reach.release, Some(Release { from: 25.., .. })), "{:?}", reach.release);
    assert!(reach.port.is_some() && reach.microseconds > 0 && reach.round_trip.is_some(), "{reach:?}");
    for what in ["nodeup", "nodedown"] {
        let line = node.line();
        assert!(line.starts_with(&format!("{what} easy_cluster_probe_")), "{line}");
        assert!(line.ends_with("@hello.world hidden"), "{line}");
    }
    assert_eq!(node.line(), "{[],[],[]}");
    // This node's own name was said, too, and no connection came of it.
    assert_eq!(node.line(), "quiet");
}

#[test]
fn a_thousand_probes_leave_no_more_atoms_than_they_have_names() {
    let epmd = Epmd::start();
    let count = "Atoms = fun() -> erlang:system_info(atom_count) end,
        spawn(fun() ->
            ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
            Seen = fun Seen(0) -> ok;
                       Seen(N) -> receive {nodedown, _, _} -> Seen(N - 1) end end,
            [begin Before = Atoms(), Seen(1250), io:format(\"~w~n\", [Atoms() - Before]) end || _ <- [first, second]]
        end)";
    let node = Node::start(&epmd, "x@127.0.0.1", count);
    let atoms: Vec<u32> = (0..2)
        .map(|_| {
            let reaches: Vec<Reach> = (0..25)
                .flat_map(|_| probe(&request(epmd.port, PLENTY, vec![target("x@127.0.0.1"); 50])))
                .collect();
            assert_eq!(reaches.iter().find(|reach| reach.failure.is_some()), None);
            node.line().parse().unwrap()
        })
        .collect();
    assert!(atoms[0] >= 1_000 && atoms[1] < 100, "{atoms:?}");
}

#[test]
fn one_report_tells_the_layers_apart() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@127.0.0.1", "ok");
    let closed = free_port();
    let _registered = epmd.register("closed", closed);
    let wrong = Target { cookie: "wrong".into(), ..target("x@127.0.0.1") };
    let names = ["x@127.0.0.1", "x@other.host", "nobody@127.0.0.1", "closed@127.0.0.1", "x@unknown.invalid"];
    let mut targets: Vec<Target> = names.iter().map(|name| target(name)).collect();
    targets.push(wrong);
    let hosts = vec![("other.host".to_owned(), IpAddr::from(LOOPBACK))];
    let reaches = probe(&ProbeRequest { hosts, ..request(epmd.port, PLENTY, targets) });

    let failures: Vec<_> = reaches.iter().map(|reach| reach.failure.as_ref()).collect();
    let [
        None,
        Some(ReachFailure::OtherName { name }),
        Some(ReachFailure::NotRegistered { address, alive }),
        Some(ReachFailure::StaleEntry { address: tried, alive: stale, port }),
        Some(ReachFailure::UnknownHost { host, .. }),
        Some(ReachFailure::WrongCookie),
    ] = failures[..]
    else {
        panic!("{failures:?}");
    };
    assert_eq!(name, "x@127.0.0.1");
    assert_eq!((address, alive.as_str()), (&at(epmd.port), "nobody"));
    assert_eq!((tried, stale.as_str(), *port), (&at(epmd.port), "closed", closed));
    assert_eq!(host, "unknown.invalid");
    assert!(reaches[4].addresses.is_empty());
    let mut registered = names_of(&reaches[2]);
    registered.sort_unstable();
    assert_eq!(registered, ["closed", "x"]);
}

#[test]
fn a_node_that_listens_on_another_address_of_this_machine_is_no_stale_entry() {
    let epmd = Epmd::start();
    let port = listen((Ipv4Addr::new(127, 0, 0, 3), 0), silent);
    let _registered = epmd.register("elsewhere", port);
    let failure = look_for(&epmd, "elsewhere@127.0.0.1").failure;
    let reason = "the connection was refused".into();
    assert_eq!(failure, Some(ReachFailure::DistributionPortClosed { address: at(port), reason }));
}

#[test]
fn a_cookie_may_have_characters_of_latin_1() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@127.0.0.1", "erlang:set_cookie(list_to_atom([16#f6, 16#e9]))");
    let cookie = Cookie::from("\u{f6}\u{e9}");
    let accented = Target { cookie, ..target("x@127.0.0.1") };
    assert_eq!(look(&request(epmd.port, PLENTY, vec![accented])).failure, None);
}

#[test]
fn a_node_that_allows_others_only_refuses_our_name() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@127.0.0.1", "net_kernel:allow(['y@127.0.0.1'])");
    let failure = look_for(&epmd, "x@127.0.0.1").failure;
    assert_eq!(failure, Some(ReachFailure::NameRefused { status: "not_allowed".into() }));
}

#[test]
fn a_node_that_allows_this_one_is_reached_though_it_refuses_the_probe() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@127.0.0.1", &format!("net_kernel:allow(['{HERE}'])"));
    let reach = look_for(&epmd, "x@127.0.0.1");
    assert_eq!(reach.failure, None);
    assert_eq!(reach.steps, [Step::Status, Step::Challenge, Step::Name]);
}

#[test]
fn a_node_that_has_another_of_our_name_is_told_and_keeps_it() {
    let epmd = Epmd::start();
    let node = Node::start(
        &epmd,
        "x@127.0.0.1",
        "spawn(fun() ->
            ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
            Tell = fun Tell() -> receive {What, Name, _} -> io:format(\"~s ~s~n\", [What, Name]), Tell() end end,
            Tell()
        end)",
    );
    let connect = "true = net_kernel:connect_node('x@127.0.0.1')";
    let other = Node::start(&epmd, HERE, connect);
    assert_eq!(node.line(), format!("nodeup {HERE}"));
    let failure = look_for(&epmd, "x@127.0.0.1").failure;
    assert_eq!(failure, Some(ReachFailure::DuplicateName { status: "alive".into() }));
    // It is this very node for those that it is connected with.
    let connected = ProbeRequest {
        connected: vec!["x@127.0.0.1".into()],
        ..request(epmd.port, PLENTY, vec![target("x@127.0.0.1")])
    };
    assert_eq!(look(&connected).failure, None);
    for what in ["nodeup", "nodedown", "nodeup", "nodedown"] {
        let line = node.line();
        assert!(line.starts_with(&format!("{what} easy_cluster_probe_")), "{line}");
    }
    drop(other);
    assert_eq!(node.line(), format!("nodedown {HERE}"));
}

#[test]
fn a_node_that_speaks_an_old_version_is_incompatible() {
    let epmd = Epmd::start();
    let _registered = epmd.register_version("old", listen((LOOPBACK, 0), silent), 5);
    let missing = "version 6 of the handshake".into();
    assert_eq!(look_for(&epmd, "old@127.0.0.1").failure, Some(ReachFailure::Incompatible { missing }));
}

#[test]
fn a_node_that_lacks_flags_is_incompatible() {
    let port = listen((LOOPBACK, 0), |mut stream| {
        let _name = stream.read(&mut [0; 1024]);
        let flags = 0x0100_0000_u64.to_be_bytes();
        let challenge = [&b"N"[..], &flags, &[0; 8], &[0, 11], b"x@127.0.0.1"].concat();
        let length = u16::try_from(challenge.len()).unwrap().to_be_bytes();
        stream.write_all(&[b"\0\x03sok", &length[..], &challenge].concat()).unwrap();
        silent(stream);
    });
    let failure = look(&without_epmd(port, PLENTY)).failure;
    let Some(ReachFailure::Incompatible { missing }) = failure else { panic!("{failure:?}") };
    assert!(missing.contains("MAP_TAG") && !missing.contains("HANDSHAKE_23"), "{missing}");
}

#[test]
fn nodes_with_tls_and_without_it_are_told_apart() {
    let epmd = Epmd::start();
    let tls = Tls::make("tls_told_apart");
    let _with = tls.start(&epmd, "with@127.0.0.1");
    let _without = Node::start(&epmd, "without@127.0.0.1", "ok");
    let both = || vec![target("with@127.0.0.1"), target("without@127.0.0.1")];

    let plain = probe(&request(epmd.port, PLENTY, both()));
    let address = at(plain[0].port.unwrap());
    assert_eq!(plain[0].failure, Some(ReachFailure::TlsRequired { address }));
    assert_eq!(plain[1].failure, None);

    let encrypted = probe(&ProbeRequest { tls: true, ..request(epmd.port, PLENTY, both()) });
    assert_eq!((&encrypted[0].failure, encrypted[0].tls), (&None, true));
    let address = at(encrypted[1].port.unwrap());
    assert_eq!(encrypted[1].failure, Some(ReachFailure::TlsMissing { address }));
}

#[test]
fn a_port_that_answers_a_hello_of_tls_only_wants_tls() {
    for hangs_up in [false, true] {
        let port = listen((LOOPBACK, 0), move |mut stream| {
            let mut first = [0; 3];
            stream.read_exact(&mut first).unwrap();
            if first == [22, 3, 1] {
                stream.write_all(&[22, 3, 3, 0, 0]).unwrap();
            } else if hangs_up {
                return;
            }
            silent(stream);
        });
        let failure = look(&without_epmd(port, 4 * SHORT)).failure;
        assert_eq!(failure, Some(ReachFailure::TlsRequired { address: at(port) }), "{hangs_up}");
    }
}

#[test]
fn nodes_without_epmd_are_found_at_the_port_that_all_of_them_have() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@127.0.0.1", "ok");
    let port = look_for(&epmd, "x@127.0.0.1").port.unwrap();
    let reach = look(&without_epmd(port, PLENTY));
    assert_eq!((reach.failure, reach.port, reach.epmd_port), (None, Some(port), None));
    assert_eq!(reach.registered, []);
    let closed = free_port();
    let failure = look(&without_epmd(closed, PLENTY)).failure;
    let reason = "the connection was refused".into();
    assert_eq!(failure, Some(ReachFailure::DistributionPortClosed { address: at(closed), reason }));
}

#[test]
fn a_node_of_ipv6_is_reached() {
    let epmd = Epmd::start();
    let options = ["-proto_dist", "inet6_tcp", "-kernel", "inet_dist_use_interface", "{0,0,0,0,0,0,0,1}"];
    let node = Node::start_with(&epmd, "x@six.host", "ok", &options);
    let port = look_for(&epmd, "x@127.0.0.1").port.unwrap();
    let addresses = [IpAddr::from(LOOPBACK), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let six = |family| ProbeRequest {
        hosts: addresses.map(|address| ("six.host".to_owned(), address)).to_vec(),
        dist_port: Some(port),
        family: Some(family),
        ..request(1, PLENTY, vec![target("x@six.host")])
    };
    let reach = look(&six(Family::Inet6));
    assert_eq!((reach.failure, reach.address), (None, Some(Ipv6Addr::LOCALHOST.into())));
    let failure = look(&six(Family::Inet)).failure;
    let reason = "the connection was refused".into();
    assert_eq!(failure, Some(ReachFailure::DistributionPortClosed { address: at(port), reason }));
    drop(node);
}

#[test]
fn a_host_of_ipv6_only_is_unknown_to_a_node_of_ipv4() {
    let hosts = vec![("six.host".to_owned(), IpAddr::from(Ipv6Addr::LOCALHOST))];
    let four = ProbeRequest {
        hosts,
        family: Some(Family::Inet),
        ..request(free_port(), PLENTY, vec![target("x@six.host")])
    };
    let failure = look(&four).failure;
    assert!(matches!(failure, Some(ReachFailure::UnknownHost { .. })), "{failure:?}");
}

#[test]
fn nothing_on_the_port_of_epmd_is_epmd_unreachable() {
    let port = free_port();
    let failure = look(&request(port, PLENTY, vec![target("x@127.0.0.1")])).failure;
    let reason = "the connection was refused".into();
    assert_eq!(failure, Some(ReachFailure::EpmdUnreachable { address: at(port), reason }));
}

#[test]
fn addresses_of_ipv6_are_tried() {
    let port = free_port();
    let hosts = vec![("six.host".to_owned(), IpAddr::from(Ipv6Addr::LOCALHOST))];
    let failure = look(&ProbeRequest { hosts, ..request(port, PLENTY, vec![target("x@six.host")]) }).failure;
    let Some(ReachFailure::EpmdUnreachable { address, .. }) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(address, format!("[::1]:{port}"));
}

#[test]
fn what_answers_in_place_of_epmd_is_not_taken_for_it() {
    for (said, heard) in [
        (&b"SSH-2.0-OpenSSH\r\n"[..], r#""SS""#),
        (b"w", "it closed the connection after 1 bytes: \"w\""),
        (b"", "it closed the connection"),
    ] {
        let port = listen((LOOPBACK, 0), move |mut stream| {
            let mut question = [0; 4];
            let _asked = stream.read_exact(&mut question);
            let _closed = stream.write_all(said);
        });
        let failure = look(&request(port, PLENTY, vec![target("x@127.0.0.1")])).failure;
        assert_eq!(failure, Some(ReachFailure::NotEpmd { address: at(port), heard: heard.into() }));
    }
}

#[test]
fn a_silent_epmd_costs_one_time_out() {
    let port = listen((LOOPBACK, 0), silent);
    let failure = costs_one_time_out(&request(port, SHORT, vec![target("x@127.0.0.1")]));
    let reason = "it takes connections and says nothing".into();
    assert_eq!(failure, ReachFailure::EpmdSilent { address: at(port), reason });
}

#[test]
fn packets_to_epmd_that_are_lost_cost_one_time_out() {
    let hole = BlackHole::open();
    let failure = costs_one_time_out(&request(hole.port, SHORT, vec![target("x@127.0.0.1")]));
    let reason = "no connection comes about".into();
    assert_eq!(failure, ReachFailure::EpmdSilent { address: at(hole.port), reason });
}

#[test]
fn packets_to_the_distribution_port_that_are_lost_cost_one_time_out() {
    let (epmd, hole) = (Epmd::start(), BlackHole::open());
    let _registered = epmd.register("x", hole.port);
    let failure = costs_one_time_out(&request(epmd.port, SHORT, vec![target("x@127.0.0.1")]));
    assert_eq!(failure, ReachFailure::DistributionPortSilent { address: at(hole.port) });
}

#[test]
fn a_silent_node_costs_one_time_out() {
    let port = listen((LOOPBACK, 0), silent);
    let failure = costs_one_time_out(&without_epmd(port, SHORT));
    assert_eq!(failure, ReachFailure::PeerSilent { address: at(port) });
}

#[test]
fn a_node_that_dribbles_costs_one_time_out() {
    let port = listen((LOOPBACK, 0), |stream| dribble(stream, &[2, 0, b's']));
    let (step, reason) = step_of(costs_one_time_out(&without_epmd(port, SHORT)));
    assert_eq!(step, "status");
    assert!(reason.starts_with("no answer in time after "), "{reason}");
}

#[test]
fn an_epmd_that_dribbles_names_costs_the_handshake_nothing() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@127.0.0.1", "ok");
    let [high, low] = look_for(&epmd, "x@127.0.0.1").port.unwrap().to_be_bytes();
    let dribbling = listen((LOOPBACK, 0), move |mut stream| {
        let mut question = [0; 3];
        stream.read_exact(&mut question).unwrap();
        match question[2] {
            b'z' => stream.write_all(&[b'w', 0, high, low, 77, 0, 0, 6, 0, 5]).unwrap(),
            _names => dribble(stream, b"name y at port 1\n"),
        }
    });
    let reach = look(&request(dribbling, 4 * SHORT, vec![target("x@127.0.0.1")]));
    assert_eq!(reach.failure, None);
}

#[test]
fn garbage_is_not_a_node_at_once() {
    let floods = [&b"\xff\xff\xff\xff\xff\xff"[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\0"];
    for flood in floods {
        let port = listen((LOOPBACK, 0), move |mut stream| while stream.write_all(flood).is_ok() {});
        let start = Instant::now();
        let failure = look(&without_epmd(port, PLENTY)).failure;
        let Some(ReachFailure::NotANode { address, .. }) = failure else {
            panic!("{failure:?} to {flood:?}")
        };
        assert_eq!(address, at(port));
        assert!(start.elapsed() < Duration::from_millis(PLENTY / 4), "{:?}", start.elapsed());
    }
}

#[test]
fn a_peer_that_hangs_up_is_a_failed_handshake() {
    let port = listen((LOOPBACK, 0), |mut stream| {
        // Closing with unread bytes would be a reset.
        let _name = stream.read(&mut [0; 1024]);
    });
    let failure = look(&without_epmd(port, PLENTY)).failure.unwrap();
    assert_eq!(step_of(failure), ("status".into(), "it closed the connection".into()));
}

#[test]
fn many_silent_nodes_cost_one_time_out_and_the_others_nothing() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@127.0.0.1", "ok");
    let port = listen((LOOPBACK, 0), silent);
    let _registered: Vec<_> = (0..20).map(|n| epmd.register(&format!("silent{n}"), port)).collect();
    let mut targets: Vec<Target> = (0..20).map(|n| target(&format!("silent{n}@127.0.0.1"))).collect();
    targets.push(target("x@127.0.0.1"));
    let start = Instant::now();
    let reaches = probe(&request(epmd.port, SHORT, targets));
    assert!(start.elapsed() < Duration::from_millis(SHORT).mul_f64(1.3), "{:?}", start.elapsed());
    let (found, lost): (Vec<_>, Vec<_>) = reaches.iter().partition(|reach| reach.failure.is_none());
    assert_eq!(lost.len(), 20);
    assert_eq!(found.iter().map(|reach| reach.node.as_str()).collect::<Vec<_>>(), ["x@127.0.0.1"]);
}

#[test]
fn a_node_behind_another_address_than_the_first_is_out_of_erlangs_reach() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@two.addresses", "ok");
    let second = Ipv4Addr::new(127, 0, 0, 2);
    for (epmd_there, reason) in [(false, "no epmd answers there"), (true, "nothing answers there")] {
        if epmd_there {
            listen((second, epmd.port), silent);
        }
        let hosts = [second, LOOPBACK, second]
            .map(|address| ("Two.Addresses".to_owned(), IpAddr::from(address)))
            .to_vec();
        let two = ProbeRequest { hosts, ..request(epmd.port, PLENTY, vec![target("x@two.addresses")]) };
        let start = Instant::now();
        let reach = look(&two);
        let failure = ReachFailure::FirstAddress {
            host: "two.addresses".into(),
            first: second.into(),
            reason: reason.into(),
            other: LOOPBACK.into(),
        };
        assert_eq!(reach.failure, Some(failure));
        assert_eq!(reach.addresses, [IpAddr::from(second), IpAddr::from(LOOPBACK)]);
        assert!(start.elapsed() < Duration::from_millis(PLENTY / 4), "{:?}", start.elapsed());
    }
}

#[test]
fn a_silent_address_after_the_first_hurts_nobody() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@two.addresses", "ok");
    let second = Ipv4Addr::new(127, 0, 0, 2);
    listen((second, epmd.port), silent);
    let hosts =
        [LOOPBACK, second].map(|address| ("two.addresses".to_owned(), IpAddr::from(address))).to_vec();
    let two = ProbeRequest { hosts, ..request(epmd.port, PLENTY, vec![target("x@two.addresses")]) };
    let start = Instant::now();
    assert_eq!(look(&two).failure, None);
    assert!(start.elapsed() < Duration::from_millis(PLENTY / 4), "{:?}", start.elapsed());
}

#[test]
fn of_two_broken_addresses_the_one_that_got_further_is_reported() {
    let epmd = Epmd::start();
    let second = Ipv4Addr::new(127, 0, 0, 2);
    let hosts =
        [second, LOOPBACK].map(|address| ("two.addresses".to_owned(), IpAddr::from(address))).to_vec();
    let two = ProbeRequest { hosts, ..request(epmd.port, PLENTY, vec![target("x@two.addresses")]) };
    let (address, alive) = (at(epmd.port), "x".into());
    assert_eq!(look(&two).failure, Some(ReachFailure::NotRegistered { address, alive }));
}

#[test]
fn what_the_fuzzer_has_found_is_still_answered() {
    let corpus = |target: &str| {
        let folder = format!("{}/../../tests/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let files =
            std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        files.collect::<Vec<_>>()
    };
    let failures: Vec<_> =
        corpus("handshake").iter().map(|bytes| fuzz::shake(bytes).unwrap().failure.unwrap()).collect();
    assert!(failures.contains(&ReachFailure::WrongCookie) && failures.len() > 50, "{}", failures.len());
    let ports: Vec<_> =
        corpus("epmd").iter().filter_map(|bytes| fuzz::epmd_port(bytes).unwrap().ok()).collect();
    assert!(ports.contains(&None) && ports.iter().any(Option::is_some));
    assert!(corpus("epmd").iter().any(|bytes| !fuzz::epmd_names(bytes).unwrap().is_empty()));
}
