//! YAML as a tree that knows where it stands in the file and keeps plain scalars as they are written.

mod layout;
mod node;
mod parse;
mod scan_error;

pub(crate) use node::{Entry, Node, Scalar, ScalarStyle, Value};
pub(crate) use parse::{YamlError, parse};
