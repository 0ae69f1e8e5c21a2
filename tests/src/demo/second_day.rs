//! The second day: customers move, prices rise, orders come and go.

use std::fmt::Display;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::prelude::SessionContext;

use super::first_day::SCHEMA;
use super::folder::DemoFolder;
use super::lake::{changes_since, number, rows, session_over};
use crate::error::{Result, TestkitError};
use crate::foreign_reader::latest_version;
use crate::source_table::SourceTable;

/// The day on which it all happens, the first that TPC-H has no orders on.
pub(super) const DAY: &str = "1998-09-01";

/// The customer whose history is shown at the end: one of those that move, and one that orders on that day.
pub(super) const SHOWN_CUSTOMER: u32 = 7;

/// One order in so many is ordered again, with the next free order number of its block: TPC-H uses eight
/// numbers of every 32.
const REPEATED_ORDERS: u32 = 512;
const NEXT_FREE_NUMBER: u32 = 8;

/// Orders whose number this divides are cancelled.
const CANCELLED_ORDERS: u32 = 101;

/// Tables that the day changes.
const CHANGED: [&str; 6] = ["customer", "supplier", "part", "partsupp", "orders", "lineitem"];

/// Changes the source, each table in commits of `deltalake`, and says what its change feed then holds.
pub(super) async fn apply(folder: &DemoFolder) -> Result<()> {
    let mut before = Vec::new();
    for name in CHANGED {
        before.push((name, latest_version(&folder.warehouse(), &qualified(name))?.unwrap_or_default()));
    }
    // What comes new is made from what is there, so it is read before anything changes.
    let session = session_over(folder, &["tpch.customer", "tpch.orders", "tpch.lineitem"]).await?;
    let newcomers = Newcomers::of(&session).await?;
    let changed_customers = changed_customers(&session, &newcomers).await?;
    let orders = rows(&session, &repeated_orders(&newcomers)).await?;
    let lines = rows(&session, &lines_of_repeated_orders()).await?;

    let key = ["c_custkey".to_owned()];
    table(folder, "customer")?.merge(&key, Some(changed_customers), None, None).await?;
    update_the_rest(folder).await?;
    let (order, line) = (table(folder, "orders")?, table(folder, "lineitem")?);
    line.delete(Some(&format!("l_orderkey % {CANCELLED_ORDERS} = 0")), None).await?;
    order.delete(Some(&format!("o_orderkey % {CANCELLED_ORDERS} = 0")), None).await?;
    order.insert(orders, None).await?;
    line.insert(lines, None).await?;

    println!("What the change feeds of the source hold since the first load:");
    for (name, version) in before {
        println!("  {SCHEMA}.{name:<10}  {}", changes_since(folder, &qualified(name), version).await?);
    }
    println!();
    Ok(())
}

/// Suppliers that move, products that cost more, and stock that is filled up.
async fn update_the_rest(folder: &DemoFolder) -> Result<()> {
    let since = format!("timestamp '{DAY} 00:00:00'");
    let address = "concat(cast(s_suppkey as varchar), ' Market Square')";
    let supplier = [("s_address", address), ("updated_at", since.as_str())];
    table(folder, "supplier")?.update(Some("s_suppkey % 100 = 7"), supplier, None).await?;
    let part =
        [("p_retailprice", "cast(p_retailprice * 1.05 as decimal(15, 2))"), ("p_container", "'JUMBO BOX'")];
    table(folder, "part")?.update(Some("p_partkey % 50 = 3"), part, None).await?;
    let stock = [("ps_availqty", "cast(ps_availqty + 100 as int)")];
    table(folder, "partsupp")?.update(Some("ps_partkey % 40 = 11"), stock, None).await?;
    Ok(())
}

/// Customers that are new on this day; their numbers follow those that are there.
struct Newcomers {
    first: i64,
    count: i64,
}

impl Newcomers {
    async fn of(session: &SessionContext) -> Result<Self> {
        let there = number(session, "SELECT max(c_custkey) FROM customer").await?;
        Ok(Self { first: there + 1, count: (there / 500).max(3) })
    }
}

