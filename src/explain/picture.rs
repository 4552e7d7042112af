//! The topology before and after as an SVG picture: a row a node, by zones; its tables side by side, as wide as their bytes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::topology;
use crate::model::catalogue::Class;
use crate::model::count::counted;
use crate::model::name::NodeName;
use crate::model::table::Storage;
use crate::topology::{NodeTopology, TableTopology, Topology};
use crate::validate::problem::Bytes;

const MARGIN: f64 = 16.0;
const NAMES: f64 = 330.0;
const BAR: f64 = 420.0;
const GAP: f64 = 24.0;
const ROW: f64 = 32.0;
const BAR_HEIGHT: f64 = 16.0;
/// Narrower tables of a node are drawn as one, those that move and those that stay.
const NARROW: f64 = 3.0;
/// What is left of a bar for those, as what moves can be seen, however small it is.
const FOR_SMALL: f64 = 40.0;
/// How wide a letter is, about.
const LETTER: f64 = 6.2;

/// A whole document.
#[must_use]
pub fn svg(topology: &Topology) -> String {
    let rows = rows(topology);
    let most = rows.iter().flat_map(|row| [sum(&row.now), sum(&row.wanted)]).max().unwrap_or(0).max(1);
    let mut body = String::new();
    let mut y = 84.0;
    let mut zone = None;
    for row in &rows {
        if zone != Some(&row.node.zone) {
            y += 14.0;
            let name = row.node.zone.as_ref().map_or_else(|| "no zone".into(), |zone| format!("zone {zone}"));
            text(&mut body, (MARGIN, y), "zone", &name);
            y += 10.0;
            zone = Some(&row.node.zone);
        }
        self::row(&mut body, row, y, most);
        y += ROW;
    }
    legend(&mut body, y + 20.0);
    let (width, height) = (MARGIN * 2.0 + NAMES + BAR * 2.0 + GAP, y + 60.0);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<title>{}</title>\n{STYLE}<rect width=\"{width}\" height=\"{height}\" class=\"page\"/>\n{}{body}</svg>\n",
        escaped(&headline(topology)),
        head(topology)
    )
}

/// Colours that can be told apart without telling red from green; what comes and goes has a pattern, too.
const STYLE: &str = "<style>\n\
    .page{fill:#fff}.head{font-size:15px;font-weight:bold}.column,.zone{font-weight:bold;fill:#444}.small{fill:#555;font-size:10px}\
    .durable{fill:#88b4dd}.owner{fill:#ccbb44}.derived{fill:#66ccee}.local{fill:#bbbbbb}\
    .bar{stroke:#fff;stroke-width:1}.comes{stroke:#117733;stroke-width:2}.goes{stroke:#cc3311;stroke-width:2}\
    .changes{stroke:#000;stroke-width:2;stroke-dasharray:3 2}.label{fill:#000;font-size:9px;paint-order:stroke;stroke:#fff;stroke-width:2px}\
    .frame{fill:none;stroke:#ccc}.limit{stroke:#cc3311;stroke-width:1;stroke-dasharray:2 2}\n</style>\n\
    <defs>\n<pattern id=\"goes\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><path d=\"M0 6L6 0\" stroke=\"#cc3311\" \
    stroke-width=\"1.5\"/></pattern>\n<pattern id=\"comes\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><path d=\"M0 0L6 6\" \
    stroke=\"#117733\" stroke-width=\"1.5\"/></pattern>\n</defs>\n";

/// What becomes of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Stays,
    Comes,
    Goes,
    Changes,
}

/// A copy of a table, as it is drawn.
struct Part<'t> {
    table: &'t TableTopology,
    storage: Storage,
    fate: Fate,
}

/// A node with its copies, the largest first.
struct Row<'t> {
    node: &'t NodeTopology,
    now: Vec<Part<'t>>,
    wanted: Vec<Part<'t>>,
}

