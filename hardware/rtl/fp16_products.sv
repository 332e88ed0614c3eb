// The sum of a word of 2 * LANES float16 weights against a quarter of a line of activations: exact, in
// units of 2^-48, 4 + log2(LANES) registers from the word on, one word a cycle.
module fp16_products #(
    parameter int LANES = 16,
    localparam int MACS = 2 * LANES,
    localparam int XW = 18,
    localparam int SLICE = MACS * XW + 1,
    localparam int TERM = 81,  // |w x| < 2^80
    localparam int SUM = TERM + $clog2(MACS)
) (
    input  logic                clk,
    input  logic                en,
    input  logic                take,
    input  logic [32*LANES-1:0] weights,  // taken with `take`
    input  logic [1:0]          part,     // of the line, at the same time
    input  logic [4*SLICE-1:0]  x,        // one register later
    output logic [SUM-1:0]      sum,
    output logic [1:0]          flags  // with the sum; bit 1: weights or activations are not finite
);
  localparam int DEPTH = 3 + $clog2(MACS);

  logic [32*LANES-1:0] word;
  logic [1:0]          part_q;
  always_ff @(posedge clk) begin
    if (take) begin
      word   <= weights;
      part_q <= part;
    end
  end

  logic [MACS*XW-1:0] w;
  logic [MACS-1:0]    w_not_finite;
  logic [SLICE-1:0]   slice;
  assign slice = x[SLICE*part_q+:SLICE];
  for (genvar i = 0; i < MACS; i++) begin : g_store
    float16_to_stored store (
        .half(word[16*i+:16]), .stored(w[XW*i+:XW]), .not_finite(w_not_finite[i]));
  end

  // 2: products; 3: shifted.
  logic [MACS*TERM-1:0] terms;
  for (genvar i = 0; i < MACS; i++) begin : g_mac
    logic signed [29:0] product;
    logic [3:0]         coarse;
    logic [TERM-1:0]    shifted;
    shift_left #(.W(TERM), .BITS(4), .STEP(4)) shifter (
        .value(TERM'(product)), .by(coarse), .shifted);
    always_ff @(posedge clk) begin
      if (en) begin
        product <= $signed(w[XW*i+:15]) * $signed(slice[XW*i+:15]);
        coarse  <= {1'b0, w[XW*i+15+:3]} + {1'b0, slice[XW*i+15+:3]};
        terms[TERM*i+:TERM] <= shifted;
      end
    end
  end
  adder_tree #(.N(MACS), .IN(TERM)) tree (.clk, .en, .values(terms), .sum);

  logic [DEPTH:2] not_finite;
  always_ff @(posedge clk) begin
    if (en) not_finite <= {not_finite[DEPTH-1:2], w_not_finite != '0 || slice[SLICE-1]};
  end
  assign flags = {not_finite[DEPTH], 1'b0};
endmodule
