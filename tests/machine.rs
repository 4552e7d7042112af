//! The parsers of a machine's files: any bytes are answered, and a real schema is read.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use easy_cluster::model::machine::{
    arguments, cookie, ejabberd_yml, hosts, schema, settings, shell, sockets, terms, text, users,
};
use proptest::prelude::*;

/// All parsers, on the same bytes.
fn read_as_everything(bytes: &[u8]) {
    let text = text::parse(bytes).text;
    let script = shell::parse(&text, &BTreeMap::new());
    let flags = arguments::parse(&text);
    let _ = settings::settings(&script, &flags, "hello.world");
    let _ = settings::settings(&script, &arguments::split(&text), "");
    let _ = terms::parse(&text);
    let _ = ejabberd_yml::parse(&text);
    let _ = hosts::parse(&text);
    let _ = hosts::parse_inetrc(&text);
    let _ = hosts::parse_resolver(&text);
    let _ = (sockets::parse(&text), sockets::parse_ipv4(&text), sockets::parse_ipv6(&text));
    let _ = users::parse(&text);
    let _ = cookie::parse(bytes);
    let _ = schema::parse(bytes);
}

/// What the files are made of, in any order.
fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "ERLANG_NODE=",
        "a@b.c",
        "\"",
        "'",
        "$(",
        ")",
        "${",
        "}",
        "`",
        "$X",
        "\\",
        "\n",
        "\r\n",
        " ",
        "\t",
        "#",
        ";",
        "if",
        "fi",
        "case",
        "esac",
        "&&",
        "||",
        "|",
        "<<EOF",
        "export ",
        "+=",
        "~",
        "-kernel",
        "-name",
        "-setcookie",
        "{",
        "[",
        "]",
        ",",
        ".",
        "%",
        "{host,",
        "{lookup,[",
        "1",
        "-",
        "- ",
        ": ",
        "? ",
        "&a ",
        "*a",
        "!!map ",
        "---",
        "...",
        "<<: ",
        ">-\n",
        "|+\n",
        "hosts",
        "modules",
        "127.0.0.1",
        "::1",
        "|-- ",
        "/32 host LOCAL",
        "0A",
        "00000000:1111",
        "\u{feff}",
        "\u{e9}",
        "\0",
    ]);
    prop::collection::vec(fragment, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn any_text_is_answered(text in fragments()) {
        read_as_everything(text.as_bytes());
    }

    #[test]
    fn a_quoted_value_is_read_as_it_was_written(value in "[ -~]{0,40}") {
        let script = shell::parse(&format!("X='{}'\n", value.replace('\'', "'\\''")), &BTreeMap::new());
        prop_assert_eq!(script.last("X").and_then(|found| found.value.clone().ok()), Some(value));
    }

    #[test]
    fn equal_cookies_have_equal_fingerprints_and_others_have_not(one in "[!-~]{1,40}", other in "[!-~]{1,40}") {
        let print = |text: &str| cookie::parse(text.as_bytes()).0.fingerprint;
        prop_assert_eq!(print(&one), print(&format!("{one}\n")));
        prop_assert_eq!(one == other, print(&one) == print(&other));
    }
}

/// Lines with quotes, variables and conditions, and with no word that is a program.
fn scripts() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "X=",
        "Y=",
        "X+=",
        "export ",
        "unset ",
        "\"",
        "'",
        "\\",
        "\n",
        "\n",
        "\n",
        " ",
        "\t",
        "#",
        ";",
        "qz",
        "1",
        "@h.w",
        "$X",
        "$Y",
        "${Y}",
        "${Y:-zq}",
        "$",
        "~",
        "if true; then ",
        "\nfi\n",
        " && ",
        " || ",
        "=",
        "\r",
        "(",
        ")",
        "{ ",
        "; }",
    ]);
    prop::collection::vec(fragment, 1..14).prop_map(|parts| format!("X=0\nY=1\n{}\n", parts.concat()))
}

/// The value that a real shell gives X; `None` where it cannot read the script.
fn by_a_shell(script: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("script"), script).expect("a file");
    let done = Command::new("sh")
        .args(["-c", ". ./script; printf 'X<%s' \"$X\""])
        .current_dir(folder.path())
        .env_clear()
        .output()
        .expect("there is a shell");
    let said = String::from_utf8(done.stdout).expect("UTF-8");
    said.split_once("X<").map(|(_, value)| value.to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_told_of_a_script_is_what_a_shell_says(script in scripts()) {
        let read = shell::parse(&script, &BTreeMap::new());
        let told = read.last("X").and_then(|found| found.value.clone().ok());
        // A shell that stops in the middle has read the lines before.
        if let (Some(told), None, true, Some(said)) = (told, &read.broken, read.unclear.is_empty(), by_a_shell(&script)) {
            prop_assert_eq!(told, said);
        }
    }
}

/// The schema of a real Mnesia, made in `folder`.
fn made_by_mnesia(folder: &Path) -> Vec<u8> {
    let program = "ok = mnesia:create_schema([node()]), ok = mnesia:start(), \
                   [{atomic, ok} = mnesia:create_table(T, [{disc_copies, [node()]}]) || T <- [a, schema_of_b, c]], \
                   {atomic, ok} = mnesia:delete_table(a), stopped = mnesia:stop(), halt().";
    // Without distribution, so that no epmd is left behind. The owner is then nonode@nohost.
    let done = Command::new("erl")
        .args(["-noinput", "-mnesia", "dir", &format!("\"{}\"", folder.display()), "-eval", program])
        .output()
        .expect("erl is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    fs::read(folder.join("schema.DAT")).expect("Mnesia has made a schema")
}

#[test]
fn the_schema_of_a_real_mnesia_names_its_owner_and_a_damaged_one_never_lies() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = made_by_mnesia(folder.path());
    let owner = Ok(vec!["nonode@nohost".into()]);
    assert_eq!(schema::parse(&whole), owner);

    let (mut refused, mut read) = (0, 0);
    for length in 0..whole.len() {
        match schema::parse(&whole[..length]) {
            Err(_) => refused += 1,
            answer => {
                assert_eq!(answer, owner, "{length} of {} bytes", whole.len());
                read += 1;
            }
        }
    }
    assert!(refused > 0 && read > 0, "{refused} refused, {read} read");

    let mut flipped = whole.clone();
    for at in 0..whole.len() {
        flipped[at] ^= 0xff;
        // A name may be misspelt by it, and nothing else may come of it.
        if let Ok(members) = schema::parse(&flipped) {
            assert!(
                members.iter().all(|member| member.as_str().chars().count() <= 32),
                "byte {at}: {members:?}"
            );
        }
        flipped[at] = whole[at];
    }
}