/// By zone, then by name.
fn rows(topology: &Topology) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> =
        topology.nodes.iter().map(|node| Row { node, now: Vec::new(), wanted: Vec::new() }).collect();
    rows.sort_by(|a, b| (&a.node.zone, &a.node.node).cmp(&(&b.node.zone, &b.node.node)));
    let at: HashMap<&NodeName, usize> =
        rows.iter().enumerate().map(|(place, row)| (&row.node.node, place)).collect();
    let mut tables: Vec<&TableTopology> = topology.tables.iter().collect();
    tables.sort_by(|a, b| (b.bytes.0, &a.table).cmp(&(a.bytes.0, &b.table)));
    for table in tables {
        let now: BTreeMap<&NodeName, Storage> =
            table.now.iter().map(|copy| (&copy.node, copy.storage)).collect();
        let wanted: BTreeMap<&NodeName, Storage> =
            table.wanted.iter().map(|copy| (&copy.node, copy.storage)).collect();
        for (node, storage) in &now {
            let fate = if wanted.contains_key(node) { Fate::Stays } else { Fate::Goes };
            if let Some(row) = at.get(node).and_then(|place| rows.get_mut(*place)) {
                row.now.push(Part { table, storage: *storage, fate });
            }
        }
        for (node, storage) in &wanted {
            let fate = match now.get(node) {
                None => Fate::Comes,
                Some(before) if before != storage => Fate::Changes,
                Some(_same) => Fate::Stays,
            };
            if let Some(row) = at.get(node).and_then(|place| rows.get_mut(*place)) {
                row.wanted.push(Part { table, storage: *storage, fate });
            }
        }
    }
    rows
}

