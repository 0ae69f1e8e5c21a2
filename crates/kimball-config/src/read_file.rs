//! Reading one file as text, within a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::problem::Problem;
use crate::source_text::SourceFile;

/// Largest file that is read.
pub(crate) const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Reads `path` (shown to the user as `named`) as UTF-8; a byte order mark is dropped.
///
/// # Errors
/// A problem when the file cannot be read, is no regular file, is too large or is not UTF-8.
pub(crate) fn read_file(path: &Path, named: &Path) -> Result<SourceFile, Box<Problem>> {
    let refuse = |message: String| Box::new(Problem::error(message).in_file(named));
    let unreadable = |error: io::Error| refuse(why_unreadable(&error));
    let file = File::open(path).map_err(unreadable)?;
    // A pipe or a device could keep the reader waiting for ever.
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(refuse("this is no file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(refuse("this file is larger than 4 MiB".to_owned()));
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
            Ok(SourceFile::new(named, text))
        }
        Err(error) => Err(Box::new(not_utf8(named, error))),
    }
}

/// Why a file or folder cannot be read, without the number that the system gives to the reason.
pub(crate) fn why_unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "you may not read this".to_owned(),
        _ => format!("this cannot be read: {error}"),
    }
}

/// Points at the first byte that is not UTF-8, in a text that shows replacement characters.
fn not_utf8(named: &Path, error: std::string::FromUtf8Error) -> Problem {
    let valid = error.utf8_error().valid_up_to();
    let byte = error.as_bytes().get(valid).copied().unwrap_or_default();
    let lossy = String::from_utf8_lossy(error.as_bytes()).into_owned();
    let location = SourceFile::new(named, lossy).locate_written(valid..valid + 1);
    Problem::error(format!("this file is not UTF-8: the byte 0x{byte:02x} makes no character"))
        .in_file(named)
        .at(location)
        .with_help("save the file as UTF-8")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(bytes: &[u8]) -> Result<SourceFile, Box<Problem>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yml");
        std::fs::write(&path, bytes).unwrap();
        read_file(&path, Path::new("a.yml"))
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_with_their_line() {
        let problem = read(b"a: 1\nb: caf\xe9\n").unwrap_err();
        assert_eq!(problem.message, "this file is not UTF-8: the byte 0xe9 makes no character");
        let location = problem.location.unwrap();
        assert_eq!((location.line, location.column), (2, 7));
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(read("\u{feff}a: 1\n".as_bytes()).unwrap().text(), "a: 1\n");
    }

    #[test]
    fn a_huge_file_and_a_device_are_refused() {
        let too_large = usize::try_from(MAX_FILE_BYTES).unwrap() + 1;
        assert_eq!(read(&vec![b'a'; too_large]).unwrap_err().message, "this file is larger than 4 MiB");
        let device = read_file(Path::new("/dev/zero"), Path::new("zero.yml")).unwrap_err();
        assert_eq!(device.message, "this is no file");
        let nowhere = read_file(Path::new("/nowhere/a.yml"), Path::new("a.yml")).unwrap_err();
        assert_eq!(nowhere.message, "there is no such file");
    }
}
