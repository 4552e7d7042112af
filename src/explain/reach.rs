//! What a probe found, layer by layer, up to the first one that is broken.

use core::net::SocketAddr;
use std::fmt::Write as _;

use crate::model::reach::{Reach, ReachFailure, Release, Step};
use crate::validate::node_name::{self, Mode, mode};
use crate::validate::problem::Problem;
use crate::validate::reach::{problems, registered};

/// How far a probe came.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Names,
    Resolver,
    Epmd,
    Distribution,
    Handshake,
    All,
}

/// One line for each layer that holds. What breaks the next one is for [`problems`] to say.
#[must_use]
pub fn layers(reach: &Reach) -> String {
    let broken = broken(reach);
    let mut text = String::new();
    let mut line = |layer: Layer, name: &str, words: &dyn Fn() -> String| {
        if layer < broken {
            let _ = writeln!(text, "  {name:<12}  {}", words());
        }
    };
    line(Layer::Names, "names", &|| names(reach));
    line(Layer::Resolver, "resolver", &|| resolver(reach));
    line(Layer::Epmd, "epmd", &|| epmd(reach));
    line(Layer::Distribution, "distribution", &|| distribution(reach));
    line(Layer::Handshake, "handshake", &|| handshake(reach));
    text
}

fn broken(reach: &Reach) -> Layer {
    if node_name::parse(reach.node.as_str(), &reach.here).is_err() {
        return Layer::Names;
    }
    if matches!(problems(reach).first(), Some(Problem::LoopbackTrap { .. })) {
        return Layer::Resolver;
    }
    match reach.failure {
        None => Layer::All,
        Some(ReachFailure::UnknownHost { .. } | ReachFailure::FirstAddress { .. }) => Layer::Resolver,
        Some(
            ReachFailure::EpmdUnreachable { .. }
            | ReachFailure::EpmdSilent { .. }
            | ReachFailure::NotEpmd { .. }
            | ReachFailure::NotRegistered { .. }
            | ReachFailure::StaleEntry { .. },
        ) => Layer::Epmd,
        Some(ReachFailure::DistributionPortClosed { .. } | ReachFailure::DistributionPortSilent { .. }) => {
            Layer::Distribution
        }
        Some(
            ReachFailure::PeerSilent { .. }
            | ReachFailure::NotANode { .. }
            | ReachFailure::TlsRequired { .. }
            | ReachFailure::TlsMissing { .. }
            | ReachFailure::NameRefused { .. }
            | ReachFailure::DuplicateName { .. }
            | ReachFailure::OtherName { .. }
            | ReachFailure::Incompatible { .. }
            | ReachFailure::WrongCookie
            | ReachFailure::HandshakeFailed { .. },
        ) => Layer::Handshake,
    }
}

fn names(reach: &Reach) -> String {
    let mode = match mode(&reach.here) {
        Some(Mode::Long) => "long, like this node",
        Some(Mode::Short) => "short, like this node",
        None => "this node has no name",
    };
    format!("{}: {mode}", reach.node)
}

fn resolver(reach: &Reach) -> String {
    let addresses: Vec<String> = reach.addresses.iter().map(ToString::to_string).collect();
    format!("{} is {}", reach.node.host(), addresses.join(", "))
}

fn epmd(reach: &Reach) -> String {
    let Some(port) = reach.epmd_port else {
        return "not asked, as nodes have a fixed port here".into();
    };
    let node = reach.port.map_or_else(String::new, |port| format!(" (port {port})"));
    let others: Vec<_> = reach.registered.iter().filter(|e| e.name != reach.node.alive()).cloned().collect();
    let others = if others.is_empty() { String::new() } else { format!(", {}", registered(&others)) };
    format!("{} knows {}{node}{others}", at(reach, port), reach.node.alive())
}

fn distribution(reach: &Reach) -> String {
    let round_trip =
        reach.round_trip.map_or_else(String::new, |micros| format!(", {}", milliseconds(micros)));
    format!("{} accepts{round_trip}", at(reach, reach.port.unwrap_or_default()))
}

