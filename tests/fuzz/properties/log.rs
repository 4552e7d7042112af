//! What holds for the reader of logs, whatever is in them and however they arrive.

use easy_cluster::explain::errors;
use easy_cluster::explain::log::{
    self, Explainer, Explanation, MAX_OF_ONE_CODE, MAX_SIGHTINGS, Sighting, Told, words,
};

/// A cookie that stands in no seed.
const SECRET: &str = "XYZZYPLUGHQUUXFROTZ";
/// As people and programs write it, in one line or over two.
const PLANTED: [&str; 6] = [
    "erl -setcookie XYZZYPLUGHQUUXFROTZ -noinput ",
    "[{setcookie,[\"XYZZYPLUGHQUUXFROTZ\"]}] ",
    "[{setcookie,\n   [\"XYZZYPLUGHQUUXFROTZ\"]}] ",
    "ERLANG_COOKIE=XYZZYPLUGHQUUXFROTZ ",
    "\"cookie\": \"XYZZYPLUGHQUUXFROTZ\" ",
    "erlang:set_cookie('a@b.c', 'XYZZYPLUGHQUUXFROTZ') ",
];
/// The longest quotation, characters.
const QUOTE: usize = 300;
/// So much is collected before it is searched, bytes.
const BATCH: usize = 128 << 10;
/// So much of it stays for the next search, bytes.
const OVERLAP: usize = 8 << 10;

/// The first three bytes choose where the text is cut, where a cookie is planted, and whether much stands before it.
pub fn hold(input: &[u8]) {
    let [high, low, how, text @ ..] = input else { return };
    let at = usize::from(u16::from_be_bytes([*high, *low])) % (text.len() + 1);
    let whole = read(&[text]);
    promised(&whole, text);
    let (head, tail) = text.split_at(at);
    assert_eq!(read(&[head, tail]), whole, "cut at {at}");
    line_by_line(text, &whole);

    // The fuzzer learns the word from the comparison below, and then writes it where it is no cookie.
    if text.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
        return;
    }
    let planted = PLANTED[usize::from(*how) % PLANTED.len()];
    let start = head.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let (before, after) = text.split_at(start);
    let text = [before, planted.as_bytes(), after].concat();
    let told = told(&text);
    assert!(!told.contains(SECRET), "{told}");
    if *how >= 0xe0 {
        far_into_a_log(&text, at);
    }
}

fn read(pieces: &[&[u8]]) -> Explanation {
    let mut explainer = Explainer::new();
    pieces.iter().for_each(|piece| explainer.feed(piece));
    explainer.finish()
}

fn promised(explanation: &Explanation, text: &[u8]) {
    let newlines = text.iter().filter(|byte| **byte == b'\n').count();
    let unended = usize::from(!text.is_empty() && !text.ends_with(b"\n"));
    assert_eq!(explanation.lines, (newlines + unended) as u64);
    let sightings = &explanation.sightings;
    assert!(sightings.len() <= MAX_SIGHTINGS);
    assert!(sightings.is_sorted_by_key(|sighting| sighting.line), "{sightings:?}");
    for sighting in sightings {
        let of_code = sightings.iter().filter(|other| other.problem.code() == sighting.problem.code());
        assert!(of_code.count() <= MAX_OF_ONE_CODE);
        assert_eq!(sightings.iter().filter(|other| other.problem == sighting.problem).count(), 1);
        assert!((1..=explanation.lines).contains(&sighting.line) && sighting.count > 0, "{sighting:?}");
        assert!(sighting.text.chars().count() <= QUOTE, "{sighting:?}");
        assert!(!sighting.text.contains(char::is_control), "{sighting:?}");
        let told = Told::new(sighting, &[]);
        assert!(told.evidence.len() < 8_192 && told.fix.len() < 8_192, "{told:?}");
    }
    let words = words(explanation, &[]);
    assert!(words.chars().all(|c| c == '\n' || !c.is_control()), "{words:?}");
}

fn line_by_line(text: &[u8], whole: &Explanation) {
    let Ok(text) = str::from_utf8(text) else { return };
    let mut explainer = Explainer::new();
    text.split_terminator('\n').for_each(|line| explainer.line(line));
    assert_eq!(explainer.finish(), *whole);
}

/// All that is said to somebody who asks for an explanation.
fn told(text: &[u8]) -> String {
    let explanation = read(&[text]);
    let all: Vec<Told> = explanation.sightings.iter().map(|sighting| Told::new(sighting, &[])).collect();
    let not_recognised = log::explain(&String::from_utf8_lossy(text)).err();
    let problems: Vec<_> =
        explanation.sightings.into_iter().map(|sighting| sighting.problem).chain(not_recognised).collect();
    format!("{all:?}\n{problems:?}\n{}", errors::problems(&problems))
}

/// The same is seen where the text stands so far into a log that a batch ends at its byte `at`, or near it.
fn far_into_a_log(text: &[u8], at: usize) {
    let end = ("\n\n".to_owned() + &"x".repeat(126)).repeat(OVERLAP / 64);
    let near = read(&[text, end.as_bytes()]);
    let filler = "x".repeat(4_095) + "\n";
    let room = BATCH - OVERLAP - at;
    let mut before = filler.repeat(room / filler.len());
    before += &("x".repeat(room % filler.len()) + "\n\n");
    let far = read(&[before.as_bytes(), text, end.as_bytes()]);
    let moved = before.matches('\n').count() as u64;
    let expected: Vec<Sighting> = near
        .sightings
        .into_iter()
        .map(|sighting| Sighting { line: sighting.line + moved, ..sighting })
        .collect();
    assert_eq!(far.sightings, expected, "a batch ends near byte {at}");
}
