//! `kimball schema`: what editors with a YAML language server go by.

use std::io;

use serde_json::Value;

use crate::args::SchemaOf;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Writes the JSON Schema of one kind of file.
pub fn schema(of: SchemaOf) -> Result<Exit, Failure> {
    let schema = match of {
        SchemaOf::Pipeline => kimball::pipeline_schema(),
        SchemaOf::Targets => kimball::targets_schema(),
    };
    let mut output = Output::new(io::stdout());
    output.write(text_of(&schema)?);
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(Exit::Success),
    }
}

/// A schema as text, with its last line break.
pub fn text_of(schema: &Value) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(schema).map_err(|error| Failure::Output(error.into()))? + "\n")
}
