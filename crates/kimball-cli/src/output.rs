//! The standard output.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use console::Term;

/// Where that what was asked for is written. A reader that goes away (`kimball plan | head`) is no error:
/// what follows is dropped, and the work goes on.
pub struct Output<W> {
    writer: W,
    state: State,
}

enum State {
    Open,
    ReaderGone,
    Broken(io::Error),
}

/// Columns of the terminal that the standard output goes to; `None` when it goes elsewhere.
pub fn terminal_width() -> Option<usize> {
    let terminal = Term::stdout();
    let (_, columns) = terminal.size_checked().filter(|_| terminal.is_term())?;
    Some(usize::from(columns))
}

impl<W: Write> Output<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { writer, state: State::Open }
    }

    /// Writes a text, which brings its own line breaks, and makes it visible at once.
    pub fn write(&mut self, text: impl Display) {
        if !matches!(self.state, State::Open) {
            return;
        }
        // One write a text, so that lines of several processes on one pipe do not mix.
        let text = text.to_string();
        let written = self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush());
        self.state = match written {
            Ok(()) => State::Open,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => State::ReaderGone,
            Err(error) => State::Broken(error),
        };
    }

    /// Writes a line.
    pub fn line(&mut self, text: impl Display) {
        self.write(format_args!("{text}\n"));
    }

    /// The first error, if any; a reader that went away is none. Later writes are dropped until it is taken.
    pub fn take_error(&mut self) -> Option<io::Error> {
        match std::mem::replace(&mut self.state, State::ReaderGone) {
            State::Broken(error) => Some(error),
            state => {
                self.state = state;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::{self, ErrorKind, Write};

    use super::Output;

    /// Takes one write, then refuses.
    struct Refusing {
        taken: Vec<u8>,
        with: ErrorKind,
    }

    impl Write for Refusing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.taken.is_empty() {
                self.taken.extend_from_slice(bytes);
                Ok(bytes.len())
            } else {
                Err(self.with.into())
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn after_three_lines(with: ErrorKind) -> Output<Refusing> {
        let mut output = Output::new(Refusing { taken: Vec::new(), with });
        for number in 1..=3 {
            output.line(number);
        }
        assert_eq!(output.writer.taken, b"1\n");
        output
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        assert!(after_three_lines(ErrorKind::BrokenPipe).take_error().is_none());
    }

    #[test]
    fn a_full_disk_is_an_error_told_once() {
        let mut output = after_three_lines(ErrorKind::StorageFull);
        assert_eq!(output.take_error().unwrap().kind(), ErrorKind::StorageFull);
        assert!(output.take_error().is_none());
    }
}
