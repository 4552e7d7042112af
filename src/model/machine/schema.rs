//! What a directory's `schema.DAT` says without Mnesia: whose database it is, and which tables are held where.
//!
//! The file is a dets table of version 9. Its objects are `{schema, Table, Properties}` in external term format; each
//! group of them has a size and a mark in front that tells living ones from those that were freed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::etf::{Reading, Terms};
use crate::model::name::{NodeName, TableName};

/// What stands in a dets file behind the pointer to its free space.
const DETS: u32 = 0x00ab_cdef;
/// Marks a group of objects that is in use.
const ACTIVE: u32 = 0x1234_5678;

/// Who holds a table, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holders {
    /// In memory only.
    pub ram: Vec<NodeName>,
    /// On disc in any way.
    pub disc: Vec<NodeName>,
    /// Whether every node has its own rows.
    pub local_content: bool,
    /// Whether it cannot be written.
    pub read_only: bool,
}

impl Holders {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &NodeName> {
        self.ram.iter().chain(&self.disc)
    }
}

/// A schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The nodes that hold the schema, which are the members of the cluster. One that is alone names itself only.
    pub members: Vec<NodeName>,
    /// The tables but the schema itself.
    pub tables: BTreeMap<TableName, Holders>,
    /// The cookies of the tables and of the schema: two databases that share one were one.
    #[serde(default)]
    pub cookies: BTreeMap<TableName, String>,
}

impl Schema {
    /// Whether two databases come from one.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        self.cookies.iter().any(|(table, cookie)| other.cookies.get(table) == Some(cookie))
    }
}

/// The nodes that hold the schema.
///
/// # Errors
/// Why the file does not tell it.
pub fn parse(bytes: &[u8]) -> Result<Vec<NodeName>, String> {
    read(bytes).map(|schema| schema.members)
}

/// The whole of it.
///
/// # Errors
/// Why the file does not tell who its members are.
pub fn read(bytes: &[u8]) -> Result<Schema, String> {
    if word(bytes, 4) != Some(DETS) {
        return Err("it is not a dets file".into());
    }
    let mut schema = Schema::default();
    let mut at = 8;
    // Marks may overlap in a file that was made to. An honest one is read once.
    let mut budget = bytes.len();
    // Every offset is tried: a file that was cut or written over still has the other objects.
    while let Some(mark) = word(bytes, at) {
        if mark == ACTIVE {
            let _ends_somewhere = group(bytes, at, &mut budget, &mut schema);
        }
        at += 1;
    }
    if schema.members.is_empty() {
        return Err("it has no definition of the table schema: it was cut off or is damaged".into());
    }
    Ok(schema)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    <[u8; 4]>::try_from(four).ok().map(u32::from_be_bytes)
}

/// Adds the definitions of the group whose mark stands at `mark`, as far as it can be read.
fn group(bytes: &[u8], mark: usize, budget: &mut usize, schema: &mut Schema) -> Option<()> {
    let size = usize::try_from(word(bytes, mark.checked_sub(4)?)?).ok()?;
    let start = mark + 4;
    let mut rest = bytes.get(start..start.checked_add(size)?.min(bytes.len()))?;
    loop {
        *budget = budget.checked_sub(4)?;
        let length = usize::try_from(word(rest, 0)?).ok()?;
        // The size counts its own four bytes.
        let object = rest.get(4..length)?;
        if let Some((name, holders, cookie)) = definition(object, budget) {
            if let Some(cookie) = cookie {
                schema.cookies.entry(TableName::from(name.as_str())).or_insert(cookie);
            }
            add(name, holders, schema);
        }
        rest = rest.get(length..)?;
    }
}

/// The first definition of a table is the one.
fn add(name: String, holders: Holders, schema: &mut Schema) {
    if name != "schema" {
        schema.tables.entry(TableName::from(name)).or_insert(holders);
    } else if schema.members.is_empty() {
        schema.members = holders.all().cloned().collect();
        schema.members.sort_unstable();
        schema.members.dedup();
    }
}

fn definition(object: &[u8], budget: &mut usize) -> Option<(String, Holders, Option<String>)> {
    let term = Terms::new(object, budget)?.next()?;
    let [table, name, properties] = term.tuple()? else { return None };
    if table.atom() != Some("schema") {
        return None;
    }
    let mut holders = Holders::default();
    let mut cookie = None;
    for property in properties.list()? {
        let Some([key, value]) = property.tuple() else { continue };
        match key.atom() {
            Some("ram_copies") => holders.ram.extend(value.nodes()),
            Some("disc_copies" | "disc_only_copies") => holders.disc.extend(value.nodes()),
            Some("external_copies") => holders.disc.extend(external(value)),
            Some("local_content") => holders.local_content = value.atom() == Some("true"),
            Some("cookie") => cookie = Some(format!("{value:?}")),
            Some("access_mode") => holders.read_only = value.atom() == Some("read_only"),
            Some(_) | None => {}
        }
    }
    Some((name.atom()?.to_owned(), holders, cookie))
}

