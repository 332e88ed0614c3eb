// For all digits that P coefficients can give, of a sequence or not: groups and tops are what they are
// defined as, without overflow.
module lane_groups #(
    parameter int C = 8,
    parameter int P = 3,
    localparam int DIGITS = 16 + C * P - P + 1,
    localparam int GROUPS = C + 16 / P - 1,
    localparam int GW = P + 6,
    localparam int TW = P + 3
) (
    input logic [DIGITS*TW-1:0] t,
    input logic [TW-1:0]        total
);
  logic [GROUPS*GW-1:0] groups;
  logic [C*TW-1:0]      tops;
  seedlm_groups #(.C(C), .P(P)) dut (.t, .total, .groups, .tops);

  // The range of a sum of up to P coefficients.
  always_comb begin
    for (int i = 0; i < DIGITS; i++) begin
      assume ($signed(t[i*TW+:TW]) >= -8 * P && $signed(t[i*TW+:TW]) <= 7 * P);
    end
  end

  for (genvar m = 0; m < GROUPS; m++) begin : g_group
    logic signed [12:0] sum, got;
    always_comb begin
      sum = 13'sd0;
      for (int k = 0; k < P; k++) sum = sum + (13'($signed(t[(P*m+1+k)*TW+:TW])) <<< k);
      got = 13'($signed(groups[m*GW+:GW]));
      assert (got == sum);
    end
  end
  // Modulo 2^TW; t - Q is minus the sum of the other coefficients, and has the digits' range.
  for (genvar c = 0; c < C; c++) begin : g_top
    logic [TW-1:0] top;
    always_comb begin
      top = (16 % P != 0 ? t[(P*c+16)*TW+:TW] : {TW{1'b0}}) - total;
      assert (tops[c*TW+:TW] == top);
    end
  end
endmodule
