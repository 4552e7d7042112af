//! The users of a machine, as `/etc/passwd` lists them.

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The home directory, where Erlang looks for the cookie.
    pub home: String,
}

/// Reads `/etc/passwd`. Lines that are something else are passed over.
#[must_use]
pub fn parse(text: &str) -> Vec<User> {
    let user = |line: &str| {
        let mut columns = line.trim_end().split(':');
        let name = columns.next()?.to_owned();
        let uid = columns.nth(1)?.parse().ok()?;
        let home = columns.nth(2)?.to_owned();
        Some(User { name, uid, home })
    };
    text.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_a_number_and_a_home() {
        let read =
            parse("root:x:0:0:root:/root:/bin/sh\nnonsense\nejabberd:x:103:106::/var/lib/ejabberd:/bin/sh\n");
        let expected = User { name: "ejabberd".into(), uid: 103, home: "/var/lib/ejabberd".into() };
        assert_eq!((read.len(), read.last()), (2, Some(&expected)));
    }
}
