#!/usr/bin/env python3
"""What a service has to live through: kills, full disks, damaged files, jumping clocks, outages.

Usage: faults.py [--short] [--seed N] [FAULT..]

Runs each fault many times (--short: a few) against seedlm-server and seedlm, compares what comes
out byte for byte with an undisturbed run, and prints one table: fault, times, jobs, bytes compared,
lost. Exit 1 if anything was lost or differs. A fault that needs what this machine has not (mounts,
network namespaces, libfaketime) is skipped by name.

The programs come from the environment: SEEDLM and SEEDLM_SERVER_PROGRAM.
"""

import argparse
import sqlite3
import subprocess
import sys
import time

import damage
import disks
import kills
import network
from bench import Bench, Outcome, Server, Skipped

FAULTS = {fault.__name__: fault for fault in (
    kills.kill_server, kills.kill_client, kills.kill_compress, disks.full_sink, disks.full_spool,
    disks.read_only, damage.damaged_spool, damage.damaged_database, damage.clock_jumps,
    network.s3_outage, network.packet_loss)}


def run_all(bench, chosen):
    """How many jobs, or whole faults, did not end as they should."""
    failed = 0
    print(f"{'fault':<18} {'times':>6} {'jobs':>5} {'bytes compared':>15} {'lost':>5}  seconds")
    for name in chosen or FAULTS:
        begin = time.monotonic()
        try:
            outcome = FAULTS[name](bench)
            lost, note = outcome.jobs - outcome.right, ""
        except Skipped as why:
            print(f"{name:<18} skipped: {why}", flush=True)
            continue
        except (AssertionError, subprocess.SubprocessError, sqlite3.Error, OSError) as error:
            outcome, lost, note = Outcome(), 1, f"  FAILED: {error}"
        finally:
            Server.kill_all()
        failed += lost
        print(f"{name:<18} {outcome.times:>6} {outcome.jobs:>5} {outcome.compared:>15,} {lost:>5}  "
              f"{time.monotonic() - begin:.1f}{note}", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("fault", nargs="*", choices=[[], *FAULTS])
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    bench = Bench(arguments.short, arguments.seed)
    try:
        sys.exit(1 if run_all(bench, arguments.fault) else 0)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
