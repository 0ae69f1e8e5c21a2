//! What there is to see in the loaded tables, and what to try next.

use std::path::Path;

use super::folder::DemoFolder;
use super::lake::{number, session_over, shown};
use super::second_day::SHOWN_CUSTOMER;
use crate::error::{Result, TestkitError};

/// Shows the versions of a customer who moved on the second day, and which sales point at which of them.
pub(super) async fn history_of_a_customer(folder: &DemoFolder) -> Result<()> {
    let session = session_over(folder, &["gold.dim_customer", "gold.fact_sales"]).await?;
    let of_customer = format!("WHERE customer_id = {SHOWN_CUSTOMER}");
    let versions = number(&session, &format!("SELECT count(*) FROM dim_customer {of_customer}")).await?;
    let current =
        number(&session, &format!("SELECT count(*) FROM dim_customer {of_customer} AND __is_current"))
            .await?;
    println!("Customer {SHOWN_CUSTOMER} moved on day 2 (gold.dim_customer, type 2):");
    let history = format!(
        "SELECT customer_key, address, market_segment, cast(__valid_from AS date) AS valid_from, \
         cast(__valid_to AS date) AS valid_to, __is_current AS current FROM dim_customer {of_customer} \
         ORDER BY __valid_from"
    );
    println!("{}\n", shown(&session, &history).await?);
    println!("Sales keep the customer as of their order date (gold.fact_sales):");
    let sales = "SELECT c.address, count(*) AS order_lines, min(f.order_date) AS first_order, \
         max(f.order_date) AS last_order, sum(f.net_amount) AS net_amount \
         FROM fact_sales f JOIN dim_customer c ON c.customer_key = f.customer_key "
        .to_owned();
    let sales = format!(
        "{sales} WHERE c.customer_id = {SHOWN_CUSTOMER} AND NOT f.__is_deleted GROUP BY c.address ORDER BY first_order"
    );
    println!("{}\n", shown(&session, &sales).await?);
    if (versions, current) != (2, 1) {
        return Err(TestkitError::Step(format!(
            "customer {SHOWN_CUSTOMER} has {versions} versions and {current} current ones, not 2 and 1"
        )));
    }
    Ok(())
}

/// A number that source and target must agree on.
struct Agreement {
    what: &'static str,
    in_source: &'static str,
    in_target: &'static str,
}

const AGREEMENTS: [Agreement; 6] = [
    Agreement {
        what: "order lines",
        in_source: "SELECT count(*) FROM lineitem JOIN orders ON o_orderkey = l_orderkey",
        in_target: "SELECT count(*) FROM fact_sales WHERE NOT __is_deleted",
    },
    Agreement {
        what: "net sales (in cents)",
        in_source: "SELECT cast(100 * sum(l_extendedprice * (1 - l_discount)) AS bigint) FROM lineitem",
        in_target: "SELECT cast(100 * sum(net_amount) AS bigint) FROM fact_sales WHERE NOT __is_deleted",
    },
    Agreement {
        what: "customer of each line (checksum)",
        in_source: "SELECT sum(o_custkey) FROM lineitem JOIN orders ON o_orderkey = l_orderkey",
        in_target: "SELECT sum(c.customer_id) FROM fact_sales f JOIN dim_customer c ON c.customer_key = f.customer_key \
                    WHERE NOT f.__is_deleted AND cast(c.__valid_from AS date) <= f.order_date \
                    AND f.order_date < cast(c.__valid_to AS date)",
    },
    Agreement {
        what: "customers",
        in_source: "SELECT count(*) FROM customer",
        in_target: "SELECT count(*) FROM dim_customer WHERE __is_current AND __member_status = 'REAL'",
    },
    Agreement {
        what: "list prices (in cents)",
        in_source: "SELECT cast(100 * sum(p_retailprice) AS bigint) FROM part",
        in_target: "SELECT cast(100 * sum(list_price) AS bigint) FROM dim_product WHERE __member_status = 'REAL'",
    },
    Agreement {
        what: "pieces in stock",
        in_source: "SELECT sum(ps_availqty) FROM partsupp",
        in_target: "SELECT sum(available_quantity) FROM fact_inventory WHERE NOT __is_deleted",
    },
];

/// Compares the loaded tables with their sources.
pub(super) async fn agreement_with_the_source(folder: &DemoFolder) -> Result<()> {
    let sources = ["tpch.lineitem", "tpch.orders", "tpch.customer", "tpch.part", "tpch.partsupp"];
    let targets = ["gold.fact_sales", "gold.fact_inventory", "gold.dim_customer", "gold.dim_product"];
    let source = session_over(folder, &sources).await?;
    let target = session_over(folder, &targets).await?;
    println!("{:<34}{:>20}{:>20}", "Source and target agree:", "source", "target");
    for agreement in &AGREEMENTS {
        let in_source = number(&source, agreement.in_source).await?;
        let in_target = number(&target, agreement.in_target).await?;
        println!("  {:<32}{in_source:>20}{in_target:>20}", agreement.what);
        if in_source != in_target {
            return Err(TestkitError::Step(format!(
                "{}: the source says {in_source}, the target says {in_target}",
                agreement.what
            )));
        }
    }
    println!();
    Ok(())
}

/// Commands to go on with.
pub(super) fn what_to_try_next(kimball: &Path, folder: &DemoFolder) -> String {
    let (program, root) = (kimball.display(), folder.root().display());
    format!(
        "The project stays in {root}: configs/, data/ and warehouse/. To go on:

  cd {root}
  alias kimball={program}
  kimball plan                              what a run would do, and why
  kimball plan --format mermaid             the waves as a picture
  kimball run --select +fact_sales          one table and what it needs
  kimball run --format json                 one event a line
  kimball status                            what the control table says

Edit a file in configs/, for example track_history_columns of configs/dim_customer.yml, and run again.
The tables are plain Delta tables; with `pip install deltalake`:

  python3 -c \"from deltalake import DeltaTable, QueryBuilder as Q; print(Q().register('c', \\
    DeltaTable('warehouse/gold/dim_customer')).execute('select * from c where customer_id = {SHOWN_CUSTOMER}').read_all())\"
"
    )
}
