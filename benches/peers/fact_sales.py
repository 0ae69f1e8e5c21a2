#!/usr/bin/env python3
"""fact_sales of the demo, by kimball and by DuckDB in turn, on the same files.

    cargo build --release -p kimball-cli && cargo build -p kimball-tests
    pip install duckdb deltalake
    python benches/peers/fact_sales.py --kimball target/release/kimball \
        --testkit target/debug/kimball-testkit --scale 1 --rounds 3 --dir /tmp/fact-sales

kimball loads the fact into a Delta table, with its four lookups (one as of the order date), grain check, change
feed, control rows and watermarks; the clock runs from the start of its process to its end. DuckDB joins the same
Parquet files with the dimensions that kimball made, by the same SQL, and writes one Parquet file: it checks and
remembers nothing. On day 2, when one order line in a hundred has changed, kimball takes the changes in, and DuckDB
does everything again, which is what it can do. The changes are those of the newest orders, or (scattered) of orders of
all times, so that a change lies in every part of every file.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

from deltalake import DeltaTable

DIMENSIONS = ["dim_customer", "dim_product", "dim_supplier", "dim_date"]
SQL = """
COPY (
  SELECT l.l_orderkey AS order_number, l.l_linenumber AS line_number, o.o_orderdate AS order_date,
         o.o_custkey AS customer_id, l.l_partkey AS product_id, l.l_suppkey AS supplier_id,
         l.l_shipdate AS ship_date, l.l_shipmode AS ship_mode, l.l_quantity AS quantity,
         l.l_extendedprice AS gross_amount,
         CAST(l.l_extendedprice * (1 - l.l_discount) AS DECIMAL(18, 4)) AS net_amount,
         coalesce(c.customer_key, -3) AS customer_key, coalesce(p.product_key, -3) AS product_key,
         coalesce(s.supplier_key, -3) AS supplier_key, coalesce(d.date_key, -3) AS order_date_key
  FROM read_parquet({lineitem}) l
  JOIN read_parquet({orders}) o ON o.o_orderkey = l.l_orderkey
  LEFT JOIN read_parquet({dim_customer}) c
    ON c.customer_id = o.o_custkey AND o.o_orderdate >= c.__valid_from AND o.o_orderdate < c.__valid_to
  LEFT JOIN read_parquet({dim_product}) p ON p.product_id = l.l_partkey
  LEFT JOIN (SELECT * FROM read_parquet({dim_supplier}) WHERE __is_current) s ON s.supplier_id = l.l_suppkey
  LEFT JOIN read_parquet({dim_date}) d ON d.calendar_date = o.o_orderdate
) TO '{target}' (FORMAT parquet, COMPRESSION zstd)
"""


def main():
    options = arguments()
    base = os.path.join(options.dir, "base")
    run([options.testkit, "source", str(options.scale), base])
    kimball(options, base, "wave:1")
    first = [measure(options, base, "first load") for _ in range(options.rounds)]
    kimball(options, base, "fact_sales")
    cases = {"first load": first}
    for what, day in [("day 2", "recent-day"), ("scattered", "second-day")]:
        changed = os.path.join(options.dir, day)
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(base, changed, copy_function=link)
        run([options.testkit, "source", day, changed])
        kimball(options, changed, "wave:1")
        cases[what] = [measure(options, changed, what) for _ in range(options.rounds)]
    table(cases)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kimball", required=True, type=os.path.abspath)
    parser.add_argument("--testkit", required=True, type=os.path.abspath)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", default="fact-sales", type=os.path.abspath)
    return parser.parse_args()


def measure(options, base, what):
    """One load by each, on a copy of the base folder made of links: neither changes a file that is there."""
    copy = os.path.join(options.dir, "round")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(base, copy, copy_function=link)
    ours = kimball(options, copy, "fact_sales")
    rows = DeltaTable(os.path.join(copy, "warehouse", "gold", "fact_sales")).count()
    theirs = duck(copy)
    print(f"{what}: kimball {ours[0]:.2f} s, DuckDB {theirs[0]:.2f} s", file=sys.stderr)
    shutil.rmtree(copy)
    return ours, theirs, rows


def link(source, target):
    # Whatever may be written in place is copied.
    in_place = "_delta_log" in source or not source.endswith(".parquet")
    return shutil.copy2(source, target) if in_place else os.link(source, target)


def kimball(options, folder, selected):
    return run([options.kimball, "run", "-s", selected, "-q"], folder)


def duck(folder):
    files = {name: parquet(folder, "tpch", name) for name in ["lineitem", "orders"]}
    files |= {name: parquet(folder, "gold", name) for name in DIMENSIONS}
    target = os.path.join(folder, "duck.parquet")
    program = f"import duckdb; duckdb.sql('''{SQL.format(target=target, **files)}''')"
    return run([sys.executable, "-c", program], folder)


def parquet(folder, schema, name):
    """The files of a table's newest version. Rows behind deletion vectors are few, and read along."""
    return sorted(path.removeprefix("file://") for path in
                  DeltaTable(os.path.join(folder, "warehouse", schema, name)).file_uris())


def run(command, folder=None):
    """Runs a process; its seconds and its peak memory in MiB."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        sys.exit(f"{' '.join(command)[:200]} failed")
    return seconds, usage.ru_maxrss / 1024


def table(cases):
    print(f"{'':<12}{'rows':>12}{'kimball':>12}{'peak':>12}{'DuckDB':>12}{'peak':>12}{'ratio':>8}")
    for what, rounds in cases.items():
        ours, theirs = ([one[place] for one in rounds] for place in (0, 1))
        seconds = [statistics.median(one[0] for one in side) for side in (ours, theirs)]
        peaks = [max(one[1] for one in side) for side in (ours, theirs)]
        print(f"{what:<12}{rounds[0][2]:>12,}{seconds[0]:>10.2f} s{peaks[0]:>8.0f} MiB"
              f"{seconds[1]:>10.2f} s{peaks[1]:>8.0f} MiB{seconds[0] / seconds[1]:>8.2f}")


if __name__ == "__main__":
    main()