fn handshake(reach: &Reach) -> String {
    if reach.tls {
        return "TLS, like this node; what lies inside was not tried".into();
    }
    let steps: Vec<&str> = reach.steps.iter().map(|step| step.as_str()).collect();
    let release = reach.release.map_or_else(String::new, |release| format!("; {}", otp(release)));
    let cookie = if reach.steps.contains(&Step::Cookie) {
        ""
    } else {
        "; that node lets listed names in only, and the cookie was not tried under this node's own"
    };
    format!("ok: {}{release}{cookie}", steps.join(", "))
}

fn at(reach: &Reach, port: u16) -> String {
    reach.address.map_or_else(|| port.to_string(), |address| SocketAddr::new(address, port).to_string())
}

fn otp(release: Release) -> String {
    match release {
        Release { from, to: None } => format!("OTP {from} or later"),
        Release { from, to: Some(to) } if from == to => format!("OTP {from}"),
        Release { from, to: Some(to) } => format!("OTP {from} to {to}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn milliseconds(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;
    use crate::model::reach::Registered;

    fn reached() -> Reach {
        let registered = |name: &str, port| Registered { name: name.into(), port };
        Reach {
            addresses: vec![IpAddr::from([192, 0, 2, 2])],
            address: Some(IpAddr::from([192, 0, 2, 2])),
            epmd_port: Some(4369),
            registered: vec![registered("ejabberd", 4370), registered("other", 4371)],
            port: Some(4370),
            round_trip: Some(312),
            steps: vec![Step::Status, Step::Challenge, Step::Cookie, Step::Name],
            release: Some(Release { from: 25, to: Some(27) }),
            ..Reach::new("ejabberd@foo.bar".into(), "ejabberd@hello.world".into())
        }
    }

    #[test]
    fn a_healthy_node_has_a_line_for_each_layer() {
        assert_eq!(
            layers(&reached()),
            "  names         ejabberd@foo.bar: long, like this node\n\
             \x20 resolver      foo.bar is 192.0.2.2\n\
             \x20 epmd          192.0.2.2:4369 knows ejabberd (port 4370), other\n\
             \x20 distribution  192.0.2.2:4370 accepts, 0.3 ms\n\
             \x20 handshake     ok: status, challenge, cookie, name; OTP 25 to 27\n"
        );
    }

    #[test]
    fn the_lines_end_before_the_layer_that_is_broken() {
        let closed = ReachFailure::DistributionPortSilent { address: "192.0.2.2:4370".into() };
        let text = layers(&Reach { failure: Some(closed), ..reached() });
        assert_eq!(text.lines().count(), 3);
        assert!(text.ends_with("knows ejabberd (port 4370), other\n"), "{text}");
        let trap = ReachFailure::NotRegistered { address: "127.0.0.1:4369".into(), alive: "ejabberd".into() };
        let address = IpAddr::from([127, 0, 0, 1]);
        let looped = Reach { addresses: vec![address], address: Some(address), ..reached() };
        let text = layers(&Reach { failure: Some(trap), ..looped });
        assert_eq!(text.lines().count(), 1);
        let short = Reach { node: "ejabberd@foo".into(), ..reached() };
        assert_eq!(layers(&short), "");
    }

    #[test]
    fn what_was_not_tried_is_not_called_good() {
        let listed = layers(&Reach { steps: vec![Step::Status, Step::Challenge, Step::Name], ..reached() });
        assert!(listed.contains("the cookie was not tried"), "{listed}");
        let tls = layers(&Reach { tls: true, steps: Vec::new(), ..reached() });
        assert!(tls.contains("TLS, like this node") && !tls.contains("ok:"), "{tls}");
        let fixed = layers(&Reach { epmd_port: None, ..reached() });
        assert!(fixed.contains("epmd          not asked"), "{fixed}");
    }
}
