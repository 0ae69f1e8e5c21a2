//! What the planner has against a query, told by its message: there are no types for it.

use kimball_config::nearest;
use kimball_lake::with_sql_types;

use super::text::Sought;
use super::{Explained, Functions};

/// Functions of Spark that are not here, with what does the same.
const KNOWN_FROM_SPARK: &[(&str, &str)] = &[
    ("explode", "`unnest(x)` makes a row of each element"),
    ("make_timestamp", "`to_timestamp(text, 'yyyy-MM-dd HH:mm:ss')` reads a time"),
    ("percentile", "`percentile_cont(0.5) WITHIN GROUP (ORDER BY x)` is exact"),
    ("percentile_approx", "`approx_percentile_cont(x, 0.5)` does that"),
];

/// How a text is made into what it stands beside.
fn cast_it(types: &str) -> String {
    let (wanted, none) = match types {
        types if types.contains("timestamp") => ("TIMESTAMP", "time"),
        types if types.contains("date") => ("DATE", "date"),
        _ => ("DOUBLE", "number"),
    };
    format!("cast the text, such as `TRY_CAST(x AS {wanted})`, which gives NULL where one is no {none}")
}

/// The part of a text between two others.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

/// A message of the planner in other words, as far as it is one that people run into.
pub(super) fn explained(message: &str, functions: &Functions) -> Option<Explained> {
    if let Some(name) = between(message, "Invalid function '", "'") {
        return Some(unknown_function(name, functions));
    }
    if let Some(column) = between(message, "column \"", "\" must appear in the GROUP BY clause") {
        return Some(not_grouped(column));
    }
    if let Some(call) = between(message, "given name and argument types '", "'. You might") {
        return wrong_arguments(call, message);
    }
    if let Some(operation) = between(message, "Cannot coerce arithmetic expression ", " to valid types")
        .or_else(|| {
            message.split_once("common argument type for comparison operation ").map(|(_, rest)| rest)
        })
    {
        return wrong_operands(operation);
    }
    if let Some(rest) = between(message, "non-boolean predicate '", "' returning ") {
        let kind =
            message.rsplit_once(" returning ").map(|(_, kind)| with_sql_types(kind)).unwrap_or_default();
        let message = format!("WHERE wants a condition, and `{}` is a {kind}", bare(rest));
        return Some(Explained { message, help: None, sought: None });
    }
    if message.contains("Projections require unique expression names") {
        let name = between(message, "the expression \"", "\" at position")?;
        let name = name.rsplit_once(" AS ").map_or_else(|| bare(name), |(_, name)| name.to_owned());
        let message =
            format!("two columns of the query are called `{name}`: leave one out, or rename it with AS");
        return Some(Explained {
            message,
            help: None,
            sought: Some(Sought::Column { relation: None, name }),
        });
    }
    if let Some(kind) = between(message, "Cannot access field at argument 1: type ", " is not Struct") {
        let message = format!("the query takes a field of a {}, which has none", with_sql_types(kind));
        return Some(Explained { message, help: None, sought: None });
    }
    if message.contains("does not support logical expression WindowFunction(") {
        let message = "a window function stands where none may, such as in WHERE".to_owned();
        let help = "filter by it with QUALIFY, or in a query around this one".to_owned();
        return Some(Explained { message, help: Some(help), sought: None });
    }
    None
}

fn unknown_function(name: &str, functions: &Functions) -> Explained {
    let sought = Some(Sought::Call(name.to_owned()));
    if functions.windows.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        let message = format!("`{name}` looks at other rows, and the query does not say which");
        let help = format!("write `{name}(…) OVER (PARTITION BY … ORDER BY …)`");
        return Explained { message, help: Some(help), sought };
    }
    let spark = KNOWN_FROM_SPARK.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let help = match spark {
        Some((_, instead)) => Some((*instead).to_owned()),
        None => {
            let known = functions.calls.iter().chain(&functions.windows).map(String::as_str);
            nearest(name, known).map(|near| format!("did you mean `{near}`?"))
        }
    };
    Explained { message: format!("there is no function `{name}`"), help, sought }
}

/// A column without its relation.
fn bare(column: &str) -> String {
    column.rsplit_once('.').map_or(column, |(_, name)| name).trim_matches('"').to_owned()
}

fn not_grouped(column: &str) -> Explained {
    let is_name = column.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '"'));
    if !is_name {
        let message = format!("`{}` is neither grouped nor aggregated", column.replace('"', ""));
        let help =
            "add what it is made of to GROUP BY, or take one value of a group, such as `max(…)`".to_owned();
        return Explained { message, help: Some(help), sought: None };
    }
    let name = bare(column);
    Explained {
        message: format!("`{name}` is neither grouped nor aggregated"),
        help: Some(format!("add it to GROUP BY, or take one value of each group, such as `max({name})`")),
        sought: Some(Sought::Column { relation: None, name }),
    }
}

/// `call` is `sum(Utf8)`.
fn wrong_arguments(call: &str, message: &str) -> Option<Explained> {
    let (name, types) = call.split_once('(')?;
    let types = with_sql_types(types.strip_suffix(')')?);
    let sought = Some(Sought::OnlyCall(name.to_owned()));
    if let Some((wanted, given)) = between(message, "' expects ", ". No function")
        .and_then(|counts| counts.split_once(" arguments but received "))
    {
        let plural = if wanted == "1" { "argument" } else { "arguments" };
        let message = format!("`{name}` takes {wanted} {plural}, and is given {given}");
        return Some(Explained { message, help: None, sought });
    }
    let message = match types.as_str() {
        "" => format!("`{name}` is given nothing, and needs an argument"),
        types if !types.contains(", ") => format!("`{name}` does not take a {types}"),
        types => format!("`{name}` does not take ({types})"),
    };
    let help = types.contains("string").then(|| cast_it(&types));
    Some(Explained { message, help, sought })
}

/// `operation` is `Utf8 + Int64`.
fn wrong_operands(operation: &str) -> Option<Explained> {
    let told = with_sql_types(operation);
    let [left, sign, right] = told.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
    let message = match left == right {
        true => format!("`{sign}` does not take two values of type {left}"),
        false => format!("`{sign}` does not take a {left} and a {right}"),
    };
    let help = if told.contains("string") { cast_it(&told) } else { "cast one of the two".to_owned() };
    Some(Explained { message, help: Some(help), sought: None })
}
