//! The pages as HTML.

use kimball::{ControlRow, TableName};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::picture;
use super::site::{Site, Table};
use crate::moment::{seconds_between, shown, shown_time};

/// The page to begin with.
pub const INDEX: &str = "index.html";

const STYLE: &str = include_str!("style.css");

/// Where a page lies, which decides how it points at others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Index,
    Table,
}

/// All pages, each with its path below the folder of the site.
pub fn all(site: &Site) -> Vec<(String, String)> {
    let tables =
        site.tables.iter().map(|table| (format!("tables/{}.html", table.name), of_table(site, table)));
    [(INDEX.to_owned(), index(site))]
        .into_iter()
        .chain(tables)
        .map(|(path, page)| (path, page.into_string()))
        .collect()
}

/// The address of a table's page, as seen from a page.
pub fn page_of(table: &TableName, from: Page) -> String {
    match from {
        Page::Index => format!("tables/{table}.html"),
        Page::Table => format!("{table}.html"),
    }
}

fn whole(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (content) }
        }
    }
}

fn index(site: &Site) -> Markup {
    let content = html! {
        h1 { "The model, target " code { (site.target) } }
        h2 { "Waves" }
        div.wide { (picture::waves(site)) }
        @if !site.bus.facts.is_empty() {
            h2 { "Bus matrix" }
            div.wide { (bus_matrix(site)) }
        }
        h2 { "Tables" }
        div.wide { table {
            tr { th { "Table" } th { "Kind" } th { "Description" } th { "Last batch (UTC)" } th { "Status" } th.number { "Rows written" } }
            @for table in &site.tables {
                @let last = table.runs.first();
                tr {
                    td { (link(site, &table.name, Page::Index)) }
                    td { (table.kind) }
                    td { (table.description) }
                    td { (shown(last.and_then(|run| run.batch_started_at).map(shown_time))) }
                    td { (shown(last.and_then(|run| run.batch_status.as_deref()))) }
                    td.number { (shown(last.and_then(|run| run.rows_written))) }
                }
            }
        } }
    };
    whole(&format!("Model, {}", site.target), &content)
}

/// A row a fact, a column a dimension; where they meet, the columns that point.
fn bus_matrix(site: &Site) -> Markup {
    html! {
        table {
            tr {
                th { "Fact" }
                @for dimension in &site.bus.dimensions { th { (link(site, dimension, Page::Index)) } }
            }
            @for (fact, roles) in &site.bus.facts {
                tr {
                    td { (link(site, fact, Page::Index)) }
                    @for columns in roles {
                        td { @if !columns.is_empty() { "✓ " span.faint { (columns.join(", ")) } } }
                    }
                }
            }
        }
    }
}

fn of_table(site: &Site, table: &Table) -> Markup {
    let content = html! {
        p { a href=(format!("../{INDEX}")) { "← the model" } }
        h1 { (table.name) }
        p { (table.kind) @for tag in &table.tags { " " span.tag { (tag) } } }
        @if !table.description.is_empty() { p { (table.description) } }
        @if let Some(star) = picture::star(site, &table.name) {
            h2 { "Star" }
            div.wide { (star) }
        }
        h2 { "Columns" }
        (columns(site, table))
        h2 { "Where it comes from" }
        ul {
            @for (source, how) in &table.sources { li { code { (source) } ", read as a " (how) } }
        }
        @if let Some(sql) = &table.sql { pre { code { (sql) } } }
        p { "Configured in " code { (table.config_path) } ", stands in " (table.place) "." }
        (neighbours(site, "Needs", &table.needs))
        (neighbours(site, "Is needed by", &table.needed_by))
        (neighbours(site, "Writes, too", &table.companions))
        h2 { "Batches" }
        (runs(&table.runs))
    };
    whole(&table.name.to_string(), &content)
}

fn columns(site: &Site, table: &Table) -> Markup {
    let is_loaded = table.columns.iter().any(|column| !column.type_name.is_empty());
    html! {
        @if !is_loaded { p { "The table is not there yet: these are the columns that the configuration names." } }
        div.wide { table {
            tr { th { "Column" } th { "Type" } th { "Role" } th { "Description" } th { "Rules" } }
            @for column in &table.columns {
                tr {
                    td { code { (column.name) } }
                    td { (column.type_name) }
                    td {
                        (column.roles.join("; "))
                        @if let Some(dimension) = &column.references { " → " (link(site, dimension, Page::Table)) }
                    }
                    td { (column.description) }
                    td { (column.rules.join("; ")) }
                }
            }
        } }
    }
}

fn neighbours(site: &Site, title: &str, tables: &[TableName]) -> Markup {
    html! {
        @if !tables.is_empty() {
            p {
                (title) ": "
                @for (place, table) in tables.iter().enumerate() {
                    @if place > 0 { ", " }
                    (link(site, table, Page::Table))
                }
            }
        }
    }
}

fn runs(runs: &[ControlRow]) -> Markup {
    html! {
        @if runs.is_empty() {
            p { "None yet." }
        } @else {
            div.wide { table {
                tr {
                    th { "Started (UTC)" } th { "Source" } th { "Status" } th.number { "Seconds" } th.number { "Read" }
                    th.number { "Written" } th { "Error" }
                }
                @for run in runs {
                    tr {
                        td { (shown(run.batch_started_at.map(shown_time))) }
                        td { (run.source_table) }
                        td { (shown(run.batch_status.as_deref())) }
                        td.number { (shown(seconds_between(run.batch_started_at, run.batch_completed_at))) }
                        td.number { (shown(run.rows_read)) }
                        td.number { (shown(run.rows_written)) }
                        td { (run.error_message.as_deref().unwrap_or_default()) }
                    }
                }
            } }
        }
    }
}

/// A table's name, which leads to its page where it has one.
fn link(site: &Site, table: &TableName, from: Page) -> Markup {
    html! {
        @if site.has_page(table) { a href=(page_of(table, from)) { (table) } } @else { (table) }
    }
}
