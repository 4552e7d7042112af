//! A plan in words.

use std::fmt::Write as _;

use super::errors::printable;
use crate::model::count::counted;
use crate::model::request::LocalRows;
use crate::model::rows::RowDifference;
use crate::operation;
use crate::plan::step::{Action, Source, Step, TableCopy};
use crate::plan::{Plan, estimate::Estimate};
use crate::validate::problem::{Bytes, Milliseconds, Nodes};

/// Copies are listed one by one up to this many, then as one line.
const COPIES_IN_FULL: usize = 8;

/// The plan as an operator reads it before it is carried out.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    let (headline, details) = operation::words(plan);
    let _ = writeln!(text, "{headline}");
    let _ = writeln!(text, "  plan        {} (fingerprint {})", plan.id, plan.fingerprint.short());
    if let Some(kept) = &plan.kept {
        let (tables, rows) = (counted(kept.tables, "table"), counted(kept.rows, "row"));
        let _ = writeln!(
            text,
            "  kept        this node's database ({tables}, {rows} on disc) in {}",
            kept.directory
        );
    }
    for (about, detail) in details {
        let _ = writeln!(text, "  {about:<11} {detail}");
    }
    for row in &plan.rows {
        rows(&mut text, row, plan);
    }
    for lost in &plan.lost {
        let _ = writeln!(text, "  lost        {}", lost);
    }
    for warning in &plan.warnings {
        let _ = writeln!(text, "  warning     {}", printable(&warning.to_string()));
    }
    text.push_str("  steps\n");
    steps(&mut text, &plan.steps);
    let _ = writeln!(text, "  estimate    {}", estimate(&plan.estimate));
    text
}

fn rows(text: &mut String, row: &RowDifference, plan: &Plan) {
    let table = &row.table;
    let archived = plan
        .steps
        .iter()
        .any(|step| matches!(&step.action, Action::ArchiveRows { tables, .. } if tables.contains(table)));
    let fate = plan.options.local_rows;
    let kept = if archived { "archived" } else { "kept" };
    if row.only_here > 0 {
        let verb = if row.only_here == 1 { "exists" } else { "exist" };
        let fate = match fate {
            LocalRows::Archive => kept,
            LocalRows::Merge => "written to the cluster",
        };
        let _ = writeln!(
            text,
            "  only here   {} of {table} {verb} only here: {fate}",
            counted(row.only_here, "row")
        );
    }
    if row.different > 0 {
        let verb = if row.different == 1 { "differs" } else { "differ" };
        let fate = match fate {
            LocalRows::Archive => kept,
            LocalRows::Merge => "the cluster's stay, these are archived and listed; those of a bag are added",
        };
        let rows = counted(row.different, "row");
        let _ = writeln!(text, "  differs     {rows} of {table} {verb} from the cluster's: {fate}");
    }
}

fn estimate(estimate: &Estimate) -> String {
    let mut text = format!(
        "{}, {}, about {}",
        counted(estimate.rows, "row"),
        Bytes(estimate.bytes),
        Milliseconds(estimate.milliseconds)
    );
    if let Some(table) = &estimate.stalled_table {
        let _ = write!(text, "; transactions on {table} wait up to {}", Milliseconds(estimate.longest_stall));
    }
    text
}

fn steps(text: &mut String, steps: &[Step]) {
    let copies: Vec<&Step> = steps.iter().filter(|step| !step.action.copies().is_empty()).collect();
    let in_full = copies.len() <= COPIES_IN_FULL;
    for step in steps {
        match (&step.action, in_full) {
            (Action::CopyTable(_) | Action::CopyTables { .. }, false) => {
                if copies.first().is_some_and(|first| first.number == step.number) {
                    many_copies(text, &copies);
                }
            }
            (action, _) => {
                let _ = writeln!(text, "    {:>4}  {}", step.number, self::action(action));
            }
        }
    }
}

fn many_copies(text: &mut String, copies: &[&Step]) {
    let (Some(first), Some(last)) = (copies.first(), copies.last()) else { return };
    let tables: usize = copies.iter().map(|step| step.action.copies().len()).sum();
    let range = format!("{}-{}", first.number, last.number);
    let _ = writeln!(
        text,
        "{range:>8}  copy {} here, smallest first; the largest:",
        counted(tables as u64, "table")
    );
    for step in copies.iter().rev().take(3) {
        let _ = writeln!(text, "          {}", action(&step.action));
    }
}

