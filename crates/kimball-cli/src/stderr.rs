//! What goes to the standard error. If that is closed there is nobody left to tell.

use std::fmt::Display;
use std::io::{self, Write};

/// Something is wrong and the work ends.
pub fn error(message: impl Display) {
    line(format_args!("error: {message}"));
}

/// Something is wrong and the work goes on.
pub fn warning(message: impl Display) {
    line(format_args!("warning: {message}"));
}

/// Something worth knowing.
pub fn note(message: impl Display) {
    line(format_args!("note: {message}"));
}

/// A text that says itself what it is.
pub fn line(text: impl Display) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
