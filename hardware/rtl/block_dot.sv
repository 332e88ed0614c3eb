// A block against its 8 activations, times its level: exact. Ten registers from the word on, with the
// activations arriving one register after the word's input and the level's entry two after it.
//
//   INT8 = 0: activations as float16_to_stored keeps them, 18 bits; 1: int8.
//   POW2 = 1: the level is a shift alone; its digits are left to the row scale.
module block_dot #(
    parameter bit INT8 = 0,
    parameter bit POW2 = 0,
    localparam int XW = INT8 ? 8 : 18,
    localparam int DOT = INT8 ? 31 : 64,
    localparam int OUT = DOT + (POW2 ? 0 : 24) + 27
) (
    input  logic           clk,
    input  logic           en,
    input  logic [31:0]    word,    // register 1's output
    input  logic [8*XW-1:0] x,      // at the same time
    input  logic [27:0]    level,   // shift (5 bits, at most 27), fraction (23); one register later
    output logic [OUT-1:0] value,   // register 10
    output logic           zero_seed  // register 3
);
  localparam int SW = 21;
  localparam int MW = INT8 ? 8 : 15;  // bits of the multiplier's small side
  localparam int PW = SW + MW;

  logic [8*SW-1:0] sums;
  seedlm_lane #(.C(8), .P(3)) lane (.clk, .en, .word, .sums, .zero_seed);

  logic [8*XW-1:0] x2, x3;
  logic [27:0]     level3, level4, level5, level6, level7;
  always_ff @(posedge clk) begin
    if (en) begin
      x2     <= x;
      x3     <= x2;
      level3 <= level;
      level4 <= level3;
      level5 <= level4;
      level6 <= level5;
      level7 <= level6;
    end
  end

  // 4: products; 5: shifted by what is left of the exponent.
  logic [8*DOT-1:0] terms;
  for (genvar c = 0; c < 8; c++) begin : g_weight
    logic signed [PW-1:0] product;
    always_ff @(posedge clk) begin
      if (en) product <= $signed(sums[c*SW+:SW]) * $signed(x3[c*XW+:MW]);
    end
    if (INT8) begin : g_int8
      always_ff @(posedge clk) if (en) terms[c*DOT+:DOT] <= DOT'(product);
    end else begin : g_float16
      logic [2:0]     coarse;
      logic [DOT-1:0] shifted;
      shift_left #(.W(DOT), .BITS(3), .STEP(4)) shifter (
          .value(DOT'(product)), .by(coarse), .shifted);
      always_ff @(posedge clk) begin
        if (en) begin
          coarse              <= x3[c*XW+15+:3];
          terms[c*DOT+:DOT] <= shifted;
        end
      end
    end
  end

  // 6: pairs; 7: the block.
  logic signed [DOT-1:0] pair0, pair1, pair2, pair3, dot;
  always_ff @(posedge clk) begin
    if (en) begin
      pair0 <= terms[0*DOT+:DOT] + terms[1*DOT+:DOT];
      pair1 <= terms[2*DOT+:DOT] + terms[3*DOT+:DOT];
      pair2 <= terms[4*DOT+:DOT] + terms[5*DOT+:DOT];
      pair3 <= terms[6*DOT+:DOT] + terms[7*DOT+:DOT];
      dot   <= (pair0 + pair1) + (pair2 + pair3);
    end
  end

  // 8, 9: times the level's digits, in slices of 17 bits as the multipliers have them.
  logic [4:0]     shift8, shift9;
  logic [OUT-1:0] shifted;
  always_ff @(posedge clk) begin
    if (en) begin
      shift8 <= level7[27:23];
      shift9 <= shift8;
    end
  end
  if (POW2) begin : g_pow2
    logic signed [DOT-1:0] dot8, dot9;
    always_ff @(posedge clk) begin
      if (en) begin
        dot8  <= dot;
        dot9  <= dot8;
        value <= shifted;
      end
    end
    shift_left #(.W(OUT), .BITS(5)) shifter (.value(OUT'(dot9)), .by(shift9), .shifted);
  end else begin : g_fitted
    localparam int SLICES = (DOT + 16) / 17;
    localparam int WIDE = DOT + 24;
    logic signed [24:0]     digits;
    logic [SLICES*42-1:0]   partial;
    logic signed [WIDE-1:0] scaled, sum;
    logic [SLICES*17-1:0]   padded;
    assign padded = {{(SLICES * 17 - DOT) {dot[DOT-1]}}, dot};
    assign digits = $signed({2'b01, level7[22:0]});
    for (genvar s = 0; s < SLICES; s++) begin : g_slice
      logic signed [17:0] slice;
      logic signed [41:0] product;
      // Only the highest slice has a sign.
      assign slice = $signed({s == SLICES - 1 ? padded[17*s+16] : 1'b0, padded[17*s+:17]});
      assign product = slice * digits;
      always_ff @(posedge clk) if (en) partial[42*s+:42] <= product;
    end
    always_comb begin
      sum = '0;
      for (int s = 0; s < SLICES; s++) sum = sum + (WIDE'($signed(partial[42*s+:42])) <<< (17 * s));
    end
    always_ff @(posedge clk) begin
      if (en) begin
        scaled <= sum;
        value  <= shifted;
      end
    end
    shift_left #(.W(OUT), .BITS(5)) shifter (.value(OUT'(scaled)), .by(shift9), .shifted);
  end
endmodule
