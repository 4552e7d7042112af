//! Reading files that may be anything.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::model::machine::State;
use crate::validate::problem::Bytes;

/// Configuration files that are larger are not configuration files.
pub(crate) const CONFIGURATION: u64 = 1 << 20;

/// The file system of the machine that is looked at.
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// Where a path of that machine is found on this one.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
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
