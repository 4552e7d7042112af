//! Arguments of the Erlang VM, as `vm.args` and `ERL_OPTIONS` give them.

/// `-flag value ...`, with its sign.
#[derive(Clone, PartialEq, Eq)]
pub struct Flag {
    /// The name with its sign, `-kernel` for example.
    pub name: String,
    /// What follows up to the next flag.
    pub values: Vec<String>,
}

// A cookie may stand among the values.
impl std::fmt::Debug for Flag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with {} values", self.name, self.values.len())
    }
}

/// Reads a file as `erl -args_file` does: blanks separate, quotes hold together, `#` begins a comment.
#[must_use]
pub fn parse(text: &str) -> Vec<Flag> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            quote @ ('"' | '\'') => {
                let inside = word.get_or_insert_default();
                while let Some(c) = chars.next_if(|c| *c != quote) {
                    if c == '\\' && quote == '"' {
                        inside.extend(chars.next());
                    } else {
                        inside.push(c);
                    }
                }
                chars.next();
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    flags(words)
}

/// Reads the value of a variable that the shell splits at blanks and does nothing else with.
#[must_use]
pub fn split(text: &str) -> Vec<Flag> {
    flags(text.split_ascii_whitespace().map(str::to_owned))
}

fn flags(words: impl IntoIterator<Item = String>) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    for word in words {
        match flags.last_mut() {
            _ if word.starts_with(['-', '+']) => flags.push(Flag { name: word, values: Vec::new() }),
            Some(flag) => flag.values.push(word),
            None => {}
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(flags: &[Flag]) -> Vec<(&str, Vec<&str>)> {
        flags
            .iter()
            .map(|flag| (flag.name.as_str(), flag.values.iter().map(String::as_str).collect()))
            .collect()
    }

    #[test]
    fn flags_have_the_values_that_follow_them() {
        let text =
            "# ours\n-name a@b.c\r\n-kernel net_ticktime 30 inet_dist_listen_min\t4370 # x\n+K true\n-hidden";
        assert_eq!(
            pairs(&parse(text)),
            [
                ("-name", vec!["a@b.c"]),
                ("-kernel", vec!["net_ticktime", "30", "inet_dist_listen_min", "4370"]),
                ("+K", vec!["true"]),
                ("-hidden", vec![]),
            ]
        );
    }

    #[test]
    fn quotes_hold_together_in_a_file_and_not_in_a_variable() {
        assert_eq!(
            pairs(&parse("-env A \"b # c\" 'd e' f\\ g ''")),
            [("-env", vec!["A", "b # c", "d e", "f g", ""])]
        );
        assert_eq!(pairs(&split("-env A \"b c\"")), [("-env", vec!["A", "\"b", "c\""])]);
    }

    #[test]
    fn values_are_not_shown() {
        assert_eq!(format!("{:?}", parse("-setcookie secret")), "[-setcookie with 1 values]");
    }
}
