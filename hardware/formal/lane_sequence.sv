// For every seed: stepping the register state by state, as the paper draws it, the states are the
// windows on the lane's bit sequence.
module lane_sequence #(
    parameter int C = 8,
    parameter int P = 3
) (
    input logic [15:0] seed
);
  logic [16+C*P-1:0] b;
  seedlm_sequence #(.BITS(16 + C * P)) dut (.seed, .b);

  // State k in bits 16k .. 16k+15; state 0 is the seed.
  logic [16*(C*P+1)-1:0] state;
  assign state[15:0] = seed;
  for (genvar k = 1; k <= C * P; k++) begin : g_state
    logic [15:0] before;
    assign before = state[16*(k-1)+:16];
    assign state[16*k+:16] = {before[0] ^ before[1] ^ before[3] ^ before[12], before[15:1]};
    always_comb assert (state[16*k+:16] == b[k+:16]);
  end
endmodule
