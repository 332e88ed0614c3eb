// The sum of a word of LANES blocks against its line of 8 * LANES activations, levels included: exact,
// 10 + log2(LANES) registers from the word on, one word a cycle.
module block_products #(
    parameter int LANES = 16,
    parameter bit INT8 = 0,
    parameter bit POW2 = 0,
    parameter int SUM = 119,
    localparam int XW = INT8 ? 8 : 18,
    localparam int SLICES = INT8 ? 2 : 4,
    localparam int SLICE = 8 * LANES / SLICES * XW + 1
) (
    input  logic                    clk,
    input  logic                    en,
    input  logic                    new_levels,  // a command: take the table
    input  logic [16*28-1:0]        levels,
    input  logic                    take,
    input  logic [32*LANES-1:0]     weights,  // taken with `take`
    input  logic [SLICES*SLICE-1:0] x,        // one register later
    output logic [SUM-1:0]          sum,
    output logic [1:0]              flags  // with the sum; bit 0 a zero seed, bit 1 x is not finite
);
  localparam int BLOCK = (INT8 ? 31 : 64) + (POW2 ? 0 : 24) + 27;
  localparam int DEPTH = 10 + $clog2(LANES);

  logic [8*LANES*XW-1:0] values;
  logic                  x_not_finite;
  always_comb begin
    x_not_finite = 1'b0;
    for (int s = 0; s < SLICES; s++) begin
      values[s*(SLICE-1)+:SLICE-1] = x[s*SLICE+:SLICE-1];
      x_not_finite = x_not_finite | x[s*SLICE+SLICE-1];
    end
  end

  // The table changes with the command: a word looks its levels up one register after it was taken,
  // which the cycle between two commands leaves time for.
  logic [16*28-1:0]    table_q;
  logic [32*LANES-1:0] word;
  always_ff @(posedge clk) begin
    if (new_levels) table_q <= levels;
    if (take) word <= weights;
  end

  logic [LANES*BLOCK-1:0] blocks;
  logic [LANES-1:0]       zero_seeds;
  for (genvar i = 0; i < LANES; i++) begin : g_lane
    logic [27:0] level;
    always_ff @(posedge clk) if (en) level <= table_q[28*word[32*i+28+:4]+:28];
    block_dot #(.INT8(INT8), .POW2(POW2)) lane (
        .clk, .en, .word(word[32*i+:32]), .x(values[8*XW*i+:8*XW]), .level,
        .value(blocks[BLOCK*i+:BLOCK]), .zero_seed(zero_seeds[i]));
  end
  adder_tree #(.N(LANES), .IN(BLOCK), .OUT(SUM)) tree (.clk, .en, .values(blocks), .sum);

  logic [DEPTH:2] not_finite;
  logic [DEPTH:4] zero;
  always_ff @(posedge clk) begin
    if (en) begin
      not_finite <= {not_finite[DEPTH-1:2], x_not_finite};
      zero       <= {zero[DEPTH-1:4], zero_seeds != '0};
    end
  end
  assign flags = {not_finite[DEPTH], zero[DEPTH]};
endmodule
