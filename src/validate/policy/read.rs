//! The keys of a policy and their values, by the conventions of ejabberd's options.

use std::collections::HashMap;

use crate::model::catalogue::Class;
use crate::model::name::{NodeName, TableName};
use crate::model::policy::{At, ClassWish, Copies, NodeWish, Policy, Role, Sync, TableWish, Window};
use crate::model::table::Storage;
use crate::model::yaml::{self, Key, Node, Value};
use crate::validate::node_name;
use crate::validate::problem::{Lines, Problem};

const POLICY: &[&str] =
    &["copies", "nodes", "classes", "tables", "leave_alone", "sync", "window", "max_stall"];
const NODE: &[&str] = &["role", "zone", "memory", "disk"];
const CLASS: &[&str] = &["storage"];
const TABLE: &[&str] = &["class", "copies", "storage", "pins", "exclusions"];

const SIZE: &str = "a number of bytes such as 2000000000, 2 GB or 512 MiB, or infinity";
const DURATION: &str = "a duration such as 500 ms, 2 s or 1 minute, or infinity; milliseconds without a unit";
const COPIES: &str = "all, or a number of copies from 1";
const WINDOW: &str = "a time of the day such as 02:00-05:00, or a list of them";
const STORAGE: &str = "ram_copies, disc_copies or disc_only_copies";
/// Atoms hold 255 characters.
const MAX_NAME: usize = 255;
/// More is not a number of members.
const MAX_COPIES: u32 = 1_000_000;

pub(super) fn read(text: &str) -> (Policy, Vec<Problem>) {
    let mut reader = Reader { problems: Vec::new() };
    let root = match yaml::read(text) {
        Ok(root) => {
            reader.problems.extend(yaml::second_document(text).map(|line| Problem::PolicyNotYaml {
                line,
                reason: "a second document begins, and a policy is one".into(),
            }));
            root
        }
        Err(broken) => {
            reader.problems.push(Problem::PolicyNotYaml { line: broken.line, reason: broken.reason });
            None
        }
    };
    let policy = root.as_ref().and_then(|root| reader.own_part(root)).map(|own| reader.policy(own));
    (policy.unwrap_or_default(), reader.problems)
}

struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    /// The policy itself, which an `ejabberd.yml` has inside.
    fn own_part<'n>(&mut self, root: &'n Node) -> Option<&'n Node> {
        let Some(modules) = root.get("modules") else { return Some(root) };
        let module = modules.get("mod_easy_cluster");
        let own = module.and_then(|module| module.get("policy"));
        if own.is_none() {
            self.problems.push(Problem::PolicyMissing { line: module.unwrap_or(modules).line });
        }
        own
    }

    fn policy(&mut self, node: &Node) -> Policy {
        let mut policy = Policy::default();
        for (key, value) in self.options(node, "the policy", POLICY) {
            match key.text.as_str() {
                "copies" => policy.copies = self.copies(key, value),
                "nodes" => policy.nodes = self.each(key, value, Self::node),
                "classes" => policy.classes = self.each(key, value, Self::class),
                "tables" => policy.tables = self.each(key, value, Self::table),
                "leave_alone" => policy.leave_alone = self.names(key, value, Self::table_name),
                "sync" => policy.sync = self.one_of(key, value, SYNCS),
                "window" => {
                    policy.windows =
                        self.names(key, value, |reader, key, text, line| reader.window(key, text, line));
                }
                "max_stall" => policy.max_stall = self.amount(key, value, DURATION, duration),
                _unknown_and_told => {}
            }
        }
        policy
    }

    fn node(&mut self, key: &Key, value: &Node) -> Option<NodeWish> {
        let node = self.node_name(key, &key.text, key.line)?;
        let mut wish = NodeWish { node, role: None, zone: None, memory: None, disk: None };
        for (key, value) in self.options(value, &key.text, NODE) {
            match key.text.as_str() {
                "role" => wish.role = self.one_of(key, value, ROLES),
                "zone" => wish.zone = self.text(key, value, "the name of a zone"),
                "memory" => wish.memory = self.amount(key, value, SIZE, size),
                "disk" => wish.disk = self.amount(key, value, SIZE, size),
                _unknown_and_told => {}
            }
        }
        Some(wish)
    }

    fn class(&mut self, key: &Key, value: &Node) -> Option<ClassWish> {
        let Some((_, class)) = CLASSES.iter().find(|(word, _)| *word == key.text) else {
            self.unknown(key, "classes", &CLASSES.iter().map(|(word, _)| *word).collect::<Vec<_>>());
            return None;
        };
        let mut wish = ClassWish { class: At { value: *class, line: key.line }, storage: None };
        for (key, value) in self.options(value, &key.text, CLASS) {
            if key.text == "storage" {
                wish.storage = self.one_of(key, value, STORAGES);
            }
        }
        Some(wish)
    }

    fn table(&mut self, key: &Key, value: &Node) -> Option<TableWish> {
        let table = self.table_name(key, &key.text, key.line)?;
        let mut wish = TableWish {
            table,
            class: None,
            copies: None,
            storage: None,
            pins: Vec::new(),
            exclusions: Vec::new(),
        };
        for (key, value) in self.options(value, &key.text, TABLE) {
            match key.text.as_str() {
                "class" => wish.class = self.one_of(key, value, CLASSES),
                "copies" => wish.copies = self.copies(key, value),
                "storage" => wish.storage = self.one_of(key, value, STORAGES),
                "pins" => wish.pins = self.names(key, value, Self::node_name),
                "exclusions" => wish.exclusions = self.names(key, value, Self::node_name),
                _unknown_and_told => {}
            }
        }
        Some(wish)
    }

    /// The entries of a mapping of options: no key twice, and those that do not exist are told.
    fn options<'n>(&mut self, node: &'n Node, place: &str, known: &[&str]) -> Vec<(&'n Key, &'n Node)> {
        let entries = self.entries(node, place);
        entries
            .into_iter()
            .filter(|(key, _)| {
                let is_known = known.contains(&key.text.as_str());
                if !is_known {
                    self.unknown(key, place, known);
                }
                is_known
            })
            .collect()
    }

    /// The entries of a mapping, each key once.
    fn entries<'n>(&mut self, node: &'n Node, place: &str) -> Vec<(&'n Key, &'n Node)> {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Scalar(text) if text.is_empty() => &[],
            Value::Scalar(_) | Value::List(_) | Value::Alias => {
                self.bad(place, node, "keys and values (`key: value`)");
                &[]
            }
        };
        let mut first: HashMap<&str, u32> = HashMap::new();
        let mut once = Vec::new();
        for (key, value) in entries {
            if let Some(before) = first.get(key.text.as_str()) {
                self.problems.push(Problem::PolicyTwice {
                    key: shorten(&key.text),
                    lines: Lines::of([*before, key.line]),
                });
            } else {
                first.insert(&key.text, key.line);
                once.push((key, value));
            }
        }
        once
    }

    fn each<T>(
        &mut self,
        key: &Key,
        value: &Node,
        read: impl Fn(&mut Self, &Key, &Node) -> Option<T>,
    ) -> Vec<T> {
        self.entries(value, &key.text).into_iter().filter_map(|(key, value)| read(self, key, value)).collect()
    }

    /// One text or a list of them, none of them twice.
    fn names<T: PartialEq>(
        &mut self,
        key: &Key,
        value: &Node,
        read: impl Fn(&mut Self, &Key, &str, u32) -> Option<At<T>>,
    ) -> Vec<At<T>> {
        let nodes = match &value.value {
            Value::List(nodes) => nodes.as_slice(),
            Value::Scalar(text) if text.is_empty() => &[],
            Value::Scalar(_) | Value::Map(_) | Value::Alias => std::slice::from_ref(value),
        };
        let mut names: Vec<At<T>> = Vec::new();
        for node in nodes {
            let Value::Scalar(text) = &node.value else {
                self.bad(&key.text, node, "a text, or a list of texts");
                continue;
            };
            let Some(name) = read(self, key, text, node.line) else { continue };
            match names.iter().find(|before| before.value == name.value) {
                Some(before) => self.problems.push(Problem::PolicyTwice {
                    key: shorten(text),
                    lines: Lines::of([before.line, name.line]),
                }),
                None => names.push(name),
            }
        }
        names
    }

    fn node_name(&mut self, key: &Key, text: &str, line: u32) -> Option<At<NodeName>> {
        match node_name::well_formed(text) {
            Ok(value) => Some(At { value, line }),
            Err(reason) => {
                let expected = format!("the full name of a node, such as ejabberd@foo.bar: {reason}");
                self.bad_text(&key.text, text, line, &expected);
                None
            }
        }
    }

    fn table_name(&mut self, key: &Key, text: &str, line: u32) -> Option<At<TableName>> {
        let fits = !text.is_empty() && text.chars().count() <= MAX_NAME && text != "schema";
        if !fits {
            self.bad_text(&key.text, text, line, "the name of a table; the schema is everywhere");
        }
        fits.then(|| At { value: text.into(), line })
    }

    fn window(&mut self, key: &Key, text: &str, line: u32) -> Option<At<Window>> {
        let value = window(text);
        if value.is_none() {
            self.bad_text(&key.text, text, line, WINDOW);
        }
        value.map(|value| At { value, line })
    }

    fn copies(&mut self, key: &Key, value: &Node) -> Option<At<Copies>> {
        self.scalar(key, value, COPIES, |text| match text {
            "all" => Some(Copies::All),
            number => {
                let number = number.parse().ok().filter(|number| (1..=MAX_COPIES).contains(number));
                number.map(Copies::Exactly)
            }
        })
    }

    fn one_of<T: Copy>(&mut self, key: &Key, value: &Node, words: &[(&str, T)]) -> Option<At<T>> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let expected =
            if known == STORAGES.map(|(word, _)| word) { STORAGE.to_owned() } else { known.join(", ") };
        self.scalar(key, value, &expected, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
        })
    }

    fn text(&mut self, key: &Key, value: &Node, expected: &str) -> Option<At<String>> {
        let printable = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        self.scalar(key, value, expected, |text| printable(text).then(|| text.to_owned()))
    }

    fn amount(
        &mut self,
        key: &Key,
        value: &Node,
        expected: &str,
        read: fn(&str) -> Option<u64>,
    ) -> Option<At<Option<u64>>> {
        self.scalar(key, value, expected, |text| match text {
            "infinity" | "infinite" | "unlimited" => Some(None),
            text => read(text).map(Some),
        })
    }

    fn scalar<T>(
        &mut self,
        key: &Key,
        value: &Node,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<At<T>> {
        let found = match &value.value {
            Value::Scalar(text) => read(text),
            Value::List(_) | Value::Map(_) | Value::Alias => None,
        };
        if found.is_none() {
            self.bad(&key.text, value, expected);
        }
        found.map(|found| At { value: found, line: value.line })
    }

    fn unknown(&mut self, key: &Key, place: &str, known: &[&str]) {
        self.problems.push(Problem::PolicyUnknownKey {
            line: key.line,
            key: shorten(&key.text),
            place: shorten(place),
            nearest: nearest(&key.text, known).to_owned(),
            known: known.join(", "),
        });
    }

    fn bad(&mut self, key: &str, value: &Node, expected: &str) {
        let found = match &value.value {
            Value::Scalar(text) if text.is_empty() => "nothing",
            Value::Scalar(text) => text,
            Value::List(_) => "a list",
            Value::Map(_) => "keys and values",
            Value::Alias => "an alias, which is not followed",
        };
        self.bad_text(key, found, value.line, expected);
    }

    fn bad_text(&mut self, key: &str, found: &str, line: u32, expected: &str) {
        self.problems.push(Problem::PolicyBadValue {
            line,
            key: shorten(key),
            value: shorten(found),
            expected: expected.to_owned(),
        });
    }
}

