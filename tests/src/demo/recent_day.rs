//! Another second day, for measurements: one order line in a hundred changes, all of them of the newest orders, as most
//! days of business have it. The second day of the demo changes orders of all times.

use super::folder::DemoFolder;
use super::lake::{number, rows, session_over};
use super::second_day::{DAY, lines_again, qualified, table};
use crate::error::Result;

/// Changes `orders` and `lineitem`: of the newest two hundredth of the orders a third is cancelled and a third is shipped
/// otherwise, and two thirds of a hundredth come new behind the last number.
pub(super) async fn apply(folder: &DemoFolder) -> Result<()> {
    let session = session_over(folder, &[&qualified("orders"), &qualified("lineitem")]).await?;
    let last = number(&session, "SELECT max(o_orderkey) FROM orders").await?;
    let (changed_after, repeated_after) = (last - last / 200, last - last / 150);
    let repeated = format!("orderkey > {repeated_after}");
    // Numbers of orders come in blocks of 32.
    let later = (last - repeated_after) / 32 * 32 + 32;
    let orders = format!(
        "SELECT o_orderkey + {later} AS o_orderkey, o_custkey, 'O' AS o_orderstatus, o_totalprice, \
         DATE '{DAY}' AS o_orderdate, o_orderpriority, o_clerk, o_shippriority, o_comment \
         FROM orders WHERE o_{repeated}"
    );
    let (orders, lines) = (
        rows(&session, &orders).await?,
        rows(&session, &lines_again(later, &format!("l_{repeated}"))).await?,
    );

    let (order, line) = (table(folder, "orders")?, table(folder, "lineitem")?);
    let cancelled = |key: &str| format!("{key} > {changed_after} AND {key} % 3 = 0");
    line.delete(Some(&cancelled("l_orderkey")), None).await?;
    order.delete(Some(&cancelled("o_orderkey")), None).await?;
    let shipped = format!("l_orderkey > {changed_after} AND l_orderkey % 3 = 1");
    line.update(Some(&shipped), [("l_shipmode", "'DRONE'")], None).await?;
    order.insert(orders, None).await?;
    line.insert(lines, None).await?;
    Ok(())
}
