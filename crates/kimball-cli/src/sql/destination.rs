//! Where an answer goes: the standard output, or a file that is there when the answer is complete, and not before.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Where an answer goes.
pub struct Destination {
    writer: Box<dyn Write + Send>,
    /// The file that is written aside, and the place that it takes.
    file: Option<(PathBuf, PathBuf)>,
    is_reader_gone: bool,
}

impl Destination {
    /// The standard output, or a file.
    pub fn open(file: Option<&Path>) -> io::Result<Self> {
        let Some(file) = file else {
            let writer = Box::new(BufWriter::new(io::stdout()));
            return Ok(Self { writer, file: None, is_reader_gone: false });
        };
        let mut aside = file.as_os_str().to_owned();
        aside.push(format!(".{}", std::process::id()));
        let aside = PathBuf::from(aside);
        let writer = Box::new(BufWriter::new(File::create(&aside)?));
        Ok(Self { writer, file: Some((aside, file.to_owned())), is_reader_gone: false })
    }

    /// Whether the reader has gone away: it has read enough, and what follows is nobody's.
    pub fn is_reader_gone(&self) -> bool {
        self.is_reader_gone
    }

    /// The answer is complete.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        match self.file.take() {
            Some((aside, file)) => fs::rename(aside, file),
            None => Ok(()),
        }
    }

    fn noting<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.is_reader_gone |= error.kind() == ErrorKind::BrokenPipe;
        }
        result
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes);
        self.noting(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        self.noting(flushed)
    }
}

/// An answer that did not come to its end leaves no file.
impl Drop for Destination {
    fn drop(&mut self) {
        if let Some((aside, _)) = &self.file {
            // A file that cannot be removed is at least none that was asked for.
            let _ = fs::remove_file(aside);
        }
    }
}
