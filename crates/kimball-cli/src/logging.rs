//! Logs on stderr.

use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{LogFormat, Options};

/// Clients of other hosts, whose logs hold addresses.
const CLIENTS: [&str; 2] = ["ureq", "ureq_proto"];

/// Starts to log as the options and `RUST_LOG` (`warn,kimball_engine=debug`) say.
#[allow(clippy::disallowed_methods, reason = "the environment of the command comes in here")]
pub fn start(options: &Options) {
    let by_options = match options.verbose {
        // Libraries report commits that lost a race and are made again; real errors come back as such.
        0 => "kimball=error",
        1 => "kimball=info,warn",
        2 => "kimball=debug,info",
        _ => "trace",
    };
    let by_user = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter: Targets = by_user.or_else(|| by_options.parse().ok()).unwrap_or_default();
    // The address of a webhook is a secret, and the client tells it to whoever listens closely.
    let filter = CLIENTS.iter().fold(filter, |filter, client| filter.with_target(*client, LevelFilter::OFF));
    let logs = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let registry = tracing_subscriber::registry();
    // Only a second start in one process could fail, and there is none.
    let _ = match options.log_format {
        LogFormat::Text => registry.with(logs.with_filter(filter)).try_init(),
        LogFormat::Json => registry.with(logs.json().with_filter(filter)).try_init(),
    };
}