/// `[{{Alias, Module}, Nodes}]`.
fn external(value: &Reading) -> Vec<NodeName> {
    let backends = value.list().unwrap_or_default().iter().filter_map(Reading::tuple);
    backends.filter_map(|pair| pair.get(1)).flat_map(Reading::nodes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{schema, schema, [{disc_copies, [Node]}, {cookie, {1.0, 2}}]}` as OTP 25 and OTP 26 write atoms.
    fn file(node: &str, utf8: bool, mark: u32) -> Vec<u8> {
        table("schema", node, utf8, mark)
    }

    fn table(name: &str, node: &str, utf8: bool, mark: u32) -> Vec<u8> {
        let atom = |text: &str| {
            let mut bytes = if utf8 { vec![119] } else { vec![100, 0] };
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
            bytes
        };
        let mut term = vec![131, 104, 3];
        term.extend(
            [atom("schema"), atom(name), vec![108, 0, 0, 0, 2, 104, 2], atom("disc_copies")].concat(),
        );
        term.extend([vec![108, 0, 0, 0, 1], atom(node), vec![106, 104, 2], atom("cookie")].concat());
        term.extend([&[104, 2, 70][..], &[0; 8], &[97, 2, 106]].concat());
        let length = u32::try_from(term.len()).unwrap() + 4;
        let words = [0, DETS, 0, 0, length + 8, mark, length].map(u32::to_be_bytes).concat();
        [words, term].concat()
    }

    #[test]
    fn the_owner_is_read_as_every_release_writes_it() {
        for utf8 in [false, true] {
            assert_eq!(parse(&file("ejabberd@foo.bar", utf8, ACTIVE)), Ok(vec!["ejabberd@foo.bar".into()]));
        }
    }

    #[test]
    fn what_was_freed_does_not_count() {
        let freed = file("old@foo.bar", false, 0x03ab_cdef);
        let living = file("new@foo.bar", false, ACTIVE);
        assert_eq!(parse(&[freed, living].concat()), Ok(vec!["new@foo.bar".into()]));
    }

    #[test]
    fn one_cookie_is_enough_for_two_databases_to_be_of_one() {
        let read = |file: &[u8]| super::read(file).unwrap();
        let (one, two) = (read(&file("a@x", false, ACTIVE)), read(&file("b@x", true, ACTIVE)));
        assert!(one.cookies.contains_key(&TableName::from("schema")));
        assert!(one.shares_with(&two), "whatever release wrote them");
        let mut other = two.clone();
        other.cookies.values_mut().for_each(|cookie| cookie.push('x'));
        assert!(!one.shares_with(&other));
    }

    #[test]
    fn other_tables_name_no_member() {
        let other = table("passwd", "other@foo.bar", false, ACTIVE);
        assert!(parse(&other).is_err());
        let own = file("own@foo.bar", false, ACTIVE);
        assert_eq!(parse(&[other, own].concat()), Ok(vec!["own@foo.bar".into()]));
    }

    #[test]
    fn the_tables_and_their_holders_are_read_as_every_release_writes_them() {
        for release in [25, 27, 29] {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/boot");
            let read = read(&std::fs::read(format!("{folder}/otp{release}/b/schema.DAT")).unwrap()).unwrap();
            let all = ["a@localhost", "b@localhost", "c@localhost"].map(NodeName::from);
            let [a, b, c] = all.clone();
            assert_eq!(read.members, all);
            let table = |ram: &[NodeName], disc: &[NodeName], local_content| {
                let (ram, disc) = (ram.to_vec(), disc.to_vec());
                Holders { ram, disc, local_content, read_only: false }
            };
            let expected = [
                ("log", table(&[], &[a.clone(), b.clone()], false)),
                ("mixed", table(&[a, c.clone()], &[b], false)),
                ("online", table(&all, &[], false)),
                ("only_c", table(&[], &[c], false)),
                ("own", table(&[], &all, true)),
                ("users", table(&[], &all, false)),
            ];
            assert_eq!(read.tables, expected.into_iter().map(|(name, table)| (name.into(), table)).collect());
        }
    }

    /// Names of the same hash lie in one group.
    #[test]
    fn every_table_of_a_group_is_read() {
        let read = read(include_bytes!("../../../tests/fixtures/boot/sixty_tables.DAT")).unwrap();
        let names: Vec<TableName> = (1..=60).map(|number| format!("t{number}").into()).collect();
        assert_eq!(read.tables.len(), 60);
        assert!(names.iter().all(|name| read.tables.contains_key(name)));
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_refused() {
        let whole = file("ejabberd@foo.bar", false, ACTIVE);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    /// Read again from each mark to the end, these eight megabytes would take an hour.
    #[test]
    fn groups_that_lie_within_each_other_are_read_once() {
        let nested = [1 << 30, ACTIVE, 12, 0].map(u32::to_be_bytes).concat().repeat(1 << 19);
        let head = [0, DETS].map(u32::to_be_bytes).concat();
        assert!(parse(&[head, nested].concat()).is_err());
    }

    #[test]
    fn lengths_are_not_believed() {
        let mut lying = file("ejabberd@foo.bar", true, ACTIVE);
        for at in 16..lying.len() {
            let kept = lying[at];
            lying[at] = 255;
            // It may be refused or read, and does not take memory for what is not there.
            let _ = parse(&lying);
            lying[at] = kept;
        }
        let bomb = [
            [0, DETS, 0, 0, 1 << 30, ACTIVE, 100].map(u32::to_be_bytes).concat(),
            vec![131, 105, 255, 255, 255, 255],
        ];
        assert!(parse(&bomb.concat()).is_err());
    }
}
