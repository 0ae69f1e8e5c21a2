//! Telling a URL of a failure.

use std::time::Duration;

use kimball_config::Secret;
use serde_json::Value;

/// How long the other side has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Posts a JSON object. The URL is a secret and stands in no message.
///
/// # Errors
/// Why it was not taken, in words.
pub(crate) async fn post(url: Secret, message: Value) -> Result<(), String> {
    let sent = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
        let body = message.to_string();
        let request = agent.post(url.expose()).header("content-type", "application/json");
        request.send(body.as_bytes()).map(drop).map_err(|error| reason(&error))
    });
    sent.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// An error without the address that it happened at.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(code) => format!("it answered {code}"),
        ureq::Error::Timeout(_) => format!("it did not answer within {} s", PATIENCE.as_secs()),
        ureq::Error::Io(error) => format!("it cannot be reached: {}", error.kind()),
        ureq::Error::HostNotFound => "its host is not known".to_owned(),
        ureq::Error::BadUri(_) => "its address is no URL".to_owned(),
        _ => "it cannot be reached".to_owned(),
    }
}
