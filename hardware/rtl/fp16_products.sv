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
    fp16_product #(.TERM(TERM)) mac (
        .clk, .en, .a(w[XW*i+:XW]), .b(slice[XW*i+:XW]), .term(terms[TERM*i+:TERM]));
  end
  adder_tree #(.N(MACS), .IN(TERM)) tree (.clk, .en, .values(terms), .sum);

  logic [DEPTH:2] not_finite;
  always_ff @(posedge clk) begin
    if (en) not_finite <= {not_finite[DEPTH-1:2], w_not_finite != '0 || slice[SLICE-1]};
  end
  assign flags = {not_finite[DEPTH], 1'b0};
endmodule

// Two float16 as float16_to_stored keeps them to their product, two registers.
module fp16_product #(
    parameter int TERM = 81
) (
    input  logic            clk,
    input  logic            en,
    input  logic [17:0]     a,
    input  logic [17:0]     b,
    output logic [TERM-1:0] term
);
  logic signed [29:0] product;
  logic [3:0]         coarse;
  logic [TERM-1:0]    shifted;
  shift_left #(.W(TERM), .BITS(4), .STEP(4)) shifter (
      .value(TERM'(product)), .by(coarse), .shifted);
  always_ff @(posedge clk) begin
    if (en) begin
      product <= $signed(a[14:0]) * $signed(b[14:0]);
      coarse  <= {1'b0, a[17:15]} + {1'b0, b[17:15]};
      term    <= shifted;
    end
  end
endmodule
