//! The guide's example project: three dimensions, two facts, and two days of their sources.

use std::path::{Path, PathBuf};

use chrono::{Days, NaiveDate};

use crate::project::Project;

/// What the project loads, dimensions first.
pub const TABLES: [&str; 5] =
    ["gold.dim_customer", "gold.dim_product", "gold.dim_date", "gold.fact_sales", "gold.fact_inventory"];

/// Rows of the sources on the first day.
pub const CUSTOMERS: usize = 200;
pub const PRODUCTS: usize = 60;
pub const DAYS: usize = 365;
pub const ORDERS: usize = 400;
pub const LINES: usize = 2 * ORDERS;
pub const STOCK: usize = 2 * PRODUCTS;

/// The clock readings of the runs of the two days.
pub const FIRST_RUN: &str = "--run-time 2024-01-02T06:00:00Z";
pub const SECOND_RUN: &str = "--run-time 2024-01-03T06:00:00Z";

const FIRST_DAY: &str = "2024-01-01T12:00:00Z";
const SECOND_DAY: &str = "2024-01-02T12:00:00Z";

const CUSTOMER_COLUMNS: &str =
    "id bigint, name string, city string, segment string, email string, updated_at timestamp_ntz";
const PRODUCT_COLUMNS: &str = "id bigint, name string, price decimal(10,2), discontinued boolean";
const ORDER_COLUMNS: &str = "id bigint, customer_id bigint, order_date date";
const LINE_COLUMNS: &str =
    "order_id bigint, line_number int, product_id bigint, quantity int, amount decimal(12,2)";
const STOCK_COLUMNS: &str = "counted_on date, product_id bigint, quantity int";

/// The folder with its configs and its targets file.
pub fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("shop")
}

/// The project with the sources of the first day; nothing is loaded yet.
pub fn open() -> Project {
    let project = Project::of(&files());
    project.write("data/calendar.csv", &table("calendar_date,month", (0..DAYS).map(calendar_row)));
    let customers = (1..=CUSTOMERS).map(|id| customer_row(id, "Rome", "2023-01-01"));
    let products = (1..=PRODUCTS).map(|id| format!("{id} | Product {id} | {id}.50 | false"));
    let stock = (0..2).flat_map(|round| (1..=PRODUCTS).map(move |id| stock_row(round, id)));
    for (name, columns, rows) in [
        ("silver.customers", CUSTOMER_COLUMNS, table(CUSTOMER_HEAD, customers)),
        ("silver.products", PRODUCT_COLUMNS, table("id | name | price | discontinued", products)),
        ("silver.orders", ORDER_COLUMNS, table(ORDER_HEAD, (1..=ORDERS).map(order_row))),
        ("silver.order_lines", LINE_COLUMNS, table(LINE_HEAD, (1..=ORDERS).flat_map(line_rows))),
        ("silver.stock", STOCK_COLUMNS, table(STOCK_HEAD, stock)),
    ] {
        let source = project.source(name, columns);
        source.create();
        source.insert(FIRST_DAY, &rows);
    }
    project
}

/// The changes of the second day: customers move, one leaves and some come; prices rise and a product goes; an
/// order is cancelled, lines change and orders come; the stock is counted again.
pub fn second_day(project: &Project) {
    let customers = project.source("silver.customers", CUSTOMER_COLUMNS);
    let moved = [("city", "'Oslo'"), ("updated_at", "timestamp '2023-07-01 00:00:00'")];
    customers.update(SECOND_DAY, "id % 20 = 3", &moved);
    customers.update(SECOND_DAY, "id % 20 = 4", &[("email", "'new@example.com'")]);
    customers.delete(SECOND_DAY, "id = 200");
    let new = (201..=205).map(|id| customer_row(id, "Lima", "2023-08-01"));
    customers.insert(SECOND_DAY, &table(CUSTOMER_HEAD, new));

    let products = project.source("silver.products", PRODUCT_COLUMNS);
    products.update(SECOND_DAY, "id % 10 = 4", &[("price", "cast(price + 1 as decimal(10,2))")]);
    products.delete(SECOND_DAY, "id = 60");

    let (orders, lines) =
        (project.source("silver.orders", ORDER_COLUMNS), project.source("silver.order_lines", LINE_COLUMNS));
    orders.delete(SECOND_DAY, "id = 5");
    lines.delete(SECOND_DAY, "order_id = 5");
    lines.update(SECOND_DAY, "order_id % 40 = 7", &[("quantity", "cast(quantity + 1 as int)")]);
    orders.insert(SECOND_DAY, &table(ORDER_HEAD, (401..=420).map(order_row)));
    lines.insert(SECOND_DAY, &table(LINE_HEAD, (401..=420).flat_map(line_rows)));

    let stock = project.source("silver.stock", STOCK_COLUMNS);
    stock.insert(SECOND_DAY, &table(STOCK_HEAD, (1..=PRODUCTS).map(|id| stock_row(2, id))));
}

const CUSTOMER_HEAD: &str = "id | name | city | segment | email | updated_at";
const ORDER_HEAD: &str = "id | customer_id | order_date";
const LINE_HEAD: &str = "order_id | line_number | product_id | quantity | amount";
const STOCK_HEAD: &str = "counted_on | product_id | quantity";

fn table(head: &str, rows: impl Iterator<Item = String>) -> String {
    std::iter::once(head.to_owned()).chain(rows).map(|row| row + "\n").collect()
}

fn day(number: usize) -> NaiveDate {
    NaiveDate::from_ymd_opt(2023, 1, 1).unwrap() + Days::new(number as u64)
}

fn calendar_row(number: usize) -> String {
    let day = day(number);
    format!("{day},{}", day.format("%-m"))
}

fn customer_row(id: usize, city: &str, since: &str) -> String {
    let segment = ["home", "work", "public"][id % 3];
    format!("{id} | Customer {id} | {city} | {segment} | c{id}@example.com | {since}")
}

fn order_row(id: usize) -> String {
    format!("{id} | {} | {}", id * 7 % 205 + 1, day(id % DAYS))
}

fn line_rows(order: usize) -> impl Iterator<Item = String> {
    (1..=2).map(move |line| {
        format!("{order} | {line} | {} | {line} | {}.25", (order * 3 + line) % 60 + 1, order + line)
    })
}

fn stock_row(round: usize, product: usize) -> String {
    format!("{} | {product} | {}", day(30 * round), product + round)
}
