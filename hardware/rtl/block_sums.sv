// The word of a block to C integers, S_c = sum_p q_p (V[c][p] - 2^15), in five combinational steps.
//
// The register's states are 16-bit windows on one bit sequence b (b_0..b_15 the seed, b_(n+16) =
// b_n ^ b_(n+1) ^ b_(n+3) ^ b_(n+12)); state k is b_k..b_(k+15), V[c][p] is state Pc + p + 1. Hence
// S_c = sum_j 2^j t_(Pc+1+j) - 2^15 Q with t_i = sum_p q_p b_(i+p), Q = sum_p q_p, j = 0..15: one
// table of 2^P subset sums serves all windows, and groups of P digits are shared by the windows that
// overlap. No multiplier.

// The sequence b_0 .. of a seed.
module seedlm_sequence #(
    parameter int BITS = 40
) (
    input  logic [15:0]     seed,
    output logic [BITS-1:0] b
);
  // verilator lint_off ALWCOMBORDER
  always_comb begin
    b[15:0] = seed;
    for (int n = 0; n + 16 < BITS; n++) b[n+16] = b[n] ^ b[n+1] ^ b[n+3] ^ b[n+12];
  end
  // verilator lint_on ALWCOMBORDER
endmodule

// The sums of the 2^P subsets of the coefficients, 8 bits each: subset s takes q_p where its bit p is
// set. Each is made from the one without its highest coefficient.
module seedlm_subsets #(
    parameter int P = 3
) (
    input  logic [4*P-1:0]      q,  // q_0 in the low bits
    output logic [(2**P)*8-1:0] subsets
);
  // verilator lint_off UNOPTFLAT
  logic [(2**P)*8-1:0] sums;
  // verilator lint_on UNOPTFLAT
  assign sums[7:0] = '0;
  for (genvar p = 0; p < P; p++) begin : g_coefficient
    for (genvar s = 2 ** p; s < 2 ** (p + 1); s++) begin : g_subset
      assign sums[s*8+:8] = sums[(s-2**p)*8+:8] + 8'($signed(q[4*p+:4]));
    end
  end
  assign subsets = sums;
endmodule

// The digits t_1 .. t_(DIGITS-1), TW bits each: a digit is the subset that its window of the sequence
// names. t_0 is of the seed itself, which is no entry.
module seedlm_digits #(
    parameter int C = 8,
    parameter int P = 3,
    localparam int BITS = 16 + C * P,
    localparam int DIGITS = BITS - P + 1,
    localparam int TW = P + 3
) (
    input  logic [BITS-1:0]      b,
    input  logic [(2**P)*8-1:0]  subsets,
    output logic [DIGITS*TW-1:0] t
);
  assign t[0+:TW] = '0;
  for (genvar i = 1; i < DIGITS; i++) begin : g_digit
    // A tree of multiplexers: bit p of the window halves what is left of the table.
    logic [(2**P)*8-1:0] left;
    always_comb begin
      left = subsets;
      for (int p = 0; p < P; p++) begin
        for (int s = 0; s < 2 ** (P - 1 - p); s++) begin
          left[s*8+:8] = b[i+p] ? left[(2*s+1)*8+:8] : left[2*s*8+:8];
        end
      end
    end
    assign t[i*TW+:TW] = left[TW-1:0];
  end
endmodule

