// For all coefficients: a subset's sum is the sum of those that its number has, without overflow.
module lane_subsets #(
    parameter int P = 3
) (
    input logic [4*P-1:0] q
);
  logic [(2**P)*8-1:0] subsets;
  seedlm_subsets #(.P(P)) dut (.q, .subsets);

  for (genvar s = 0; s < 2 ** P; s++) begin : g_subset
    logic signed [7:0] sum;
    always_comb begin
      sum = '0;
      for (int p = 0; p < P; p++) if (((s >> p) & 1) != 0) sum = sum + 8'($signed(q[4*p+:4]));
      assert ($signed(subsets[s*8+:8]) == sum);
      assert (sum >= -8 * P && sum <= 7 * P);
    end
  end
endmodule
