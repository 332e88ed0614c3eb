# C simulation, synthesis and C/RTL co-simulation of every top on both parts.
#
#   vitis_hls -f hardware/hls/run_hls.tcl                (2021.2 to 2024.1)
#   vitis-run --mode hls --tcl hardware/hls/run_hls.tcl  (2024.2 and later)
#
# Environment, all optional: SEEDLM_TOPS, SEEDLM_PARTS (lists), SEEDLM_STEPS (of csim csynth cosim
# export; the last two need csynth in the same run), SEEDLM_CLOCK (ns). Projects are made in the current directory. A project that fails is
# named at the end, after the others, and the exit status is 1: also one whose synthesis ended with
# a pipeline slower than a word a cycle, or with an estimated clock above what the uncertainty leaves,
# of which the tool itself only warns. The XC7V585T needs a licence and an installation that cover
# the Virtex-7 family.

proc setting {name default} {
  if {[info exists ::env($name)] && $::env($name) ne ""} { return $::env($name) }
  return $default
}

set here [file normalize [file dirname [info script]]]
set root [file normalize [file join $here .. ..]]
set tops [setting SEEDLM_TOPS {block_decoder decode_stream decode_stream_3bit
                               seedlm_gemv seedlm_gemv_pow2 seedlm_gemv_int8 gemv_fp16}]
# A current device, and the paper's.
set parts [setting SEEDLM_PARTS {xcvc1902-vsva2197-2MP-e-S xc7v585tffg1157-3}]
set steps [setting SEEDLM_STEPS {csim csynth cosim}]
set clock [setting SEEDLM_CLOCK 4]

# Of the clock, left to place and route; the tools' own default differs between versions.
set uncertainty 27

# All values of an element in a report.
proc values {report element} {
  set found {}
  foreach {match value} [regexp -all -inline "<$element>\\s*(\[^<\]*?)\\s*</$element>" $report] {
    lappend found $value
  }
  return $found
}

# Holds the synthesis reports of the open solution, one a module, to a word a cycle and to the clock.
proc check_reports {folder clock uncertainty} {
  set limit [expr {$clock * (100 - $uncertainty) / 100.0}]
  set rounding 0.0006  ;# the reports have three digits
  set periods 0
  set pipelines 0
  foreach path [lsort [glob -nocomplain [file join $folder *csynth.xml]]] {
    set file [open $path]
    set report [read $file]
    close $file
    set name [file tail $path]
    foreach period [values $report EstimatedClockPeriod] {
      incr periods
      if {$period > $limit + $rounding} { error "$name: estimated clock $period ns, above $limit ns" }
    }
    set intervals [values $report PipelineII]
    # A function that is one pipeline has no loop to tell of it.
    if {"yes" in [values $report PipelineType] && $intervals eq {}} {
      set intervals [values $report Interval-max]
    }
    foreach interval $intervals {
      incr pipelines
      if {$interval ne "1"} { error "$name: a pipeline with an interval of $interval, not 1" }
    }
  }
  if {$periods == 0 || $pipelines == 0} { error "no clock or no pipeline in the reports of $folder" }
}

if {"csynth" ni $steps && ("cosim" in $steps || "export" in $steps)} {
  puts stderr "run_hls.tcl: SEEDLM_STEPS: cosim and export need csynth in the same run"
  exit 1
}

proc run {top part steps clock uncertainty here root} {
  set flags "-std=c++14 -I$root"
  set vectors [file join $root tests vectors]
  set project "hls_${top}_[lindex [split $part -] 0]"
  open_project -reset $project
  set_top $top
  foreach source {decode.cpp seedlm_gemv.cpp gemv_fp16.cpp} {
    add_files [file join $here $source] -cflags $flags
  }
  foreach source {test_bench.cpp test_units.cpp packed_file.cpp} {
    add_files -tb [file join $here tb $source] -cflags $flags
  }
  open_solution -reset solution -flow_target vivado
  set_part $part
  create_clock -period $clock -name default
  set_clock_uncertainty $uncertainty%
  if {"csim" in $steps} { csim_design -argv $vectors }
  if {"csynth" in $steps} {
    csynth_design
    check_reports [file join $project solution syn report] $clock $uncertainty
  }
  if {"cosim" in $steps} { cosim_design -rtl verilog -argv $vectors }
  if {"export" in $steps} { export_design -format ip_catalog }
}

set failed {}
foreach part $parts {
  foreach top $tops {
    if {[catch {run $top $part $steps $clock $uncertainty $here $root} message]} {
      lappend failed "$top on $part: $message"
    }
    catch {close_project}
  }
}
foreach line $failed { puts stderr "run_hls.tcl: FAILED: $line" }
exit [expr {[llength $failed] > 0}]