// groups[m] = sum_(k<P) 2^k t_(Pm+1+k); tops[c] = what stands at 2^15 beside the groups of window c:
// the digit that they leave over where P does not divide 16, less Q.
module seedlm_groups #(
    parameter int C = 8,
    parameter int P = 3,
    localparam int DIGITS = 16 + C * P - P + 1,
    localparam int GROUPS = C + 16 / P - 1,
    localparam int GW = P + 6,
    localparam int TW = P + 3
) (
    input  logic [DIGITS*TW-1:0] t,
    input  logic [TW-1:0]        total,
    output logic [GROUPS*GW-1:0] groups,
    output logic [C*TW-1:0]      tops
);
  for (genvar m = 0; m < GROUPS; m++) begin : g_group
    logic signed [GW-1:0] sum;
    always_comb begin
      sum = '0;
      for (int k = 0; k < P; k++) sum = sum + (GW'($signed(t[(P*m+1+k)*TW+:TW])) <<< k);
    end
    assign groups[m*GW+:GW] = sum;
  end

  for (genvar c = 0; c < C; c++) begin : g_top
    if (16 % P == 0) begin : g_even
      assign tops[c*TW+:TW] = -total;
    end else begin : g_odd
      assign tops[c*TW+:TW] = t[(P*c+16)*TW+:TW] - total;
    end
  end
endmodule

// S_c = sum_(m < 16/P) 2^(Pm) groups[c+m] + 2^15 tops[c].
module seedlm_windows #(
    parameter int C = 8,
    parameter int P = 3,
    localparam int GROUPS = C + 16 / P - 1,
    localparam int GW = P + 6,
    localparam int TW = P + 3,
    localparam int SW = 21
) (
    input  logic [GROUPS*GW-1:0] groups,
    input  logic [C*TW-1:0]      tops,
    output logic [C*SW-1:0]      sums
);
  localparam int HW = GW + P + 1;
  localparam int LOW = 2 * P;   // bits below the second pair
  localparam int HIGH = 4 * P;  // bits below the top

  // What stands at the same place is added; the bits below pass. Pairs of groups, each shared by two windows.
  logic [(C+2)*HW-1:0] pairs;
  for (genvar m = 0; m < C + 2; m++) begin : g_pair
    assign pairs[m*HW+:P] = groups[m*GW+:P];
    assign pairs[m*HW+P+:HW-P] = (HW - P)'($signed(groups[m*GW+P+:GW-P])) +
                                 (HW - P)'($signed(groups[(m+1)*GW+:GW]));
  end

  for (genvar c = 0; c < C; c++) begin : g_window
    logic signed [SW-LOW-1:0]  middle;
    assign middle = (SW - LOW)'($signed(pairs[c*HW+LOW+:HW-LOW])) +
                    (SW - LOW)'($signed(pairs[(c+2)*HW+:HW]));
    assign sums[c*SW+:LOW] = pairs[c*HW+:LOW];
    if (16 % P == 0) begin : g_even
      assign sums[c*SW+LOW+:SW-LOW] =
          middle + {tops[c*TW+:SW-15], {(15 - LOW) {1'b0}}};
    end else begin : g_odd
      logic signed [SW-HIGH-1:0] top;
      assign top = (SW - HIGH)'($signed(groups[(c+4)*GW+:GW])) +
                   {tops[c*TW+:SW-15], {(15 - HIGH) {1'b0}}};
      assign sums[c*SW+LOW+:HIGH-LOW] = middle[HIGH-LOW-1:0];
      assign sums[c*SW+HIGH+:SW-HIGH] = $signed(middle[SW-LOW-1:HIGH-LOW]) + top;
    end
  end
endmodule

// One lane: a block a cycle, two registers. zero_seed goes with the sums, which then are those of an
// all-zero sequence.
module seedlm_lane #(
    parameter int C = 8,
    parameter int P = 3,
    localparam int SW = 21
) (
    input  logic            clk,
    input  logic            en,
    input  logic [31:0]     word,
    output logic [C*SW-1:0] sums,
    output logic            zero_seed
);
  if (P != 3 && P != 4) begin : g_no_such_profile
    $error("seedlm_lane: P is 3 (4bit, 2bit) or 4 (3bit, 4.5bit)");
  end
  localparam int GROUPS = C + 16 / P - 1;
  localparam int GW = P + 6;
  localparam int TW = P + 3;

  logic [GROUPS*GW-1:0] groups, groups_q;
  logic [C*TW-1:0]      tops, tops_q;
  logic [C*SW-1:0]      windows;
  logic                 zero_q;

  logic [16+C*P-1:0]        b;
  logic [(17+C*P-P)*TW-1:0] t;
  logic [(2**P)*8-1:0]      subsets;
  logic [TW-1:0]            total;  // of all coefficients
  assign total = subsets[(2**P-1)*8+:TW];
  seedlm_sequence #(.BITS(16 + C * P)) sequence_of_seed (.seed(word[15:0]), .b);
  seedlm_subsets #(.P(P)) subset (.q(word[16+:4*P]), .subsets);
  seedlm_digits #(.C(C), .P(P)) digits (.b, .subsets, .t);
  seedlm_groups #(.C(C), .P(P)) group (.t, .total, .groups, .tops);
  seedlm_windows #(.C(C), .P(P)) window (.groups(groups_q), .tops(tops_q), .sums(windows));

  always_ff @(posedge clk) begin
    if (en) begin
      groups_q  <= groups;
      tops_q    <= tops;
      zero_q    <= word[15:0] == 16'd0;
      sums      <= windows;
      zero_seed <= zero_q;
    end
  end
endmodule
