// A stream of blocks to a stream of float16 or bfloat16 weights, LANES blocks a cycle, bit for bit
// the codec's: float32(S) * scale, rounded once to float32 and once to the format.
//
// P = 3 (4bit, 2bit): the level is in the word. P = 4 (3bit, 4.5bit): levels come on a stream of their
// own, 32 * LANES bits for 8 words, a nibble a block, the first in the low bits, and anew after a
// word with tlast; with P = 3 that stream is not looked at.
module seedlm_decoder #(
    parameter int LANES = 16,
    parameter int C = 8,
    parameter int P = 3
) (
    input  logic                  clk,
    input  logic                  rst,
    // Constant while blocks are under way. scale: 16 float32, finite and positive.
    input  logic [16*32-1:0]      scale,
    input  logic                  bfloat16,
    input  logic                  s_axis_tvalid,
    output logic                  s_axis_tready,
    input  logic [32*LANES-1:0]   s_axis_tdata,
    input  logic                  s_axis_tlast,
    input  logic                  s_axis_level_tvalid,
    output logic                  s_axis_level_tready,
    input  logic [32*LANES-1:0]   s_axis_level_tdata,
    output logic                  m_axis_tvalid,
    input  logic                  m_axis_tready,
    output logic [16*C*LANES-1:0] m_axis_tdata,
    output logic                  m_axis_tlast,
    output logic [LANES-1:0]      m_axis_tuser,  // a bit a lane: its block has a zero seed
    output logic                  zero_seed      // one was given out since the reset
);
  localparam int SW = 21;
  localparam int LATENCY = 7;

  logic en, take;
  assign en = !m_axis_tvalid || m_axis_tready;

  logic [4*LANES-1:0] levels;  // of the word that is taken
  if (P == 3) begin : g_in_word
    for (genvar i = 0; i < LANES; i++) begin : g_lane
      assign levels[4*i+:4] = s_axis_tdata[32*i+28+:4];
    end
    assign take = s_axis_tvalid && en;
    assign s_axis_tready = en;
    assign s_axis_level_tready = 1'b0;
  end else begin : g_plane
    // The first word of eight takes a level word with it and the others what is left of that.
    logic [2:0] phase;
    logic [28*LANES-1:0] held;
    logic available;
    assign available = phase != 3'd0 || s_axis_level_tvalid;
    assign take = s_axis_tvalid && available && en;
    assign s_axis_tready = available && en;
    assign s_axis_level_tready = phase == 3'd0 && s_axis_tvalid && en;
    assign levels = phase == 3'd0 ? s_axis_level_tdata[0+:4*LANES] : held[0+:4*LANES];
    always_ff @(posedge clk) begin
      if (take) begin
        held <= phase == 3'd0 ? s_axis_level_tdata[4*LANES+:28*LANES] : held >> (4 * LANES);
      end
      // A tensor begins with a level word of its own, however many words the one before had.
      if (rst || (take && s_axis_tlast)) phase <= 3'd0;
      else if (take) phase <= phase + 3'd1;
    end
  end

  logic [LATENCY:1] valid, last;
  always_ff @(posedge clk) begin
    if (rst) valid <= '0;
    else if (en) valid <= {valid[LATENCY-1:1], take};
    if (en) last <= {last[LATENCY-1:1], s_axis_tlast};
  end

  logic [32*LANES-1:0] word_q;
  logic [4*LANES-1:0]  levels_q, levels_q2, levels_q3;
  logic [LANES-1:0]    zero_3, zero_4, zero_5, zero_6, zero_7;
  always_ff @(posedge clk) begin
    if (en) begin
      word_q    <= s_axis_tdata;
      levels_q  <= levels;
      levels_q2 <= levels_q;
      levels_q3 <= levels_q2;
      zero_4    <= zero_3;
      zero_5    <= zero_4;
      zero_6    <= zero_5;
      zero_7    <= zero_6;
    end
    if (rst) zero_seed <= 1'b0;
    else if (en && valid[6] && zero_6 != '0) zero_seed <= 1'b1;
  end

  for (genvar i = 0; i < LANES; i++) begin : g_lane
    logic [C*SW-1:0] sums;
    seedlm_lane #(.C(C), .P(P)) lane (
        .clk, .en, .word(word_q[32*i+:32]), .sums, .zero_seed(zero_3[i]));

    logic [23:0]       digits;
    logic signed [9:0] field;
    normal_level level (
        .clk, .en, .bits(scale[32*levels_q3[4*i+:4]+:31]), .bfloat16, .digits, .field);
    for (genvar c = 0; c < C; c++) begin : g_weight
      weight_of_sum weight (
          .clk, .en, .sum(sums[c*SW+:SW]), .digits, .field, .bfloat16,
          .half(m_axis_tdata[16*(i*C+c)+:16]));
    end
  end

  assign m_axis_tvalid = valid[LATENCY];
  assign m_axis_tlast = last[LATENCY];
  assign m_axis_tuser = zero_7;
endmodule
