//! The probe against real epmd and Erlang nodes, and against listeners that behave badly.

#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use easy_cluster::model::reach::{Reach, ReachFailure};
use easy_cluster::probe::{Cookie, ProbeRequest, Target, probe};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const COOKIE: &str = "right";
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
        let (hidden, tcp_ipv4, version, none) = (72, 0, 6_u16.to_be_bytes(), [0, 0]);
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
        assert_eq!(tag_and_result, [b'v', 0]);
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
        let mut child = Command::new("erl")
            .args(["-name", name, "-setcookie", COOKIE, "-noinput", "-start_epmd", "false"])
            .args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-kernel", "logger_level", "none"])
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
        here: "ejabberd@hello.world".into(),
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

#[test]
fn a_node_that_lets_us_in_sees_a_hidden_node_come_and_go() {
    let epmd = Epmd::start();
    let watch = "Eval = self(),
        spawn(fun() ->
            ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
            Eval ! watching,
            [receive {What, Name, [{node_type, Type}]} -> io:format(\"~s ~s ~s~n\", [What, Name, Type]) end
             || _ <- [up, down]]
        end),
        receive watching -> ok end";
    let node = Node::start(&epmd, "x@127.0.0.1", watch);
    let reach = look_for(&epmd, "x@127.0.0.1");
    assert_eq!(reach.failure, None);
    assert_eq!(reach.addresses, [IpAddr::from(LOOPBACK)]);
    assert_eq!(reach.registered, ["x"]);
    assert!(reach.port.is_some() && reach.microseconds > 0, "{reach:?}");
    for what in ["nodeup", "nodedown"] {
        let line = node.line();
        assert!(line.starts_with(&format!("{what} easy_cluster_probe_")), "{line}");
        assert!(line.ends_with("@hello.world hidden"), "{line}");
    }
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
    let epmd_address = format!("127.0.0.1:{}", epmd.port);
    let closed_address = format!("127.0.0.1:{closed}");
    let [
        None,
        Some(ReachFailure::OtherName { name }),
        Some(ReachFailure::NotRegistered { address, alive }),
        Some(ReachFailure::DistributionPortClosed { address: tried, reason }),
        Some(ReachFailure::UnknownHost { host, .. }),
        Some(ReachFailure::WrongCookie),
    ] = failures[..]
    else {
        panic!("{failures:?}");
    };
    assert_eq!(name, "x@127.0.0.1");
    assert_eq!((address, alive.as_str()), (&epmd_address, "nobody"));
    assert_eq!(tried, &closed_address);
    assert!(reason.contains("refused"), "{reason}");
    assert_eq!(host, "unknown.invalid");
    assert!(reaches[4].addresses.is_empty());
    let mut registered = reaches[2].registered.clone();
    registered.sort();
    assert_eq!(registered, ["closed", "x"]);
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
fn nodes_without_epmd_are_found_at_the_port_that_all_of_them_have() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@127.0.0.1", "ok");
    let port = look_for(&epmd, "x@127.0.0.1").port.unwrap();
    let reach = look(&without_epmd(port, PLENTY));
    assert_eq!((reach.failure, reach.port), (None, Some(port)));
    assert_eq!(reach.registered, Vec::<String>::new());
}

#[test]
fn nothing_on_the_port_of_epmd_is_epmd_unreachable() {
    let port = free_port();
    let Some(ReachFailure::EpmdUnreachable { address, reason }) =
        look(&request(port, PLENTY, vec![target("x@127.0.0.1")])).failure
    else {
        panic!("it was reached");
    };
    assert_eq!(address, format!("127.0.0.1:{port}"));
    assert!(reason.contains("refused"), "{reason}");
}

#[test]
fn addresses_of_ipv6_are_tried() {
    let port = free_port();
    let hosts = vec![("six".to_owned(), IpAddr::from(Ipv6Addr::LOCALHOST))];
    let failure = look(&ProbeRequest { hosts, ..request(port, PLENTY, vec![target("x@six")]) }).failure;
    let Some(ReachFailure::EpmdUnreachable { address, .. }) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(address, format!("[::1]:{port}"));
}

#[test]
fn what_answers_in_place_of_epmd_is_not_taken_for_it() {
    let port = listen((LOOPBACK, 0), |mut stream| {
        let _closed = stream.write_all(b"SSH-2.0-OpenSSH\r\n");
        silent(stream);
    });
    let failure = look(&request(port, PLENTY, vec![target("x@127.0.0.1")])).failure;
    let address = format!("127.0.0.1:{port}");
    let reason = "what answers there is not epmd".into();
    assert_eq!(failure, Some(ReachFailure::EpmdUnreachable { address, reason }));
}

#[test]
fn a_silent_epmd_costs_one_time_out() {
    let port = listen((LOOPBACK, 0), silent);
    let failure = costs_one_time_out(&request(port, SHORT, vec![target("x@127.0.0.1")]));
    let (address, reason) = (format!("127.0.0.1:{port}"), "timeout".into());
    assert_eq!(failure, ReachFailure::EpmdUnreachable { address, reason });
}

#[test]
fn a_silent_node_costs_one_time_out() {
    let port = listen((LOOPBACK, 0), silent);
    let failure = costs_one_time_out(&without_epmd(port, SHORT));
    assert_eq!(step_of(failure), ("status".into(), "timeout".into()));
}

#[test]
fn a_node_that_dribbles_costs_one_time_out() {
    let port = listen((LOOPBACK, 0), |stream| dribble(stream, &[2, 0, b's']));
    let failure = costs_one_time_out(&without_epmd(port, SHORT));
    assert_eq!(step_of(failure), ("status".into(), "timeout".into()));
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
            b'z' => stream.write_all(&[b'w', 0, high, low]).unwrap(),
            _names => dribble(stream, b"name y at port 1\n"),
        }
    });
    let reach = look(&request(dribbling, 4 * SHORT, vec![target("x@127.0.0.1")]));
    assert_eq!(reach.failure, None);
}

