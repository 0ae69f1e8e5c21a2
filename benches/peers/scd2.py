#!/usr/bin/env python3
"""One type 2 dimension by kimball and by the tools of peers.py in turn, on the same files.

    cargo xtask bench scd2 [--rows 1000000] [--rounds 5] [--layout scattered|clustered] [--peers duckdb,deltalake]
    cargo xtask bench days [--rows 1000000] [--days 30]
    cargo xtask bench idle [--pipelines 200]

Of kimball the whole process is timed: start, planning, lease, control rows, log and commits. Of a peer only the load
itself is, inside a process that is running already: no start, no imports. `days` loads one incremental batch a day and
compares the last with the second; `idle` runs a project in which nothing is new.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import deltalake

HERE = pathlib.Path(__file__).parent
CONFIG = """
table_name: gold.dim_customer{number}
table_type: dimension
scd_type: 2
keys: {{surrogate_key: customer_sk, natural_keys: [customer_id]}}
effective_at: updated_at
track_history_columns: [first_name, last_name, email, street, city, segment, phone, status, balance]
{missing}
sources: [{{name: customers{number}, format: parquet, path: "data/*.parquet"}}]
"""


def main():
    options = arguments()
    os.makedirs(options.dir, exist_ok=True)
    {"scd2": scd2, "days": days, "idle": idle}[options.case](options)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("case", choices=["scd2", "days", "idle"])
    parser.add_argument("--kimball", required=True, type=os.path.abspath)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", type=float, default=0.01)
    parser.add_argument("--new", type=float, default=0.001)
    parser.add_argument("--layout", choices=["scattered", "clustered"], default="scattered")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--pipelines", type=int, default=200)
    parser.add_argument("--peers", default="duckdb,deltalake,polars")
    parser.add_argument("--dir", default="scd2", type=os.path.abspath)
    options = parser.parse_args()
    options.peers = [peer for peer in options.peers.split(",") if peer]
    return options


def scd2(options):
    """First load, incremental batch and snapshot; each round all tools one after the other."""
    make(options)
    measured = {case: {} for case in ["first load", "incremental", "snapshot"]}
    for _ in range(options.rounds):
        for mode in ["incremental", "snapshot"]:
            loads, expected = [("kimball", *by_kimball(options, mode))], None
            for peer in options.peers:
                loads.append((peer, *by_peer(options, peer, mode)))
            for tool, load, merge, peak, rows in loads:
                expected = expected or rows
                if rows != expected:
                    sys.exit(f"{tool} has {rows} rows (all, current), others have {expected}")
                measured["first load"].setdefault(tool, []).append((load, peak[0]))
                measured[mode].setdefault(tool, []).append((merge, peak[1]))
    print(f"{options.rows:,} members, {options.layout} changes, medians of {options.rounds} rounds (of twice as many for "
          "the first load), lowest and highest; kimball's time as a multiple of the peer's\n")
    head = f"| {'case':<12} | {'tool':<10} | {'median':>8} | {'lowest':>8} | {'highest':>8} | {'peak MiB':>8} | {'ratio':>6} |"
    print(head)
    print("|" + "|".join("-" * len(cell) for cell in head.split("|")[1:-1]) + "|")
    for case, tools in measured.items():
        ours = statistics.median(seconds for seconds, _ in tools["kimball"])
        for tool, rounds in tools.items():
            seconds = [one[0] for one in rounds]
            ratio = "" if tool == "kimball" else f"{ours / statistics.median(seconds):.2f}"
            print(f"| {case:<12} | {tool:<10} | {statistics.median(seconds):>6.3f} s | {min(seconds):>6.3f} s | "
                  f"{max(seconds):>6.3f} s | {max(one[1] for one in rounds):>8.0f} | {ratio:>6} |")


def make(options):
    made = os.path.join(options.dir, "made.json")
    wanted = json.dumps([options.rows, options.changed, options.new, options.layout])
    if os.path.exists(made) and pathlib.Path(made).read_text() == wanted:
        return
    arguments = ["--dir", options.dir, "--rows", options.rows, "--changed", options.changed, "--new", options.new,
                 "--layout", options.layout]
    subprocess.run([sys.executable, HERE / "peers.py", "make", *map(str, arguments)], check=True)
    pathlib.Path(made).write_text(wanted)


def by_kimball(options, mode):
    folder = os.path.join(options.dir, "kimball")
    project(folder, "on_missing: ignore" if mode == "incremental" else "")
    give(options, folder, "day1")
    load = kimball(options, folder)
    give(options, folder, "changes" if mode == "incremental" else "day2")
    merge = kimball(options, folder)
    return load[0], merge[0], (load[1], merge[1]), logical_rows(folder)


def by_peer(options, peer, mode):
    command = [sys.executable, HERE / "peers.py", "run", "--dir", options.dir, "--peer", peer, "--mode", mode]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told["load_s"], told["merge_s"], (told["peak_mb"],) * 2, (told["rows"], told["current"])


def project(folder, missing="", pipelines=1):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "configs"))
    os.makedirs(os.path.join(folder, "data"))
    for number in [""] if pipelines == 1 else range(pipelines):
        config = CONFIG.format(number=number, missing=missing)
        pathlib.Path(folder, "configs", f"dim{number}.yml").write_text(config)
    targets = "version: 1\ntargets: {dev: {warehouse: warehouse, etl_schema: etl}}\n"
    pathlib.Path(folder, "kimball.targets.yml").write_text(targets)


def give(options, folder, day):
    """Makes a file the only one of the source."""
    shutil.rmtree(os.path.join(folder, "data"))
    os.makedirs(os.path.join(folder, "data"))
    os.link(os.path.join(options.dir, f"{day}.parquet"), os.path.join(folder, "data", f"{day}.parquet"))


def kimball(options, folder):
    """Seconds and peak memory, in MiB, of a whole process."""
    started = time.monotonic()
    process = subprocess.Popen([options.kimball, "run", "-q"], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        sys.exit(f"kimball failed in {folder}")
    return seconds, usage.ru_maxrss / 1024


def logical_rows(folder):
    """Rows and current rows, without the four default members, as another reader sees them."""
    table = deltalake.DeltaTable(os.path.join(folder, "warehouse", "gold", "dim_customer"))
    query = "SELECT count(*) a, count(*) FILTER (WHERE __is_current) c FROM t WHERE __member_status = 'REAL'"
    counted = deltalake.QueryBuilder().register("t", table).execute(query).read_all()
    return int(counted["a"][0].as_py()), int(counted["c"][0].as_py())


def days(options):
    """One incremental batch a day, each with other changes."""
    import duckdb
    make(options)
    folder = os.path.join(options.dir, "kimball")
    project(folder, "on_missing: ignore")
    give(options, folder, "day1")
    kimball(options, folder)
    seconds = []
    for day in range(1, options.days + 1):
        changed, new = int(options.rows * options.changed), int(options.rows * options.new)
        target = os.path.join(options.dir, "day.parquet")
        step = options.rows // changed
        duckdb.sql(f"""COPY (SELECT * REPLACE (city || '_{day}' AS city, updated_at + INTERVAL {day} DAY AS updated_at)
            FROM '{options.dir}/day1.parquet' WHERE customer_id % {step} = {day % step}
            UNION ALL SELECT * REPLACE (customer_id + {options.rows + day * new} AS customer_id)
            FROM '{options.dir}/day1.parquet' WHERE customer_id < {new}) TO '{target}' (FORMAT parquet)""")
        give(options, folder, "day")
        os.remove(target)
        seconds.append(kimball(options, folder)[0])
    table = deltalake.DeltaTable(os.path.join(folder, "warehouse", "gold", "dim_customer"))
    files = table.get_add_actions(flatten=True)
    print(f"{options.days} days of {options.rows:,} members: day 2 {seconds[1]:.3f} s, day {options.days} {seconds[-1]:.3f} s "
          f"({seconds[-1] / seconds[1]:.2f} times), median {statistics.median(seconds):.3f} s, highest {max(seconds):.3f} s; "
          f"{files.num_rows} files, {sum(files['size_bytes'].to_pylist()) / 2**20:.0f} MiB")


def idle(options):
    """A project in which nothing is new."""
    options.rows = 1_000
    make(options)
    folder = os.path.join(options.dir, "kimball")
    project(folder, pipelines=options.pipelines)
    give(options, folder, "day1")
    kimball(options, folder)
    seconds = [kimball(options, folder)[0] for _ in range(options.rounds)]
    each = 1_000 * statistics.median(seconds) / options.pipelines
    print(f"{options.pipelines} pipelines, nothing new: {statistics.median(seconds):.3f} s, {each:.2f} ms a pipeline")


if __name__ == "__main__":
    main()
