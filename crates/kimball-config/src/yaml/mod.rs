//! YAML as a tree that knows where it stands in the file and keeps plain scalars as they are written.

mod node;
mod parse;

pub(crate) use node::{Entry, Node, Scalar, ScalarStyle, Value};
pub(crate) use parse::parse;
