//! What is installed, told by its files and without starting it.

use easy_cluster::model::machine::Versions;
use easy_cluster::model::machine::terms::{self, Term};

use super::files::Root;

/// Where packages put Erlang: a folder with `lib` and `releases`.
const ERLANG: [&str; 4] = ["/usr/lib/erlang", "/usr/local/lib/erlang", "/usr/lib64/erlang", "/opt/erlang"];
/// Where packages put applications.
const LIBRARIES: [&str; 5] = ["/usr/lib", "/usr/local/lib", "/usr/lib64", "/usr/share/erlang/lib", "/opt"];

pub(crate) fn versions(root: &Root) -> Versions {
    let mut folders = libraries(root);
    let erlang: Vec<String> = ERLANG.iter().map(|path| (*path).to_owned()).collect();
    // Packages that bring their own Erlang: /opt/ejabberd-23.10 with releases and lib inside.
    let own: Vec<String> = folders.iter().filter_map(|f| f.strip_suffix("/lib").map(str::to_owned)).collect();
    let otp = own.iter().chain(&erlang).find_map(|folder| otp(root, folder));
    folders.extend(erlang.iter().map(|folder| format!("{folder}/lib")));
    Versions {
        otp,
        ejabberd: folders.iter().find_map(|folder| application(root, folder, "ejabberd")),
        mnesia: folders.iter().find_map(|folder| application(root, folder, "mnesia")),
    }
}

/// The usual folders, those of the processor's architecture inside them, and those of packages that stay together.
fn libraries(root: &Root) -> Vec<String> {
    let mut folders = Vec::new();
    for folder in LIBRARIES {
        folders.push(folder.to_owned());
        for name in root.names(folder) {
            if name.contains("-linux-") {
                folders.push(format!("{folder}/{name}"));
            } else if name.starts_with("ejabberd") {
                folders.push(format!("{folder}/{name}/lib"));
            }
        }
    }
    folders
}

fn otp(root: &Root, folder: &str) -> Option<String> {
    let releases = format!("{folder}/releases");
    // The release that starts is the one of start_erl.data: the emulator's version, the release's.
    let current = root.text(&format!("{releases}/start_erl.data"));
    let current = current.split_ascii_whitespace().nth(1).map(str::to_owned);
    let mut names: Vec<String> = current.into_iter().chain(root.names(&releases).into_iter().rev()).collect();
    names.dedup();
    names.iter().find_map(|name| {
        let version = root.text(&format!("{releases}/{name}/OTP_VERSION"));
        Some(version.trim().to_owned()).filter(|version| !version.is_empty())
    })
}

/// The version in the `.app` file of the last folder that is called `NAME-VERSION` or `NAME`.
fn application(root: &Root, folder: &str, name: &str) -> Option<String> {
    let is_its = |entry: &str| {
        let rest = entry.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let entries = root.names(folder);
    entries.iter().rev().filter(|entry| is_its(entry)).find_map(|entry| {
        let text = root.text(&format!("{folder}/{entry}/ebin/{name}.app"));
        version(&text)
    })
}

/// `{application, Name, [{vsn, Version}, ...]}.`
fn version(text: &str) -> Option<String> {
    let terms = terms::parse(text).ok()?;
    let properties = terms.first()?.tuple()?.get(2)?.list()?;
    properties.iter().find_map(|property| match property.tuple()? {
        [Term::Atom(key), Term::Text(version)] if key == "vsn" => Some(version.clone()),
        _other_property => None,
    })
}
