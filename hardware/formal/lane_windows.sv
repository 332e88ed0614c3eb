// For all groups and tops, reachable or not: the lane adds them up,
//   S_c = sum_(m < 16/P) 2^(Pm) groups[c+m] + 2^15 tops[c]   (mod 2^21).
// Together with the four others: S_c = sum_j 2^j sum_p q_p b_(Pc+1+p+j) - 2^15 sum_p q_p, which is
// sum_p q_p (V[c][p] - 2^15), as V[c][p] = sum_j 2^j b_(Pc+1+p+j); and |S_c| < 2^20.
module lane_windows #(
    parameter int C = 8,
    parameter int P = 3,
    localparam int GROUPS = C + 16 / P - 1,
    localparam int GW = P + 6,
    localparam int TW = P + 3
) (
    input logic [GROUPS*GW-1:0] groups,
    input logic [C*TW-1:0]      tops
);
  logic [C*21-1:0] sums;
  seedlm_windows #(.C(C), .P(P)) dut (.groups, .tops, .sums);

  for (genvar c = 0; c < C; c++) begin : g_weight
    logic signed [20:0] sum;
    always_comb begin
      sum = 21'($signed(tops[c*TW+:TW])) <<< 15;
      for (int m = 0; m < 16 / P; m++) begin
        sum = sum + (21'($signed(groups[(c+m)*GW+:GW])) <<< (P * m));
      end
      assert (sums[c*21+:21] == sum);
    end
  end
endmodule