/// One action in words, as the plan and the progress print it.
#[must_use]
pub fn action(action: &Action) -> String {
    match action {
        Action::Connect { nodes } => format!("connect to {}", Nodes(nodes.clone())),
        Action::DumpLog => "bring the transaction log into the table files".into(),
        Action::StopApplication { application } => format!("stop {application}"),
        Action::ArchiveRows { tables, rows, .. } => {
            format!("archive {} of {}", counted(*rows, "row"), counted(tables.len() as u64, "table"))
        }
        Action::StopMnesia => "stop Mnesia".into(),
        Action::OpenStaging => "start Mnesia on an empty directory beside the old files".into(),
        Action::JoinSchema { node, .. } => format!("prove the join there: connect to {node}"),
        Action::SchemaToDisc => "bring the cluster's schema to disc there".into(),
        Action::CloseStaging => "stop the Mnesia of the proof".into(),
        Action::BuildDatabase { source } => match source {
            Source::Empty => "make an empty database beside the old files".into(),
            Source::BackedUp { rows } => {
                format!(
                    "build a database of {} from the backup beside the files, and prove it",
                    counted(*rows, "row")
                )
            }
            Source::Kept { id } => {
                format!("copy the database that {id} has kept beside the files, and prove it")
            }
            Source::Backup { path } => {
                format!("build a database from {path} beside the old files, and prove it")
            }
            Source::Renamed { from, to } => {
                format!("copy the database of {from} beside its files for {to}, and prove it")
            }
        },
        Action::KeepDatabase | Action::KeepMember => "keep the old database by hard links".into(),
        Action::SetAside => "move the database aside".into(),
        Action::CopyAside => "copy the database aside".into(),
        Action::DeleteLogs => "delete the old logs".into(),
        Action::CommitSchema => "switch to the new schema by one rename".into(),
        Action::ReplaceFiles => "replace the old table files".into(),
        Action::StartMnesia { .. } => "start Mnesia as a member".into(),
        Action::CopyTable(copy) => {
            format!(
                "copy {} here as {} ({})",
                copy.table,
                copy.storage.as_str(),
                size(std::slice::from_ref(copy))
            )
        }
        Action::CopyTables { copies } => {
            format!("copy {} here at once ({})", counted(copies.len() as u64, "small table"), size(copies))
        }
        Action::CopyTableTo { table, node, storage, rows, bytes } => {
            let (rows, storage) = (counted(*rows, "row"), storage.as_str());
            format!("copy {table} to {node} as {storage} ({rows}, {})", Bytes(*bytes))
        }
        Action::DeleteCopyOn { table, node, .. } => format!("delete the copy of {table} on {node}"),
        Action::BackUp { tables, rows, bytes } => {
            let tables = counted(tables.len() as u64, "table");
            format!(
                "back up {tables} of the cluster as of one moment ({}, {})",
                counted(*rows, "row"),
                Bytes(*bytes)
            )
        }
        Action::DropBackUp { .. } => "delete the backup".into(),
        Action::KeepInMemory { tables } => {
            format!("leave the rows of {} in memory only", counted(tables.len() as u64, "table"))
        }
        Action::DeleteCopies { tables } => {
            format!("delete the copies of {} here", counted(tables.len() as u64, "table"))
        }
        Action::Drain => "let no new client in, end the sessions and close the rooms of this node".into(),
        Action::RestoreArchive { id, tables } => {
            let tables = counted(tables.len() as u64, "table");
            format!("write the rows of {tables} in memory that {id} has archived back")
        }
        Action::OpenListeners => "let clients in again".into(),
        Action::ArchiveDrift { winner, copies, keys } => {
            let keys = counted(*keys, "key");
            format!("archive what others than {winner} have of {keys} of {}", copies.table)
        }
        Action::MendRows { table, winner, keys, .. } => {
            format!("write what {winner} has of {} of {table} to all copies", counted(*keys, "key"))
        }
        Action::CompareCopies { copies } => {
            format!("compare the copies of {} on {} again", copies.table, Nodes(copies.nodes.clone()))
        }
        Action::WaitForTables { tables } => {
            format!("wait until {} can be read", counted(tables.len() as u64, "table"))
        }
        Action::MergeRows { tables, rows } => {
            format!(
                "merge {} of {} from the archive",
                counted(*rows, "row"),
                counted(tables.len() as u64, "table")
            )
        }
        Action::StartApplication { application } => format!("start {application}"),
        Action::ClearCaches => "clear the caches that still know the old database".into(),
        Action::Verify => "verify: every member's view, copies, applications".into(),
        Action::Bar { nodes, .. } => {
            format!("refuse connections of {} on every member", Nodes(nodes.clone()))
        }
        Action::ForceLoad { tables } => {
            let names: Vec<String> =
                tables.iter().map(|(table, node)| format!("{table} from {node}")).collect();
            format!("load as it is, newer or not: {}", names.join(", "))
        }
        Action::DeleteDeadCopies { tables, nodes } => {
            let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
            format!(
                "delete the copies of {} on {}, which Mnesia would not lock",
                names.join(", "),
                Nodes(nodes.clone())
            )
        }
        Action::ForgetNode { node } => format!("take {node} out of the schema"),
        Action::RenewFence { .. } => {
            "make the fence anew, so that Mnesia turns away who has the old one".into()
        }
        Action::RenewSchema { nodes, .. } => format!(
            "give the schema a new cookie, so that Mnesia turns away {}, which the fence does not",
            Nodes(nodes.clone())
        ),
        Action::Unbar { nodes, .. } => format!("accept connections of {} again", Nodes(nodes.clone())),
        Action::EnsureFence => "give every member the fence, by which forgotten nodes are turned away".into(),
        Action::ForgetHere { members } => {
            format!("have this node's name taken out on {}", Nodes(members.clone()))
        }
        Action::RestoreDatabase => "put the kept database back".into(),
        Action::DropStaging => "remove the directory of the proof".into(),
        Action::ReopenMnesia => "start Mnesia from the old database".into(),
        Action::RestoreRows { tables } => {
            format!("write the rows of {} in memory back", counted(tables.len() as u64, "table"))
        }
    }
}

fn size(copies: &[TableCopy]) -> String {
    let sum = |of: fn(&TableCopy) -> u64| copies.iter().fold(0_u64, |sum, copy| sum.saturating_add(of(copy)));
    match sum(|copy| copy.rows) {
        0 => "empty".into(),
        rows => format!("{}, {}", counted(rows, "row"), Bytes(sum(|copy| copy.bytes))),
    }
}
