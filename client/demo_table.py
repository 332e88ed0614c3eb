"""The demo's table: demo_table.py RUN ORIGINAL COMPRESSED, from the JSON that the commands gave."""

import datetime
import json
import os
import sys


def load(work, name):
    with open(os.path.join(work, name), encoding="utf-8") as f:
        return json.load(f)


def weight_bytes(path):
    """Bytes of the safetensors files at or below `path`."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(root, name))
               for root, _, names in os.walk(path) for name in names
               if name.endswith(".safetensors"))


def seconds(status):
    start, end = (datetime.datetime.fromisoformat(status[k][:19])
                  + datetime.timedelta(seconds=float("0" + status[k][19:-1]))
                  for k in ("start_time", "end_time"))
    return (end - start).total_seconds()


def main(work, original, compressed):
    status, verify, inspect = (load(work, n + ".json") for n in ("status", "verify", "inspect"))
    bits = {t["name"]: t["bits_per_weight"] for t in inspect["tensors"]}
    width = max(len(t["name"]) for t in verify["tensors"])
    print(f"{'tensor':{width}}  {'shape':>12}  bits a weight  relative error  max error")
    for t in verify["tensors"]:
        shape = f"{t['rows']}x{t['columns']}"
        print(f"{t['name']:{width}}  {shape:>12}  {bits[t['name']]:13.3f}  "
              f"{t['relative_error']:14.4f}  {t['max_error']:9.4g}")
    before, after = weight_bytes(original), weight_bytes(compressed)
    elapsed = max(seconds(status), 1e-9)
    print()
    print(f"size before          {before / 1e6:.1f} MB")
    print(f"size after           {after / 1e6:.1f} MB ({before / after:.2f} times smaller)")
    print(f"compressed weights   {inspect['weights']:,} in {len(verify['tensors'])} tensors; "
          f"{len(verify['passed_through'])} others passed through unchanged")
    print(f"bits a weight        {inspect['bits_per_weight']:.3f}")
    print(f"relative error       {verify['relative_error']:.4f}")
    print(f"speed                {inspect['weights'] / elapsed:,.0f} weights/s ({elapsed:.1f} s)")
    print(f"result               {compressed}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
