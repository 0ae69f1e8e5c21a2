//! Logs on stderr.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, Options};

/// Starts to log as the options and `RUST_LOG` say.
pub fn start(options: &Options) {
    let by_options = match options.verbose {
        0 => "error",
        1 => "kimball=info,warn",
        2 => "kimball=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(by_options));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false);
    // Only a second start in one process could fail, and there is none.
    let _ = match options.log_format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
}
