// The sequence of a unit: commands, words of rows, the state of the pipeline that goes with them.
// A word is taken when a command runs, its vector is whole, the word is there and the pipeline moves.
// One cycle without a word lies between two commands.
module row_control #(
    parameter int LINE_BITS = 8,      // lines a row - 1
    parameter int WORDS_PER_LINE = 1  // a power of two
) (
    input  logic                 clk,
    input  logic                 rst,
    input  logic                 en,
    input  logic                 command_valid,
    output logic                 command_ready,
    input  logic [63:0]          command,  // see gemv.sv
    input  logic                 vector_full,
    output logic                 vector_release,
    input  logic                 word_valid,
    output logic                 word_ready,
    output logic                 take,
    output logic                 first,  // of the word that is taken: the row begins, ends
    output logic                 last,
    output logic                 last_row,
    output logic [LINE_BITS-1:0] line,
    output logic [LINE_BITS-1:0] last_line,  // of each row
    output logic [WORDS_PER_LINE > 1 ? $clog2(WORDS_PER_LINE)-1 : 0:0] part,
    output logic                 row_scales,
    output logic signed [11:0]   unit
);
  localparam int PW = WORDS_PER_LINE > 1 ? $clog2(WORDS_PER_LINE) : 1;

  logic                 running, keep;
  logic [19:0]          row;  // counts down

  assign command_ready = !running && en;
  assign word_ready = running && vector_full && en;
  assign take = word_ready && word_valid;
  assign first = line == '0 && part == '0;
  assign last = line == last_line && part == PW'(WORDS_PER_LINE - 1);
  assign last_row = row == 20'd0;
  assign vector_release = take && last && last_row && !keep;

  always_ff @(posedge clk) begin
    if (command_ready && command_valid) begin
      last_line  <= command[LINE_BITS-1:0];
      row        <= command[27:8];
      keep       <= command[28];
      row_scales <= command[29];
      unit       <= command[41:30];
      line       <= '0;
      part       <= '0;
    end else if (take) begin
      part <= part == PW'(WORDS_PER_LINE - 1) ? '0 : part + 1'b1;
      if (part == PW'(WORDS_PER_LINE - 1)) line <= last ? '0 : line + 1'b1;
      if (last) row <= row - 20'd1;
    end
    if (rst) running <= 1'b0;
    else if (command_ready) running <= command_valid;
    else if (take && last && last_row) running <= 1'b0;
  end
endmodule
