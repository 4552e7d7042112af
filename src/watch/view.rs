//! What the members say of themselves, and what of it counts now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Seen, rules};
use crate::model::name::NodeName;
use crate::model::snapshot::Running;

/// What a member says about once a second. It is small: it holds no tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// A random number of this start of its VM.
    pub boot: u64,
    /// Whether its Mnesia runs.
    pub mnesia: Running,
    /// `mnesia:system_info(db_nodes)`; empty while Mnesia does not run.
    pub db_nodes: Vec<NodeName>,
    /// `mnesia:system_info(running_db_nodes)`; empty while Mnesia does not run.
    pub running_db_nodes: Vec<NodeName>,
    /// A digest of its policy, where it has one.
    pub policy: Option<String>,
    /// Whether an operator has paused what happens by itself.
    pub paused: bool,
    /// Whether it compares copies in the background.
    pub scrub: bool,
    /// Where an operation runs, as it knows: itself, or whoever holds the lock of the cluster.
    pub operation: Option<NodeName>,
}

/// What was heard of a member last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// What it said.
    Said(View),
    /// It was asked, and did not answer.
    Silence,
    /// It was asked, and has no easy_cluster: it has no say, and nobody waits for it.
    NoSay,
    /// It cannot be understood, as its easy_cluster speaks another version of the protocol between members. It may be paused.
    OtherVersion,
}

/// A member, and what was heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which.
    pub node: NodeName,
    /// What.
    pub heard: Heard,
    /// So many milliseconds ago.
    pub ago: u64,
}

/// What of all that counts now: the members that run, as this one's Mnesia sees them.
pub(super) struct Picture<'a> {
    here: &'a NodeName,
    own: Option<&'a View>,
    views: BTreeMap<&'a NodeName, &'a View>,
    silent: Vec<NodeName>,
    strange: Vec<NodeName>,
    unheard: Vec<NodeName>,
}

impl<'a> Picture<'a> {
    /// Where this member has been late, what others have said does not count.
    pub(super) fn new(seen: &'a Seen, late: bool) -> Self {
        let heard: BTreeMap<&NodeName, &Member> =
            seen.members.iter().map(|member| (&member.node, member)).collect();
        let said = |node| match &heard.get(node)?.heard {
            Heard::Said(view) => Some(view),
            Heard::Silence | Heard::NoSay | Heard::OtherVersion => None,
        };
        let own = said(&seen.here);
        let mut picture = Self {
            here: &seen.here,
            own,
            views: BTreeMap::new(),
            silent: Vec::new(),
            strange: Vec::new(),
            unheard: Vec::new(),
        };
        picture.views.extend(own.map(|view| (&seen.here, view)));
        for node in own.map_or(&[][..], |own| &own.running_db_nodes).iter().filter(|node| **node != seen.here)
        {
            let is_late =
                |member: &&&Member| late || rules::time(member.ago) > rules::time(seen.pace.patience);
            match heard.get(node).map(|member| (&member.heard, is_late(&member))) {
                Some((Heard::Said(view), false)) => _ = picture.views.insert(node, view),
                Some((Heard::NoSay, _)) => {}
                Some((Heard::OtherVersion, _)) => picture.strange.push(node.clone()),
                Some((Heard::Silence, late)) => {
                    picture.silent.push(node.clone());
                    picture.unheard.extend(late.then(|| node.clone()));
                }
                Some((Heard::Said(_), true)) | None => picture.unheard.push(node.clone()),
            }
        }
        picture
    }

    pub(super) fn here(&self) -> &NodeName {
        self.here
    }

    /// What this member says.
    pub(super) fn own(&self) -> Option<&View> {
        self.own
    }

    /// What the members say that can be heard, this one included, by name.
    pub(super) fn views(&self) -> impl Iterator<Item = (&NodeName, &View)> {
        self.views.iter().map(|(node, view)| (*node, *view))
    }

    /// Members that do not answer.
    pub(super) fn silent(&self) -> &[NodeName] {
        &self.silent
    }

    /// Members of another version.
    pub(super) fn strange(&self) -> &[NodeName] {
        &self.strange
    }

    /// Members that have to be asked.
    pub(super) fn unheard(&self) -> Vec<NodeName> {
        self.unheard.clone()
    }

    /// Members of which it is not known yet whether they answer.
    pub(super) fn awaited(&self) -> Vec<NodeName> {
        self.unheard.iter().filter(|node| !self.silent.contains(node)).cloned().collect()
    }

    /// Whether all members run, nobody is at an operation, and nobody holds the lock of the cluster, as far as can be heard.
    pub(super) fn is_quiet(&self) -> bool {
        self.own.is_some_and(|own| own.db_nodes.len() == own.running_db_nodes.len())
            && self.views.values().all(|view| view.operation.is_none())
    }
}

/// What members said, as far as a change of it is worth a look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    running: Vec<NodeName>,
    said: BTreeMap<NodeName, (u64, Option<String>, bool)>,
    /// Those of another version, too.
    silent: Vec<NodeName>,
}

/// What is new since the last decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing.
    Nothing,
    /// Members have fallen silent, or answer again.
    Silence,
    /// Members have come or gone, or say something else.
    Members,
}

impl Known {
    /// Takes in what counts now. What a silent member said before still holds.
    pub(super) fn notice(&mut self, picture: &Picture<'_>) -> News {
        let mut running = picture.own().map_or_else(Vec::new, |own| own.running_db_nodes.clone());
        running.sort_unstable();
        let mut said = self.said.clone();
        said.retain(|node, _| running.contains(node) || node == picture.here());
        said.extend(
            picture.views().map(|(node, view)| (node.clone(), (view.boot, view.policy.clone(), view.paused))),
        );
        let silent = picture.silent().iter().chain(picture.strange()).cloned().collect();
        let now = Self { running, said, silent };
        let before = std::mem::replace(self, now);
        if (&before.running, &before.said) != (&self.running, &self.said) {
            News::Members
        } else if before.silent == self.silent {
            News::Nothing
        } else {
            News::Silence
        }
    }
}
