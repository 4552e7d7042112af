//! Reading files that may be anything.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use easy_cluster::model::machine::State;
use easy_cluster::validate::problem::Bytes;

/// Configuration files that are larger are not configuration files.
pub(crate) const CONFIGURATION: u64 = 1 << 20;

/// As many links as the kernel follows.
const MOST_LINKS: u32 = 40;

/// The file system of the machine that is looked at.
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// Where a path of that machine is found on this one.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        if self.0 == Path::new("/") {
            return PathBuf::from(path);
        }
        // A link of that machine leads to a place on it, wherever its file system is mounted here.
        let mut there = PathBuf::new();
        let mut open: Vec<PathBuf> = vec![PathBuf::from(path)];
        let mut links = 0;
        while let Some(next) = open.pop() {
            let mut parts = next.components();
            let Some(part) = parts.next() else { continue };
            open.push(parts.as_path().to_owned());
            match part {
                Component::RootDir => there = PathBuf::new(),
                Component::ParentDir => drop(there.pop()),
                Component::CurDir | Component::Prefix(_) => {}
                Component::Normal(name) => {
                    let link =
                        fs::read_link(self.0.join(&there).join(name)).ok().filter(|_| links < MOST_LINKS);
                    match link {
                        Some(target) => {
                            links += 1;
                            open.push(target);
                        }
                        None => there.push(name),
                    }
                }
            }
        }
        self.0.join(there)
    }

    /// Whether it is the machine that this runs on.
    pub(crate) fn is_here(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// The contents of a file, and what the system says about it.
    pub(crate) fn read(&self, path: &str, most: u64) -> Result<(Vec<u8>, Metadata), State> {
        read(&self.at(path), most)
    }

    /// The text of a file of the system; empty where there is none.
    pub(crate) fn text(&self, path: &str) -> String {
        let bytes = self.read(path, CONFIGURATION).map(|(bytes, _)| bytes).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The names in a directory, sorted; empty where there is none.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }
}

/// The contents of a regular file of at most `most` bytes, and what the system says about it.
///
/// # Errors
/// Why there are none, in words: it is missing, larger, no regular file, or the system refuses it.
pub fn read(path: &Path, most: u64) -> Result<(Vec<u8>, Metadata), State> {
    let metadata = fs::metadata(path).map_err(|error| state(&error))?;
    refuse_others(&metadata, most)?;
    // It may have become a FIFO meanwhile, whose opening would wait for a writer.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file: File = opened.map_err(|error| state(&error))?;
    let metadata = file.metadata().map_err(|error| state(&error))?;
    refuse_others(&metadata, most)?;
    let mut bytes = Vec::new();
    // Files of the kernel have no size.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| state(&error))?;
    if bytes.len() as u64 > most {
        return Err(too_large(bytes.len() as u64, most));
    }
    Ok((bytes, metadata))
}

fn refuse_others(metadata: &Metadata, most: u64) -> Result<(), State> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => {
            return if metadata.len() > most { Err(too_large(metadata.len(), most)) } else { Ok(()) };
        }
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(State::Unreadable(format!("it is {what}")))
}

fn too_large(size: u64, most: u64) -> State {
    State::Unreadable(format!("it has {}, and at most {} are read", Bytes(size), Bytes(most)))
}

/// What an error of the system means for a file.
pub(crate) fn state(error: &io::Error) -> State {
    if error.kind() == io::ErrorKind::NotFound {
        return State::Missing;
    }
    State::Unreadable(words(error))
}

/// The system's words without its numbers.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
