//! What lies beside the database of this node: journals, and databases that are kept.

use serde::{Deserialize, Serialize};

use super::problem::{Bytes, Problem};
use super::view::View;
use crate::model::snapshot::{Beside, Damage, DamagedJournal, KeptDatabase};

/// What is wrong with it.
#[must_use]
pub fn problems(view: &View<'_>) -> Vec<Problem> {
    let beside = &view.here_facts().beside;
    beside.damaged.iter().map(damaged).chain(quota(view)).collect()
}

fn damaged(journal: &DamagedJournal) -> Problem {
    let (path, reason) = (journal.path.clone(), journal.reason.clone());
    match journal.damage {
        Damage::Corrupt => Problem::JournalCorrupt { path, reason },
        Damage::Version => Problem::JournalVersion { path, reason },
        Damage::Unreadable => Problem::JournalRead { path, reason },
        Damage::Missing => Problem::JournalMissing { path, reason },
    }
}

/// Whether the kept databases take more than they should: what the operator said, or else as much as is still free.
#[must_use]
pub fn quota(view: &View<'_>) -> Option<Problem> {
    let facts = view.here_facts();
    let Beside { kept, kept_quota, .. } = &facts.beside;
    let owned: Vec<_> = kept.iter().filter(|each| !each.shared).collect();
    let bytes = owned.iter().fold(0_u64, |sum, each| sum.saturating_add(each.bytes));
    let limit = kept_quota.or(facts.disk_free)?;
    let oldest = owned.first().filter(|_| bytes > limit)?;
    Some(Problem::KeptQuota {
        databases: owned.len() as u64,
        bytes: Bytes(bytes),
        limit: Bytes(limit),
        reason: if kept_quota.is_some() { "kept_quota" } else { "what is still free on that disk" }.into(),
        directory: facts.directory.clone(),
        oldest: oldest.id.clone(),
        oldest_bytes: Bytes(oldest.bytes),
    })
}

/// A kept database that is to be given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drop {
    /// The operation that kept it, as it was typed.
    pub id: String,
    /// The same, typed a second time.
    pub confirm: Option<String>,
    /// The databases that are kept.
    pub kept: Vec<KeptDatabase>,
    /// The operation that was begun and has not ended, if any.
    pub unfinished: Option<String>,
}

/// Whether it may go.
///
/// # Errors
/// It is not kept, is needed still, or was not confirmed.
pub fn drop_kept(drop: &Drop) -> Result<(), Problem> {
    let Drop { id, confirm, kept, unfinished } = drop;
    let in_use = |reason: String| Problem::KeptInUse { id: id.clone(), reason };
    let Some(found) = kept.iter().find(|each| each.id == *id) else {
        let known: Vec<&str> = kept.iter().map(|each| each.id.as_str()).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        return Err(Problem::NotKept { id: id.clone(), known });
    };
    if let Some(unfinished) = unfinished {
        return Err(in_use(format!("{unfinished} has not ended and may need it")));
    }
    if found.shared {
        return Err(in_use("it shares files with the database in use".into()));
    }
    if confirm.as_ref() != Some(id) {
        return Err(Problem::ConfirmationNeeded {
            id: id.clone(),
            files: found.files,
            bytes: Bytes(found.bytes),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(change: impl FnOnce(&mut Drop)) -> Result<(), &'static str> {
        let kept = KeptDatabase { id: "1".into(), files: 3, bytes: 2_000, shared: false };
        let mut drop = Drop { id: "1".into(), confirm: Some("1".into()), kept: vec![kept], unfinished: None };
        change(&mut drop);
        drop_kept(&drop).map_err(|problem| problem.code())
    }

    #[test]
    fn what_is_kept_goes_when_its_name_was_typed_twice() {
        assert_eq!(drop(|_| {}), Ok(()));
        assert_eq!(drop(|drop| drop.confirm = None), Err("confirmation_needed"));
        assert_eq!(drop(|drop| drop.confirm = Some("2".into())), Err("confirmation_needed"));
    }

    #[test]
    fn what_is_needed_stays_whatever_was_typed() {
        assert_eq!(drop(|drop| drop.id = "2".into()), Err("not_kept"));
        assert_eq!(drop(|drop| drop.kept[0].shared = true), Err("kept_in_use"));
        assert_eq!(drop(|drop| drop.unfinished = Some("3".into())), Err("kept_in_use"));
    }
}
