//! What lies beside the database of this node: journals, and databases that are kept.

use serde::{Deserialize, Serialize};

use super::problem::{Bytes, Problem};
use super::view::View;
use crate::model::snapshot::{Archive, Beside, Damage, DamagedJournal, KeptDatabase};

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

/// Whether the kept databases and archives take more than they should: what the operator said, or else as much as is still free.
#[must_use]
pub fn quota(view: &View<'_>) -> Option<Problem> {
    let facts = view.here_facts();
    let Beside { kept, archives, kept_quota, .. } = &facts.beside;
    let databases = kept.iter().filter(|each| !each.shared);
    let databases: Vec<_> = databases.map(|each| (&each.id, each.bytes, "drop_kept")).collect();
    let archives: Vec<_> = archives.iter().map(|each| (&each.id, each.bytes, "drop_archive")).collect();
    let all = || databases.iter().chain(&archives);
    let bytes = all().fold(0_u64, |sum, (_, bytes, _)| sum.saturating_add(*bytes));
    let limit = kept_quota.or(facts.disk_free)?;
    // Names begin with the time; of one operation, its database goes first.
    let (oldest, oldest_bytes, function) = all().min_by_key(|(id, ..)| *id).filter(|_| bytes > limit)?;
    Some(Problem::KeptQuota {
        databases: databases.len() as u64,
        archives: archives.len() as u64,
        bytes: Bytes(bytes),
        limit: Bytes(limit),
        reason: if kept_quota.is_some() { "kept_quota" } else { "what is still free on that disk" }.into(),
        oldest: (*oldest).clone(),
        oldest_bytes: Bytes(*oldest_bytes),
        function: (*function).into(),
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

/// An archive that is to be given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropArchive {
    /// The operation that made it, as it was typed.
    pub id: String,
    /// The same, typed a second time.
    pub confirm: Option<String>,
    /// The archives that are there.
    pub archives: Vec<Archive>,
    /// The operation that was begun and has not ended, if any.
    pub unfinished: Option<String>,
}

/// Whether it may go.
///
/// # Errors
/// There is none, it is needed still, or was not confirmed.
pub fn drop_archive(drop: &DropArchive) -> Result<(), Problem> {
    let DropArchive { id, confirm, archives, unfinished } = drop;
    let Some(found) = archives.iter().find(|each| each.id == *id) else {
        let known: Vec<&str> = archives.iter().map(|each| each.id.as_str()).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        return Err(Problem::NotArchived { id: id.clone(), known });
    };
    if let Some(unfinished) = unfinished {
        return Err(Problem::ArchiveInUse { id: id.clone(), unfinished: unfinished.clone() });
    }
    if confirm.as_ref() != Some(id) {
        return Err(Problem::ArchiveConfirmationNeeded {
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
    fn an_archive_goes_when_its_name_was_typed_twice_and_nothing_is_under_way() {
        let archive = Archive { id: "1".into(), files: 2, bytes: 30 };
        let drop = |id: &str, confirm: Option<&str>, unfinished: Option<&str>| {
            let drop = DropArchive {
                id: id.into(),
                confirm: confirm.map(Into::into),
                archives: vec![archive.clone()],
                unfinished: unfinished.map(Into::into),
            };
            drop_archive(&drop).map_err(|problem| problem.code())
        };
        assert_eq!(drop("1", Some("1"), None), Ok(()));
        assert_eq!(drop("1", None, None), Err("archive_confirmation_needed"));
        assert_eq!(drop("1", Some("2"), None), Err("archive_confirmation_needed"));
        assert_eq!(drop("2", Some("2"), None), Err("not_archived"));
        assert_eq!(drop("1", Some("1"), Some("3")), Err("archive_in_use"));
    }

    #[test]
    fn what_is_needed_stays_whatever_was_typed() {
        assert_eq!(drop(|drop| drop.id = "2".into()), Err("not_kept"));
        assert_eq!(drop(|drop| drop.kept[0].shared = true), Err("kept_in_use"));
        assert_eq!(drop(|drop| drop.unfinished = Some("3".into())), Err("kept_in_use"));
    }
}