const ROLES: &[(&str, Role)] =
    &[("master", Role::Master), ("slave", Role::Slave), ("witness", Role::Witness)];
const SYNCS: &[(&str, Sync)] = &[("auto", Sync::Auto), ("propose", Sync::Propose), ("off", Sync::Off)];
const CLASSES: &[(&str, Class)] =
    &[("durable", Class::Durable), ("owner_keyed", Class::OwnerKeyed), ("derived", Class::Derived)];
const STORAGES: &[(&str, Storage); 3] = &[
    ("ram_copies", Storage::RamCopies),
    ("disc_copies", Storage::DiscCopies),
    ("disc_only_copies", Storage::DiscOnlyCopies),
];

/// A whole number and the word behind it.
fn with_unit(text: &str) -> Option<(u64, String)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number = number.parse().ok().filter(|number| *number > 0)?;
    Some((number, unit.trim().to_ascii_lowercase()))
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = with_unit(text)?;
    let factor = match unit.as_str() {
        "" | "b" | "byte" | "bytes" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Milliseconds. The units are those that ejabberd knows.
fn duration(text: &str) -> Option<u64> {
    let (number, unit) = with_unit(text)?;
    let factor = match unit.as_str() {
        "" | "ms" | "msec" | "msecs" | "millisec" | "millisecs" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn window(text: &str) -> Option<Window> {
    let (from, to) = text.split_once('-')?;
    let window = Window { from: time_of_day(from)?, to: time_of_day(to)? };
    (window.from != window.to && window.from < 1_440).then_some(window)
}

/// Minutes since midnight, up to 24:00.
fn time_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let two_digits = |text: &str| -> Option<u16> {
        let fits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| text.parse().ok()).flatten()
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= 1_440).then_some(total)
}

/// The key that was most likely meant.
fn nearest<'k>(text: &str, known: &[&'k str]) -> &'k str {
    let typed: Vec<char> = text.chars().take(80).collect();
    known.iter().min_by_key(|word| distance(&typed, word)).copied().unwrap_or_default()
}