#[test]
fn garbage_is_a_failed_handshake_at_once() {
    let floods = [&b"\xff\xff\xff\xff\xff\xff"[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\0"];
    for flood in floods {
        let port = listen((LOOPBACK, 0), move |mut stream| while stream.write_all(flood).is_ok() {});
        let start = Instant::now();
        let failure = look(&without_epmd(port, PLENTY)).failure.unwrap();
        assert_eq!(step_of(failure).0, "status", "{flood:?}");
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
fn a_silent_address_does_not_hide_another_that_answers() {
    let epmd = Epmd::start();
    let _node = Node::start(&epmd, "x@two.addresses", "ok");
    let second = Ipv4Addr::new(127, 0, 0, 2);
    listen((second, epmd.port), silent);
    let hosts = [second, LOOPBACK, second]
        .map(|address| ("Two.Addresses".to_owned(), IpAddr::from(address)))
        .to_vec();
    let two = ProbeRequest { hosts, ..request(epmd.port, PLENTY, vec![target("x@two.addresses")]) };
    let start = Instant::now();
    let reach = look(&two);
    assert_eq!(reach.failure, None);
    assert_eq!(reach.addresses, [IpAddr::from(second), IpAddr::from(LOOPBACK)]);
    assert!(start.elapsed() < Duration::from_millis(PLENTY / 4), "{:?}", start.elapsed());
}

#[test]
fn of_two_broken_addresses_the_one_that_got_further_is_reported() {
    let epmd = Epmd::start();
    let second = Ipv4Addr::new(127, 0, 0, 2);
    let hosts =
        [second, LOOPBACK].map(|address| ("two.addresses".to_owned(), IpAddr::from(address))).to_vec();
    let two = ProbeRequest { hosts, ..request(epmd.port, PLENTY, vec![target("x@two.addresses")]) };
    let (address, alive) = (format!("127.0.0.1:{}", epmd.port), "x".into());
    assert_eq!(look(&two).failure, Some(ReachFailure::NotRegistered { address, alive }));
}
