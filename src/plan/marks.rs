//! What becomes of an operation whose journal cannot be read: what lies in the Mnesia directory tells.
//!
//! Each step of an exchange leaves the directory as the old node's or as the new one's, and marks how far it came in the
//! folder of the kept files. What the marks do not tell is whether clients were let in: after the switch there is only the way
//! forward, unless the way back had begun.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::recover::Direction;
use super::step::Action;
use crate::model::name::NodeName;
use crate::model::snapshot::{Damage, DamagedJournal};
use crate::validate::problem::Problem;

/// How far the exchange came, by the marks in the kept folder and by which file the schema is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is kept.
    NotKept,
    /// The directory is the old node's; the kept files are its own.
    Uncommitted,
    /// The schema is the new one.
    Committed,
    /// There is no schema.
    Lost,
    /// The old files are back.
    Restored,
    /// It was taken back before the switch.
    GivenUp,
}

/// What lies there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The journal.
    pub journal: DamagedJournal,
    /// How far it came.
    pub phase: Phase,
    /// Whether the staging folder holds files of Mnesia, or says who is about to list this node.
    pub staged: bool,
    /// Whether copies of the kept files were begun, to go back with.
    pub restoring: bool,
    /// Whether they are complete, so that the directory may be half exchanged.
    pub ready: bool,
    /// Whether files of the directory are the kept ones.
    pub old_files: bool,
    /// Who is in the schema of the directory, the kept folder and staging.
    pub schemas: Schemas,
    /// Whether Mnesia runs here.
    pub running: bool,
}

/// The members that each schema lists, where there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schemas {
    /// The directory's.
    pub directory: Vec<NodeName>,
    /// The kept one.
    pub kept: Vec<NodeName>,
    /// The one in staging, with those that were noted beside it.
    pub staging: Vec<NodeName>,
}

/// How the exchange is brought to an end, while Mnesia is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salvage {
    /// Where it goes.
    pub direction: Direction,
    /// What is done.
    pub offline: Vec<Action>,
}

/// What has to be done; `None` where the directory is whole.
///
/// # Errors
/// [`Problem::HalfExchanged`] where that cannot be known, or must not be done now.
pub fn salvage(marks: &Marks) -> Result<Option<Salvage>, Problem> {
    let Some(salvage) = needed(marks)? else { return Ok(None) };
    if marks.running {
        return Err(refused(marks, "Mnesia runs already, and has to be stopped for it: restart the node"));
    }
    if marks.journal.damage == Damage::Version {
        return Err(refused(marks, "only the version that wrote the journal knows what is left to do"));
    }
    Ok(Some(salvage))
}

fn needed(marks: &Marks) -> Result<Option<Salvage>, Problem> {
    let Marks { phase, staged, restoring, ready, old_files, schemas, .. } = marks;
    let going_back = *restoring || *ready;
    Ok(match phase {
        Phase::Lost if !ready => {
            return Err(refused(
                marks,
                "the directory has no schema.DAT, and Mnesia would start without data",
            ));
        }
        Phase::Lost => Some(back(&schemas.staging, schemas)),
        Phase::Committed if going_back => Some(back(&schemas.directory, schemas)),
        Phase::Committed if *old_files || *staged => Some(forward(schemas)),
        Phase::Uncommitted => Some(back(&schemas.staging, schemas)),
        // Whether those whom staging names are the members of this node's own database, only its schema tells.
        Phase::NotKept | Phase::GivenUp if *staged && !schemas.directory.is_empty() => Some(Salvage {
            direction: Direction::Back,
            offline: vec![forget(&schemas.staging, &schemas.directory), Action::DropStaging],
        }),
        Phase::Restored if *staged || going_back => Some(back(&schemas.staging, schemas)),
        Phase::Committed | Phase::NotKept | Phase::GivenUp | Phase::Restored => None,
    })
}

/// Whom the schema that is given up lists, and the old one does not, may list this node.
fn back(given_up: &[NodeName], schemas: &Schemas) -> Salvage {
    Salvage {
        direction: Direction::Back,
        offline: vec![forget(given_up, &schemas.kept), Action::RestoreDatabase, Action::DropStaging],
    }
}

