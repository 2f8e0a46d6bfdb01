//! A file is either the old one or the new one: bytes go to a temporary name beside the target,
//! reach the disk, and then take the target's name.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::Result;

/// `<name>.tmp` beside `path`: on the same file system, so that the rename is atomic.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".tmp");
    path.with_file_name(name)
}

/// # Errors
/// I/O errors (a full disk among them); the old file is untouched then.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs_err::create_dir_all(dir)?;
    }
    let tmp = temporary(path);
    let written = (|| {
        let mut file = fs_err::File::create(&tmp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs_err::rename(&tmp, path)
    })();
    if written.is_err() {
        // The first error is the one to report; a leftover temporary file does no harm.
        let _ = fs_err::remove_file(&tmp);
    }
    Ok(written?)
}