fn sum(parts: &[Part<'_>]) -> u64 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.table.bytes.0))
}

fn headline(topology: &Topology) -> String {
    let count = |n: usize, noun| counted(n as u64, noun);
    format!(
        "{} and {}: {}, {} copied",
        count(topology.nodes.len(), "node"),
        count(topology.tables.len(), "table"),
        count(topology.steps.len(), "step"),
        topology.quality.moved
    )
}

fn head(topology: &Topology) -> String {
    let mut head = String::new();
    text(&mut head, (MARGIN, 30.0), "head", &headline(topology));
    text(&mut head, (MARGIN, 62.0), "column", "node");
    text(&mut head, (MARGIN + NAMES, 62.0), "column", "now");
    text(&mut head, (MARGIN + NAMES + BAR + GAP, 62.0), "column", "wanted");
    head
}

fn row(body: &mut String, row: &Row<'_>, y: f64, most: u64) {
    let role = if row.node.running { topology::role(row.node.role) } else { "DOWN" };
    text(body, (MARGIN, y + 9.0), "name", &shortened(&row.node.node.to_string(), NAMES));
    let wanted = row.node.wanted;
    let line =
        format!("{role}, {} copies, {} in memory, {} on disc", wanted.copies, wanted.memory, wanted.disk);
    text(body, (MARGIN, y + 22.0), "small", &line);
    let limit = [row.node.memory_limit, row.node.disk_limit].into_iter().flatten().map(|limit| limit.0).min();
    bar(body, &row.now, (MARGIN + NAMES, y), most, limit);
    bar(body, &row.wanted, (MARGIN + NAMES + BAR + GAP, y), most, limit);
}

#[expect(clippy::cast_precision_loss, reason = "a picture has few pixels")]
fn bar(body: &mut String, parts: &[Part<'_>], (x, y): (f64, f64), most: u64, limit: Option<u64>) {
    let scale = |bytes: u64| bytes as f64 / most as f64 * (BAR - FOR_SMALL);
    let _ =
        writeln!(body, "<rect x=\"{x}\" y=\"{y}\" width=\"{BAR}\" height=\"{BAR_HEIGHT}\" class=\"frame\"/>");
    let mut left = x;
    let mut small: BTreeMap<(Fate, &'static str), (u64, u64)> = BTreeMap::new();
    for part in parts {
        let bytes = part.table.bytes.0;
        let width = scale(bytes);
        if width < NARROW {
            let (count, sum) = small.entry((part.fate, class(part.table.class))).or_default();
            (*count, *sum) = (*count + 1, sum.saturating_add(bytes));
            continue;
        }
        segment(body, (left, y), width, part);
        left += width;
    }
    for ((fate, class), (count, bytes)) in small {
        let width = if fate == Fate::Stays { scale(bytes) } else { scale(bytes).max(NARROW) };
        let title = format!("{} of {}; {}", counted(count, "small table"), Bytes(bytes), happens(fate));
        rectangle(body, (left, y), width, &format!("bar {class}{}", outline(fate)), &title);
        shade(body, (left, y), width, fate);
        left += width;
    }
    if let Some(at) = limit.filter(|limit| *limit <= most).map(|limit| x + scale(limit)) {
        let below = y + BAR_HEIGHT + 2.0;
        let _ = writeln!(
            body,
            "<line x1=\"{at:.1}\" y1=\"{:.1}\" x2=\"{at:.1}\" y2=\"{below:.1}\" class=\"limit\"/>",
            y - 2.0
        );
    }
}

fn segment(body: &mut String, (x, y): (f64, f64), width: f64, part: &Part<'_>) {
    let table = part.table;
    let title = format!(
        "{} ({}): {}, {}, {}; {}",
        table.table,
        table.class.as_str(),
        part.storage.as_str(),
        counted(table.rows, "row"),
        table.bytes,
        happens(part.fate)
    );
    rectangle(body, (x, y), width, &format!("bar {}{}", class(table.class), outline(part.fate)), &title);
    shade(body, (x, y), width, part.fate);
    let name = table.table.to_string();
    #[expect(clippy::cast_precision_loss, reason = "a picture has few pixels")]
    let fits = (name.chars().count() as f64) * LETTER < width - 6.0;
    if fits {
        text(body, (x + 3.0, y + 11.5), "label", &name);
    }
}

fn happens(fate: Fate) -> &'static str {
    match fate {
        Fate::Stays => "stays",
        Fate::Comes => "comes",
        Fate::Goes => "goes",
        Fate::Changes => "is stored in another way",
    }
}

fn outline(fate: Fate) -> &'static str {
    match fate {
        Fate::Stays => "",
        Fate::Comes => " comes",
        Fate::Goes => " goes",
        Fate::Changes => " changes",
    }
}

fn shade(body: &mut String, (x, y): (f64, f64), width: f64, fate: Fate) {
    if matches!(fate, Fate::Comes | Fate::Goes) {
        let _ = writeln!(
            body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" fill=\"url(#{})\" \
             pointer-events=\"none\"/>",
            happens(fate)
        );
    }
}

fn rectangle(body: &mut String, (x, y): (f64, f64), width: f64, class: &str, title: &str) {
    let _ = writeln!(
        body,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" class=\"{class}\"><title>{}</title></rect>",
        escaped(title)
    );
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Durable => "durable",
        Class::OwnerKeyed => "owner",
        Class::Derived => "derived",
        Class::Local => "local",
    }
}

fn legend(body: &mut String, y: f64) {
    let entries = [
        ("bar durable", "durable"),
        ("bar owner", "rows of processes"),
        ("bar derived", "derived"),
        ("bar local", "local"),
        ("page comes", "comes"),
        ("page goes", "goes"),
        ("page changes", "stored in another way"),
    ];
    let mut x = MARGIN;
    for (class, name) in entries {
        rectangle(body, (x, y), 14.0, class, name);
        text(body, (x + 20.0, y + 12.0), "small", name);
        #[expect(clippy::cast_precision_loss, reason = "a word is short")]
        let letters = name.len() as f64;
        x += 40.0 + letters * LETTER;
    }
    text(body, (x, y + 12.0), "small", "dashed line: limit");
}

fn text(body: &mut String, (x, y): (f64, f64), class: &str, words: &str) {
    let _ = writeln!(body, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escaped(words));
}

/// As much of a text as fits.
fn shortened(text: &str, width: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few dozen letters")]
    let letters = (width / LETTER) as usize;
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

/// A text inside an element: names come from files and from other nodes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // XML has no way to write these.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('?'),
            c => safe.push(c),
        }
    }
    safe
}
