//! Objects that stand on a line of their own.

use kimball::EVENT_SCHEMA;
use serde::Serialize;

use crate::failure::Failure;

/// `body` as one line of JSON, with its line break, that begins as every event of a run does.
pub fn json_line(event: &str, body: impl Serialize) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        schema: u32,
        event: &'a str,
        #[serde(flatten)]
        body: T,
    }
    let line = Line { schema: EVENT_SCHEMA, event, body };
    Ok(serde_json::to_string(&line).map_err(|error| Failure::Output(error.into()))? + "\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::json_line;

    #[test]
    fn a_line_begins_with_schema_and_event_and_ends_in_a_line_break() {
        let line = json_line("plan", json!({ "a": 1 })).unwrap();
        assert_eq!(line, "{\"schema\":1,\"event\":\"plan\",\"a\":1}\n");
    }
}
