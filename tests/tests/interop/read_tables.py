"""Reads Delta tables with deltalake, Polars and DuckDB and compares them with expected rows.

The argument is a JSON file: `readers` to ask, `tables` with name, path, columns and rows (canonical text, null for NULL), and `facts`,
pairs of a SQL query over the tables' short names and its one value as text. Ends with 1 and the differences when a
reader sees anything else.
"""

import datetime
import decimal
import json
import pathlib
import sys

import deltalake
import duckdb
import duckdb_extension_delta
import polars

# The guide's table, column for column: name, type, whether it may be NULL.
CONTROL_COLUMNS = [
    ("target_table", "string", False),
    ("source_table", "string", False),
    ("last_processed_version", "long", True),
    ("batch_id", "string", True),
    ("batch_started_at", "timestamp", True),
    ("batch_completed_at", "timestamp", True),
    ("batch_status", "string", True),
    ("rows_read", "long", True),
    ("rows_written", "long", True),
    ("error_message", "string", True),
    ("updated_at", "timestamp", False),
]
CONTROL_PARTITIONS = ["target_table", "source_table"]

EPOCH = datetime.datetime(1970, 1, 1)


def text(value):
    """A value in the form of the expected rows."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        shown = value.replace(tzinfo=None).strftime("%Y-%m-%d %H:%M:%S")
        micros = value.microsecond
        if micros == 0:
            return shown
        return f"{shown}.{micros // 1000:03}" if micros % 1000 == 0 else f"{shown}.{micros:06}"
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    return str(value)


def comparable(columns, rows):
    """Rows as sorted lists of text, their columns in the order of their names."""
    order = sorted(range(len(columns)), key=lambda position: columns[position])
    return sorted(([text(row[position]) for position in order] for row in rows), key=str)


def by_deltalake(table):
    query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(table["path"]))
    frame = polars.DataFrame(query.execute("SELECT * FROM t").read_all())
    return frame.columns, frame.rows()


def by_polars(table):
    frame = polars.scan_delta(table["path"]).collect()
    return frame.columns, frame.rows()


def duckdb_session():
    folder = pathlib.Path(duckdb_extension_delta.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    session = duckdb.connect(config={"autoinstall_known_extensions": False})
    session.execute(f"LOAD '{folder / 'delta.duckdb_extension'}'")
    session.execute("SET TimeZone = 'UTC'")
    return session


def by_duckdb(session):
    def read(table):
        scan = f"delta_scan('{table['path']}')"
        described = session.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()
        columns = [column[0] for column in described]
        is_time = [column[1].startswith("TIMESTAMP") for column in described]
        # As microseconds: to fetch times with a zone takes one more package.
        selected = [f'epoch_us("{name}")' if time else f'"{name}"' for name, time in zip(columns, is_time)]
        rows = session.execute(f"SELECT {', '.join(selected)} FROM {scan}").fetchall()

        def value(position, cell):
            if cell is None or not is_time[position]:
                return cell
            return EPOCH + datetime.timedelta(microseconds=cell)

        return columns, [[value(position, cell) for position, cell in enumerate(row)] for row in rows]

    return read


def by_pyarrow(table):
    frame = polars.DataFrame(deltalake.DeltaTable(table["path"]).to_pyarrow_table())
    return frame.columns, frame.rows()


def differences(table, columns, rows):
    expected = comparable(table["columns"], table["rows"])
    if sorted(columns) != sorted(table["columns"]):
        return [f"columns {sorted(columns)}, expected {sorted(table['columns'])}"]
    actual = comparable(columns, rows)
    if actual == expected:
        return []
    surplus = [row for row in actual if row not in expected][:3]
    missing = [row for row in expected if row not in actual][:3]
    return [f"{len(actual)} rows, expected {len(expected)}", f"+ {surplus}", f"- {missing}"]


def control_differences(path):
    table = deltalake.DeltaTable(path)
    columns = [(field.name, str(field.type.type), field.nullable) for field in table.schema().fields]
    partitions = table.metadata().partition_columns
    found = []
    if columns != CONTROL_COLUMNS:
        found.append(f"etl_control has the columns {columns}")
    if partitions != CONTROL_PARTITIONS:
        found.append(f"etl_control is partitioned by {partitions}")
    return found


def fact_differences(session, tables, facts):
    for table in tables:
        name = table["name"].split(".")[-1]
        session.execute(f"CREATE VIEW {name} AS SELECT * FROM delta_scan('{table['path']}')")
    found = []
    for query, expected in facts:
        value = text(session.execute(query).fetchone()[0])
        if value != expected:
            found.append(f"{query}: {value}, expected {expected}")
    return found


def main(expected_file):
    with open(expected_file, encoding="utf-8") as file:
        expected = json.load(file)
    session = duckdb_session()
    problems = []
    known = {"deltalake": by_deltalake, "polars": by_polars, "duckdb": by_duckdb(session), "pyarrow": by_pyarrow}
    for reader in expected["readers"]:
        read = known[reader]
        for table in expected["tables"]:
            found = differences(table, *read(table))
            problems.extend(f"{reader}, {table['name']}: {line}" for line in found)
            if not found:
                print(f"{reader} reads {table['name']}: {len(table['rows'])} rows")
    control = next(table for table in expected["tables"] if table["name"].endswith("etl_control"))
    problems.extend(control_differences(control["path"]))
    problems.extend(fact_differences(session, expected["tables"], expected["facts"]))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