/// How many characters have to be inserted, deleted or changed.
fn distance(typed: &[char], word: &str) -> usize {
    let mut row: Vec<usize> = (0..=typed.len()).collect();
    for (number, of_word) in word.chars().enumerate() {
        let mut diagonal = std::mem::replace(row.first_mut().unwrap_or(&mut 0), number + 1);
        let mut left = number + 1;
        for (cell, of_typed) in row.iter_mut().skip(1).zip(typed) {
            let cheapest = (diagonal + usize::from(*of_typed != of_word)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, cheapest);
            left = cheapest;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// An error text need not repeat a megabyte.
fn shorten(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let texts = ["5", "2 GB", "2gb", "1 MiB", "0", "x", "5 x", "", "99999999999 TB"];
        let sizes =
            [Some(5), Some(2_000_000_000), Some(2_000_000_000), Some(1 << 20), None, None, None, None, None];
        assert_eq!(texts.map(size), sizes);
    }

    #[test]
    fn durations_have_the_units_of_ejabberd() {
        let texts = ["250", "2 s", "3 Minutes", "1h", "1 d", "0 s", "1 week"];
        let durations =
            [Some(250), Some(2_000), Some(180_000), Some(3_600_000), Some(86_400_000), None, None];
        assert_eq!(texts.map(duration), durations);
    }

    #[test]
    fn windows_are_times_of_the_day() {
        let minutes = |text| window(text).map(|window| (window.from, window.to));
        assert_eq!(minutes("02:00-05:30"), Some((120, 330)));
        assert_eq!(minutes("22:00 - 24:00"), Some((1_320, 1_440)));
        assert_eq!(minutes("23:00-01:00"), Some((1_380, 60)));
        for bad in ["2-5", "02:00", "02:60-03:00", "25:00-26:00", "02:00-02:00", "24:00-01:00", "+2:00-03:00"]
        {
            assert_eq!(minutes(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        assert_eq!(nearest("copis", POLICY), "copies");
        assert_eq!(nearest("maxstall", POLICY), "max_stall");
        assert_eq!(nearest("exclusion", TABLE), "exclusions");
    }
}
