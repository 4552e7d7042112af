//! A made-up machine: a folder with the files that the doctor reads, all of them healthy.

#![allow(clippy::allow_attributes, reason = "whether an item is dead depends on the test binary")]
#![allow(dead_code, missing_docs, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

pub const COOKIE: &str = "QWERTYUIOPASDFGHJKLZ";
pub const CTL: &str = "etc/ejabberd/ejabberdctl.cfg";
pub const VM_ARGS: &str = "etc/ejabberd/vm.args";
pub const INETRC: &str = "etc/ejabberd/inetrc";
pub const YML: &str = "etc/ejabberd/ejabberd.yml";
pub const HOSTS: &str = "etc/hosts";
pub const PASSWD: &str = "etc/passwd";
pub const SPOOL: &str = "var/lib/ejabberd";
pub const COOKIE_FILE: &str = "var/lib/ejabberd/.erlang.cookie";
pub const OTP_VERSION: &str = "usr/lib/erlang/releases/25/OTP_VERSION";

pub struct Machine {
    folder: TempDir,
}

impl Machine {
    /// `ejabberd@hello.world` on 10.0.0.1, which knows `foo.bar` on 10.0.0.2.
    pub fn healthy() -> Self {
        Self::called("hello.world", 1)
    }

    /// The machine that [`Machine::healthy`] knows.
    pub fn other() -> Self {
        Self::called("foo.bar", 2)
    }

    fn called(host: &str, number: u8) -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a folder") };
        let uid = machine.uid();
        machine.write(
            CTL,
            format!("ERLANG_NODE=ejabberd@{host}\nINET_DIST_INTERFACE=10.0.0.{number}\nFIREWALL_WINDOW=4370-4375\n"),
        );
        machine.write(YML, "hosts:\n  - chat.example\nauth_method: internal\nmodules:\n  mod_roster: {}\n");
        machine.write(INETRC, "{lookup, [\"file\"]}.\n{file, resolv, \"/etc/resolv.conf\"}.\n");
        machine.write(HOSTS, "127.0.0.1 localhost\n10.0.0.1 hello.world\n10.0.0.2 foo.bar\n");
        machine.write(
            PASSWD,
            format!("ejabberd:x:{uid}:1::/{SPOOL}:/bin/sh\nother:x:{}:1::/:/bin/sh\n", uid + 1),
        );
        machine.cookie(COOKIE);
        machine.listening(&[[127, 0, 0, 1], [10, 0, 0, number]]);
        machine.write(
            "proc/net/fib_trie",
            format!("|-- 127.0.0.1\n   /32 host LOCAL\n|-- 10.0.0.{number}\n   /32 host LOCAL\n"),
        );
        machine.write("proc/sys/kernel/hostname", format!("{host}\n"));
        machine.write(OTP_VERSION, "25.2.3\n");
        machine.write(
            "usr/lib/x86_64-linux-gnu/ejabberd-23.01-1/ebin/ejabberd.app",
            "%% x\n{application, ejabberd, [{description, \"x\"}, {vsn, \"23.01-1\"}]}.\n",
        );
        machine.write(
            "usr/lib/erlang/lib/mnesia-4.21.3/ebin/mnesia.app",
            "{application, mnesia, [{vsn, \"4.21.3\"}]}.\n",
        );
        machine
    }

    pub fn uid(&self) -> u32 {
        fs::metadata(self.folder.path()).expect("the folder is there").uid()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, path: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        let _ = fs::remove_file(&path);
        fs::write(&path, contents).expect("a file");
    }

    pub fn append(&self, path: &str, text: &str) {
        let mut all = fs::read(self.path(path)).unwrap_or_default();
        all.extend(text.as_bytes());
        self.write(path, all);
    }

    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(path)).expect("it is there");
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, text.replace(from, to));
    }

    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it was there");
    }

    pub fn directory(&self, path: &str) {
        self.remove(path);
        fs::create_dir(self.path(path)).expect("a folder");
    }

    pub fn fifo(&self, path: &str) {
        self.remove(path);
        let made = Command::new("mkfifo").arg(self.path(path)).status().expect("mkfifo is there");
        assert!(made.success());
    }

    pub fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).expect("it is there");
    }

    pub fn cookie(&self, contents: impl AsRef<[u8]>) {
        self.write(COOKIE_FILE, contents);
        self.mode(COOKIE_FILE, 0o400);
    }

    /// epmd listens on these addresses, and on no other.
    pub fn listening(&self, addresses: &[[u8; 4]]) {
        let line = |address: &[u8; 4]| {
            let word = u32::from_ne_bytes(*address);
            assert!(Ipv4Addr::from(*address).octets() == *address);
            format!("   0: {word:08X}:1111 00000000:0000 0A 00000000:00000000\n")
        };
        self.write("proc/net/tcp", addresses.iter().map(line).collect::<String>());
    }

    /// A database of that node, as OTP 26 and later write it.
    pub fn database_of(&self, node: &str) {
        let atom = |text: &str| [&[119, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
        let term = [
            vec![131, 104, 3],
            atom("schema"),
            atom("schema"),
            vec![108, 0, 0, 0, 1, 104, 2],
            atom("disc_copies"),
            vec![108, 0, 0, 0, 1],
            atom(node),
            vec![106, 106],
        ]
        .concat();
        // It counts its own four bytes.
        let length = u32::try_from(term.len()).expect("short") + 4;
        let words = [0, 0x00ab_cdef, 0, 0, length + 8, 0x1234_5678, length].map(u32::to_be_bytes).concat();
        self.write(&format!("{SPOOL}/schema.DAT"), [words, term].concat());
    }

    pub fn doctor(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("the program runs")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_easy-cluster"));
        command.arg("doctor").arg("--root").arg(self.root()).env_remove("SUDO_USER");
        command
    }

    /// The report, and the exit status.
    pub fn report(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        let done = self.doctor(&[&["--json"], arguments].concat());
        let text = String::from_utf8(done.stdout).expect("UTF-8");
        assert!(!text.contains(COOKIE), "the cookie is in the report");
        let report = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{error}\n{text}\n{}", String::from_utf8_lossy(&done.stderr));
        });
        (report, done.status.code())
    }

    /// The codes of the findings.
    pub fn codes(&self, arguments: &[&str]) -> Vec<String> {
        codes(&self.report(arguments).0)
    }

    /// The findings of a comparison with another machine.
    pub fn compared(&self, other: &Self) -> Vec<String> {
        let report = self.path("report.json");
        fs::write(&report, other.doctor(&["--json"]).stdout).expect("a file");
        self.codes(&["--compare", report.to_str().expect("UTF-8")])
    }
}

pub fn codes(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().map(|finding| finding["code"].as_str().expect("a code").to_owned()).collect()
}