fn forward(schemas: &Schemas) -> Salvage {
    Salvage {
        direction: Direction::Forward,
        offline: vec![Action::ReplaceFiles, forget(&schemas.kept, &schemas.directory)],
    }
}

fn forget(listed: &[NodeName], stay: &[NodeName]) -> Action {
    let stay: BTreeSet<_> = stay.iter().collect();
    let members: BTreeSet<_> = listed.iter().filter(|node| !stay.contains(node)).cloned().collect();
    Action::ForgetHere { members: members.into_iter().collect() }
}

fn refused(marks: &Marks, why: &str) -> Problem {
    let DamagedJournal { id, path, reason, .. } = &marks.journal;
    Problem::HalfExchanged { id: id.clone(), path: path.clone(), reason: reason.clone(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(phase: Phase) -> Marks {
        let journal = DamagedJournal {
            id: "1".into(),
            path: "/1.journal".into(),
            damage: Damage::Corrupt,
            reason: "bad_record".into(),
        };
        let schemas = Schemas {
            directory: vec!["a@x".into(), "b@x".into()],
            kept: vec!["a@x".into()],
            staging: vec!["a@x".into(), "c@x".into()],
        };
        let (staged, restoring, ready, old_files, running) = (false, false, false, false, false);
        Marks { journal, phase, staged, restoring, ready, old_files, schemas, running }
    }

    fn found(marks: &Marks) -> Option<(Direction, Vec<&'static str>)> {
        let salvage = salvage(marks).unwrap();
        salvage.map(|each| (each.direction, each.offline.iter().map(Action::name).collect()))
    }

    #[test]
    fn a_whole_directory_is_left_alone() {
        for phase in [Phase::NotKept, Phase::Committed, Phase::Restored, Phase::GivenUp] {
            assert_eq!(found(&marks(phase)), None, "{phase:?}");
            assert_eq!(found(&Marks { running: true, ..marks(phase) }), None, "{phase:?}");
        }
    }

    #[test]
    fn before_the_switch_it_goes_back_and_the_others_forget_this_node() {
        let salvage = salvage(&marks(Phase::Uncommitted)).unwrap().unwrap();
        let forget = Action::ForgetHere { members: vec!["c@x".into()] };
        assert_eq!(salvage.offline, [forget, Action::RestoreDatabase, Action::DropStaging]);
        let staged = Marks { staged: true, ..marks(Phase::NotKept) };
        assert_eq!(found(&staged), Some((Direction::Back, vec!["forget_here", "drop_staging"])));
    }

    #[test]
    fn a_node_is_taken_out_of_no_cluster_that_its_own_database_is_a_member_of() {
        let staged = Marks { staged: true, ..marks(Phase::NotKept) };
        let mut member = staged.clone();
        member.schemas.staging = member.schemas.directory.clone();
        let salvage = salvage(&member).unwrap().unwrap();
        assert_eq!(salvage.offline, [Action::ForgetHere { members: Vec::new() }, Action::DropStaging]);
        let mut unread = staged;
        unread.schemas.directory = Vec::new();
        assert_eq!(found(&unread), None);
    }

    #[test]
    fn after_the_switch_it_goes_forward_unless_the_way_back_had_begun() {
        for half in [
            Marks { old_files: true, ..marks(Phase::Committed) },
            Marks { staged: true, ..marks(Phase::Committed) },
        ] {
            assert_eq!(found(&half), Some((Direction::Forward, vec!["replace_files", "forget_here"])));
        }
        for half in [
            Marks { restoring: true, ..marks(Phase::Committed) },
            Marks { ready: true, ..marks(Phase::Committed) },
            Marks { ready: true, ..marks(Phase::Lost) },
        ] {
            let back = vec!["forget_here", "restore_database", "drop_staging"];
            assert_eq!(found(&half), Some((Direction::Back, back)));
        }
    }

    #[test]
    fn what_cannot_be_known_is_refused() {
        let lost = marks(Phase::Lost);
        let running = Marks { running: true, ..marks(Phase::Uncommitted) };
        let mut newer = marks(Phase::Uncommitted);
        newer.journal.damage = Damage::Version;
        for half in [lost, running, newer] {
            assert_eq!(salvage(&half).unwrap_err().code(), "half_exchanged", "{half:?}");
        }
    }
}
