//! Applications that own the Mnesia of their node and make clusters with tools of their own: one line each, data only.

use super::name::AtomName;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The OTP application.
    pub application: &'static str,
    /// What its node joins a cluster with.
    pub join: &'static str,
    /// What its node leaves a cluster with, or begins anew.
    pub leave: &'static str,
}

/// The application that names the program comes before those that it is built on.
const KNOWN: &[Owner] = &[
    Owner {
        application: "rabbit",
        join: "rabbitmqctl stop_app, rabbitmqctl join_cluster NODE, rabbitmqctl start_app",
        leave: "rabbitmqctl stop_app, rabbitmqctl reset, rabbitmqctl start_app",
    },
    Owner { application: "emqx", join: "emqx ctl cluster join NODE", leave: "emqx ctl cluster leave" },
    Owner {
        application: "mongooseim",
        join: "mongooseimctl join_cluster NODE",
        leave: "mongooseimctl leave_cluster",
    },
    Owner {
        application: "vmq_server",
        join: "vmq-admin cluster join discovery-node=NODE",
        leave: "vmq-admin cluster leave node=NODE",
    },
    Owner { application: "ekka", join: "ekka:join(Node)", leave: "ekka:leave()" },
    Owner { application: "mria", join: "mria:join(Node)", leave: "mria:leave()" },
];

/// The first of them among the applications that run.
#[must_use]
pub fn owner(running: &[AtomName]) -> Option<&'static Owner> {
    KNOWN.iter().find(|owner| running.iter().any(|application| application.as_str() == owner.application))
}
