#!/usr/bin/env bash
# Proves that the lane equals the specification for every word, with Yosys and an SMT solver.
#
#   hardware/formal/prove.sh [WORK]     default: build/formal
#
# SOLVER (default z3): any that yosys-smtbmc knows.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$here/../../build/formal}
mkdir -p "$work"

# What makes a module ready for the solver.
prepare="prep -flatten"
# The same where equal cells of two halves shall become one, until only assertions are left.
merge="hierarchy; proc; flatten; opt_expr; opt_dff; opt -share_all; select -assert-none t:* t:\$assert %d"

# prove TOP PARAMETER=VALUE..: every assertion of the module
prove() {
  local top=$1 name=$1 parameters="" pair
  shift
  for pair in "$@"; do
    name+=_${pair/=/}
    parameters+="chparam -set ${pair/=/ } $top; "
  done
  yosys -q -p "read_verilog -formal -sv $here/../rtl/block_sums.sv $here/$top.sv
               $parameters
               hierarchy -top $top
               $prepare
               write_smt2 -stbv -wires $work/$name.smt2"
  grep -q yosys-smt2-assert "$work/$name.smt2" ||
    { echo "prove.sh: $name asserts nothing" >&2; return 1; }
  yosys-smtbmc --noprogress -s "${SOLVER:-z3}" -t 1 "$work/$name.smt2" >"$work/$name.log" || {
    tail -n 20 "$work/$name.log" >&2
    echo "prove.sh: $name is not proved" >&2
    return 1
  }
  echo "prove.sh: $name holds for every input"
}

# The steps of seedlm_lane, in order: what one gives is what the next takes.
for c_p in "8 3" "12 4"; do
  read -r c p <<<"$c_p"
  prove lane_sequence "C=$c" "P=$p"
  prove lane_subsets "P=$p"
  prove lane_digits "C=$c" "P=$p"
  prove lane_groups "C=$c" "P=$p"
  prove lane_windows "C=$c" "P=$p"
  prepare=$merge prove lane_whole "C=$c" "P=$p"
done
