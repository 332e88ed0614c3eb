// For every bit sequence and every table: a digit is the entry that the P bits of its window name. Of
// the table that seedlm_subsets makes it is t_i = sum_p q_p b_(i+p).
module lane_digits #(
    parameter int C = 8,
    parameter int P = 3,
    localparam int BITS = 16 + C * P,
    localparam int DIGITS = BITS - P + 1,
    localparam int TW = P + 3
) (
    input logic [BITS-1:0]     b,
    input logic [(2**P)*8-1:0] subsets
);
  logic [DIGITS*TW-1:0] t;
  seedlm_digits #(.C(C), .P(P)) dut (.b, .subsets, .t);

  for (genvar i = 1; i < DIGITS; i++) begin : g_digit
    for (genvar s = 0; s < 2 ** P; s++) begin : g_subset
      always_comb assert (b[i+:P] != s || t[i*TW+:TW] == subsets[s*8+:TW]);
    end
  end
endmodule
