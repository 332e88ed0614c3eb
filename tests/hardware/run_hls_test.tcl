# hardware/hls/run_hls.tcl with stand-ins for the vendor's commands: a synthesis that misses the clock or
# an interval must fail, however content the tool is.
#
#   tclsh run_hls_test.tcl RUN_HLS.TCL WORK
lassign $argv script work
set script [file normalize $script]
file mkdir $work
cd $work

# What csynth_design writes, and the exit status that run_hls.tcl must end with, with a clock of 4 ns or
# of so many.
set loop {<SummaryOfLoopLatency><WORDS><PipelineII>%s</PipelineII></WORDS></SummaryOfLoopLatency>}
set clock {<EstimatedClockPeriod>%s</EstimatedClockPeriod>}
set function {<PipelineType>yes</PipelineType><Interval-max>%s</Interval-max>}
set cases [list \
  [list "good" [format "$clock$loop" 2.90 1] 0] \
  [list "slow loop" [format "$clock$loop" 2.90 2] 1] \
  [list "late clock" [format "$clock$loop" 2.93 1] 1] \
  [list "one of two loops is slow" [format "$clock$loop$loop" 2.0 1 4] 1] \
  [list "pipelined function" [format "$clock$function" 2.0 1] 0] \
  [list "slow function" [format "$clock$function" 2.0 3] 1] \
  [list "no pipeline" [format $clock 2.0] 1] \
  [list "no report" "" 1] \
  [list "all of a rounded budget" [format "$clock$loop" 2.431 1] 0 3.33] \
  [list "late by a thousandth" [format "$clock$loop" 2.432 1] 1 3.33]]

set ::env(SEEDLM_TOPS) seedlm_gemv
set ::env(SEEDLM_PARTS) xc7v585tffg1157-3
set ::env(SEEDLM_STEPS) csynth
set failures 0
foreach case $cases {
  lassign $case name report expected period
  set ::env(SEEDLM_CLOCK) $period
  set tool [interp create]
  foreach command {set_top add_files open_solution set_part create_clock close_project} {
    $tool alias $command list
  }
  set ::uncertainty {}
  $tool alias set_clock_uncertainty set ::uncertainty
  $tool alias open_project apply {{option name} { set ::project $name }}
  $tool alias csynth_design apply {{report} {
    set folder [file join $::project solution syn report]
    file delete -force $folder
    file mkdir $folder
    if {$report eq ""} { return }
    set file [open [file join $folder seedlm_gemv_csynth.xml] w]
    puts $file "<profile>$report</profile>"
    close $file
  }} $report
  set ::status none
  $tool alias exit apply {{status} { set ::status $status; error "ended" }}
  catch {$tool eval [list source $script]}
  interp delete $tool
  if {$::status ne $expected || $::uncertainty ne "27%"} {
    puts stderr "run_hls_test: FAILED: $name: status $::status, expected $expected"
    incr failures
  }
}
# Synthesis that was not asked for is thrown away, so what comes after it cannot run.
set tool [interp create]
$tool alias exit apply {{status} { set ::status $status; error "ended" }}
set ::env(SEEDLM_STEPS) cosim
set ::status none
catch {$tool eval [list source $script]}
if {$::status ne 1} {
  puts stderr "run_hls_test: FAILED: cosim without csynth: status $::status, expected 1"
  incr failures
}
puts "run_hls_test: [expr {[llength $cases] + 1}] cases, $failures failures"
exit [expr {$failures > 0}]