/// One customer in a hundred moves and changes segment, another has a new balance only, and some are new.
async fn changed_customers(session: &SessionContext, newcomers: &Newcomers) -> Result<RecordBatch> {
    let Newcomers { first, count } = newcomers;
    let since =
        format!("arrow_cast('{DAY}T00:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))') AS updated_at");
    let sql = format!(
        "SELECT c_custkey, c_name, concat(cast(c_custkey AS varchar), ' Harbour Road') AS c_address, c_nationkey, \
         c_phone, c_acctbal, CASE c_mktsegment WHEN 'BUILDING' THEN 'MACHINERY' ELSE 'BUILDING' END AS c_mktsegment, \
         c_comment, {since} FROM customer WHERE c_custkey % 100 = {SHOWN_CUSTOMER} \
         UNION ALL \
         SELECT c_custkey, c_name, c_address, c_nationkey, c_phone, cast(c_acctbal + 100 AS decimal(15, 2)), \
         c_mktsegment, c_comment, {since} FROM customer WHERE c_custkey % 100 = 57 \
         UNION ALL \
         SELECT c_custkey + {first} - 1, concat('Customer#', lpad(cast(c_custkey + {first} - 1 AS varchar), 9, '0')), \
         c_address, c_nationkey, c_phone, cast(0 AS decimal(15, 2)), c_mktsegment, c_comment, {since} \
         FROM customer WHERE c_custkey <= {count}"
    );
    let batches = rows(session, &sql).await?;
    let schema = batches.first().map(RecordBatch::schema);
    let schema = schema.ok_or_else(|| TestkitError::Step("no customer changes".to_owned()))?;
    Ok(concat_batches(&schema, &batches)?)
}

/// A share of the orders comes again on this day: a third from new customers, a third from those that moved.
fn repeated_orders(newcomers: &Newcomers) -> String {
    let Newcomers { first, count } = newcomers;
    format!(
        "SELECT o_orderkey + {NEXT_FREE_NUMBER} AS o_orderkey, \
         CASE WHEN o_orderkey = 1 THEN {SHOWN_CUSTOMER} \
         WHEN o_orderkey / {REPEATED_ORDERS} % 3 = 1 THEN {first} + o_orderkey / {REPEATED_ORDERS} % {count} \
         WHEN o_orderkey / {REPEATED_ORDERS} % 3 = 2 THEN (o_custkey - 1) / 100 * 100 + {SHOWN_CUSTOMER} \
         ELSE o_custkey END AS o_custkey, \
         'O' AS o_orderstatus, o_totalprice, DATE '{DAY}' AS o_orderdate, o_orderpriority, o_clerk, \
         o_shippriority, o_comment \
         FROM orders WHERE o_orderkey % {REPEATED_ORDERS} = 1"
    )
}

fn lines_of_repeated_orders() -> String {
    lines_again(NEXT_FREE_NUMBER, &format!("l_orderkey % {REPEATED_ORDERS} = 1"))
}

/// The lines of some orders for the same orders under a later number, with all dates as long after the order as they
/// were.
pub(super) fn lines_again(later: impl Display, which: &str) -> String {
    let moved = |column: &str| {
        format!(
            "arrow_cast(arrow_cast({column}, 'Int32') - arrow_cast(o_orderdate, 'Int32') \
             + arrow_cast(DATE '{DAY}', 'Int32'), 'Date32') AS {column}"
        )
    };
    format!(
        "SELECT l_orderkey + {later} AS l_orderkey, l_partkey, l_suppkey, l_linenumber, l_quantity, \
         l_extendedprice, l_discount, l_tax, 'N' AS l_returnflag, 'O' AS l_linestatus, {}, {}, {}, l_shipinstruct, \
         l_shipmode, l_comment \
         FROM lineitem JOIN orders ON l_orderkey = o_orderkey WHERE {which}",
        moved("l_shipdate"),
        moved("l_commitdate"),
        moved("l_receiptdate"),
    )
}

pub(super) fn qualified(name: &str) -> String {
    format!("{SCHEMA}.{name}")
}

pub(super) fn table(folder: &DemoFolder, name: &str) -> Result<SourceTable> {
    SourceTable::at(&folder.warehouse(), &qualified(name))
}
