// seedlm_lane as it is built against the five steps that are proved one by one (lane_sequence ..
// lane_windows), put together as their proofs say, with two registers: the same for every word and
// every `en`. Cells of one kind and one input are one cell, registers among them; where the lane's wires
// are these, the two halves become one, and nothing is left but the assertions (prove.sh asks for that).
module lane_whole #(
    parameter int C = 8,
    parameter int P = 3,
    localparam int GROUPS = C + 16 / P - 1,
    localparam int GW = P + 6,
    localparam int TW = P + 3
) (
    input logic        clk,
    input logic        en,
    input logic [31:0] word
);
  logic [C*21-1:0] sums;
  logic            zero_seed;
  seedlm_lane #(.C(C), .P(P)) dut (.clk, .en, .word, .sums, .zero_seed);

  logic [16+C*P-1:0]        b;
  logic [(17+C*P-P)*TW-1:0] t;
  logic [(2**P)*8-1:0]      subsets;
  logic [GROUPS*GW-1:0]     groups, groups_q;
  logic [C*TW-1:0]          tops, tops_q;
  logic [C*21-1:0]          windows, expected;
  logic                     zero_q, zero;
  seedlm_sequence #(.BITS(16 + C * P)) sequence_of_seed (.seed(word[15:0]), .b);
  seedlm_subsets #(.P(P)) subset (.q(word[16+:4*P]), .subsets);
  seedlm_digits #(.C(C), .P(P)) digits (.b, .subsets, .t);
  seedlm_groups #(.C(C), .P(P)) group (
      .t, .total(subsets[(2**P-1)*8+:TW]), .groups, .tops);
  seedlm_windows #(.C(C), .P(P)) window (.groups(groups_q), .tops(tops_q), .sums(windows));

  always_ff @(posedge clk) begin
    if (en) begin
      groups_q <= groups;
      tops_q   <= tops;
      zero_q   <= word[15:0] == 16'd0;
      expected <= windows;
      zero     <= zero_q;
    end
  end

  always_comb begin
    assert (sums == expected);
    assert (zero_seed == zero);
  end
endmodule
