// The matrix-vector unit: y = W x with W as 4bit blocks, LANES of them (8 * LANES weights) a cycle.
//
// Streams: words of LANES blocks, rows padded to whole words with the block 0x00000001; activations,
// 32 * LANES bits a beat (float16, or int8), tlast on the last of a vector, padded to 8 * LANES; row
// scales, float32, one a row where the command asks for them; results, float32, tlast on the last of
// a command. Results carry in tuser: bit 0, the row has a block with a zero seed; bit 1, activations
// of the row's words are not finite. Both also stay in `error` until the reset. The streams stay
// aligned whatever the input.
//
// Arithmetic, the same as hardware/hls: the row's sum is exact; float32(sum), times row scale, times
// 2^unit: two roundings. Columns <= 8 * LANES * LINES, levels over at most 27 octaves.
//
// A command, 512 bits:
//   7:0    words a row - 1
//   27:8   rows - 1
//   28     keep the vector for the next command
//   29     read a row scale for each row; else 1.0
//   41:30  unit, signed
//   63:42  0
//   64+28i level i: 22:0 its fraction, 27:23 its shift: (2^23 + fraction) 2^shift 2^unit
module seedlm_gemv #(
    parameter int LANES = 16,
    parameter bit INT8 = 0,
    parameter bit POW2 = 0,
    parameter int LINES = 256
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                s_axis_command_tvalid,
    output logic                s_axis_command_tready,
    input  logic [511:0]        s_axis_command_tdata,
    input  logic                s_axis_vector_tvalid,
    output logic                s_axis_vector_tready,
    input  logic [32*LANES-1:0] s_axis_vector_tdata,
    input  logic                s_axis_vector_tlast,
    input  logic                s_axis_weights_tvalid,
    output logic                s_axis_weights_tready,
    input  logic [32*LANES-1:0] s_axis_weights_tdata,
    input  logic                s_axis_scales_tvalid,
    output logic                s_axis_scales_tready,
    input  logic [31:0]         s_axis_scales_tdata,
    output logic                m_axis_tvalid,
    input  logic                m_axis_tready,
    output logic [31:0]         m_axis_tdata,
    output logic                m_axis_tlast,
    output logic [1:0]          m_axis_tuser,
    output logic [1:0]          error
);
  localparam int XW = INT8 ? 8 : 18;
  localparam int SLICES = INT8 ? 2 : 4;
  localparam int PER_BEAT = 8 * LANES / SLICES;
  localparam int LW = $clog2(LINES);
  localparam int DOT = INT8 ? 31 : 64;
  localparam int BLOCK = DOT + (POW2 ? 0 : 24) + 27;
  localparam int ACC = INT8 ? 96 : 128;
  localparam int TREE = $clog2(LANES);
  localparam int SUM = BLOCK + TREE < ACC ? BLOCK + TREE : ACC;
  localparam int DEPTH = 10 + TREE;  // registers before the accumulator

  logic en, wants_scale;
  assign en = !(m_axis_tvalid && !m_axis_tready) && !(wants_scale && !s_axis_scales_tvalid);

  // Activations.
  logic [PER_BEAT*XW-1:0] beat;
  logic                   beat_not_finite;
  if (INT8) begin : g_int8
    assign beat = s_axis_vector_tdata;
    assign beat_not_finite = 1'b0;
  end else begin : g_float16
    logic [PER_BEAT-1:0] not_finite;
    for (genvar i = 0; i < PER_BEAT; i++) begin : g_value
      float16_to_stored store (
          .half(s_axis_vector_tdata[16*i+:16]), .stored(beat[XW*i+:XW]),
          .not_finite(not_finite[i]));
    end
    assign beat_not_finite = not_finite != '0;
  end

  logic                  vector_full, vector_release, take, first, last, last_row, row_scales;
  logic [LW-1:0]         line;
  logic signed [11:0]    unit;
  logic [8*LANES*XW+SLICES-1:0] stored;
  logic [8*LANES*XW-1:0] x;
  logic                  x_not_finite;

  vector_bank #(.LINES(LINES), .SLICES(SLICES), .SLICE_BITS(PER_BEAT * XW + 1)) bank (
      .clk, .rst,
      .beat_valid(s_axis_vector_tvalid), .beat_ready(s_axis_vector_tready),
      .beat_last(s_axis_vector_tlast), .beat({beat_not_finite, beat}),
      .full(vector_full), .release_bank(vector_release), .read(take), .line, .values(stored));
  always_comb begin
    x_not_finite = 1'b0;
    for (int s = 0; s < SLICES; s++) begin
      x[s*PER_BEAT*XW+:PER_BEAT*XW] = stored[s*(PER_BEAT*XW+1)+:PER_BEAT*XW];
      x_not_finite = x_not_finite | stored[s*(PER_BEAT*XW+1)+PER_BEAT*XW];
    end
  end

  row_control #(.LINE_BITS(LW), .WORDS_PER_LINE(1)) control (
      .clk, .rst, .en,
      .command_valid(s_axis_command_tvalid), .command_ready(s_axis_command_tready),
      .command(s_axis_command_tdata[63:0]),
      .vector_full, .vector_release,
      .word_valid(s_axis_weights_tvalid), .word_ready(s_axis_weights_tready),
      .take, .first, .last, .last_row, .line, .part(), .row_scales, .unit);

  // The level table changes with the command: a word looks its levels up one register after it was
  // taken, which the cycle between two commands leaves time for.
  logic [16*28-1:0]    table_q;
  logic [32*LANES-1:0] word;
  always_ff @(posedge clk) begin
    if (s_axis_command_tready && s_axis_command_tvalid) table_q <= s_axis_command_tdata[511:64];
    if (take) word <= s_axis_weights_tdata;
  end

  logic [LANES*BLOCK-1:0] blocks;
  logic [LANES-1:0]       zero_seeds;
  for (genvar i = 0; i < LANES; i++) begin : g_lane
    logic [27:0] level;
    always_ff @(posedge clk) if (en) level <= table_q[28*word[32*i+28+:4]+:28];
    block_dot #(.INT8(INT8), .POW2(POW2)) lane (
        .clk, .en, .word(word[32*i+:32]), .x(x[8*XW*i+:8*XW]), .level,
        .value(blocks[BLOCK*i+:BLOCK]), .zero_seed(zero_seeds[i]));
  end

  logic [SUM-1:0] sum;
  adder_tree #(.N(LANES), .IN(BLOCK), .OUT(SUM)) tree (.clk, .en, .values(blocks), .sum);

  // What goes with a word, register by register.
  logic [DEPTH:1]              valid, firsts, lasts, last_rows, scaled, not_finite;
  logic [DEPTH:4]              zero;
  logic [DEPTH*12-1:0]         units;
  always_ff @(posedge clk) begin
    if (rst) valid <= '0;
    else if (en) valid <= {valid[DEPTH-1:1], take};
    if (en) begin
      firsts     <= {firsts[DEPTH-1:1], first};
      lasts      <= {lasts[DEPTH-1:1], last};
      last_rows  <= {last_rows[DEPTH-1:1], last_row};
      scaled     <= {scaled[DEPTH-1:1], row_scales};
      units      <= {units[(DEPTH-1)*12-1:0], unit};
      not_finite <= {not_finite[DEPTH-1:2], x_not_finite, 1'b0};
      zero       <= {zero[DEPTH-1:4], zero_seeds != '0};
    end
    if (rst) error <= '0;
    else if (en && valid[DEPTH]) error <= error | {not_finite[DEPTH], zero[DEPTH]};
  end

  row_end #(.IN(SUM), .ACC(ACC)) finish (
      .clk, .rst, .en, .wants_scale,
      .scale_ready(s_axis_scales_tready), .scale(s_axis_scales_tdata),
      .in_valid(valid[DEPTH]), .in_first(firsts[DEPTH]), .in_last(lasts[DEPTH]), .in_last_row(last_rows[DEPTH]),
      .in_flags({not_finite[DEPTH], zero[DEPTH]}), .in_row_scales(scaled[DEPTH]),
      .in_unit(units[DEPTH*12-1-:12]), .in_sum(sum),
      .out_valid(m_axis_tvalid), .out_ready(m_axis_tready), .out_last(m_axis_tlast), .out_flags(m_axis_tuser),
      .out(m_axis_tdata));
endmodule
