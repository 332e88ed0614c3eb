// A matrix-vector unit: y = W x behind streams. LANES 32-bit words of weights a cycle: 4bit blocks (8
// weights each), or with FP16 = 1 the reference on the same port, pairs of float16 weights.
//
// Streams: words of LANES blocks, rows padded to whole lines of 8 * LANES columns (a word of blocks,
// four of float16) with the block 0x00000001 or zeros; activations, 32 * LANES bits a beat (float16,
// or int8), tlast on the last of a vector, padded to whole lines; row scales, float32, one a row where
// the command asks for them; results, float32, tlast on the last of a command. The streams stay
// aligned whatever the input, and results carry in tuser
//   bit 0  the row has a block with a zero seed, which counts as the sums of an all-zero sequence
//   bit 1  activations, float16 weights (both count as 0) or the scale of the row are not finite
//   bit 2  the command's levels: a shift above 27, or with POW2 a fraction that is not 0
//   bit 3  the vector has another length than the command's rows
// all of which also stay in `error` until the reset. With bit 2 or 3 the result means nothing.
//
// Arithmetic, the same as hardware/hls: the row's sum is exact; float32(sum), times row scale, times
// 2^unit: two roundings. Columns <= 8 * LANES * LINES <= 32,768.
//
// A command, 512 bits:
//   7:0    lines a row - 1
//   27:8   rows - 1
//   28     keep the vector for the next command
//   29     read a row scale for each row; else 1.0
//   41:30  unit, signed
//   63:42  0
//   64+28i level i: 22:0 its fraction, 27:23 its shift: (2^23 + fraction) 2^shift 2^unit; with POW2
//          2^shift 2^unit (hls/host_levels.h: the host's step); not looked at by the reference
module gemv #(
    parameter int LANES = 16,
    parameter bit FP16 = 0,
    parameter bit INT8 = 0,  // activations; of blocks only
    parameter bit POW2 = 0,  // levels are shifts; of blocks only
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
    output logic [3:0]          m_axis_tuser,
    output logic [3:0]          error
);
  if (FP16 && (INT8 || POW2)) begin : g_no_such_reference
    $error("gemv: FP16 goes with neither INT8 nor POW2");
  end
  if (LANES < 1 || (LANES & (LANES - 1)) != 0) begin : g_no_such_lanes
    $error("gemv: LANES must be a power of two");
  end
  if (LINES < 2 || LINES > 256 || (LINES & (LINES - 1)) != 0) begin : g_no_such_lines
    $error("gemv: LINES must be a power of two, 2 to 256");
  end
  if (LANES * LINES > 4096) begin : g_no_such_row
    $error("gemv: the accumulator holds rows of 32,768 columns at most");
  end
  localparam int MAX_SHIFT = 27;
  localparam int XW = INT8 ? 8 : 18;
  localparam int SLICES = INT8 ? 2 : 4;
  localparam int PER_BEAT = 8 * LANES / SLICES;
  localparam int SLICE = PER_BEAT * XW + 1;  // on top: the beat is not finite
  localparam int LW = $clog2(LINES);
  localparam int PARTS = FP16 ? 4 : 1;  // words a line
  localparam int PW = FP16 ? 2 : 1;
  // What the products' module gives: registers up to its sum, bits of the sum.
  localparam int TREE = $clog2(FP16 ? 2 * LANES : LANES);
  localparam int DEPTH = TREE + (FP16 ? 3 : 10);
  localparam int TERM = FP16 ? 81 : (INT8 ? 31 : 64) + (POW2 ? 0 : 24) + 27;
  localparam int ACC = FP16 || INT8 ? 96 : 128;
  localparam int SUM = TERM + TREE < ACC ? TERM + TREE : ACC;

  logic en, wants_scale;
  assign en = !(m_axis_tvalid && !m_axis_tready) && !(wants_scale && !s_axis_scales_tvalid);

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

  logic                    vector_full, vector_release, take, first, last, last_row, row_scales;
  logic [PW-1:0]           part;
  logic [LW-1:0]           line, last_line, vector_last_line;
  logic                    vector_uneven, bad_levels;
  logic signed [11:0]      unit;
  logic [SLICES*SLICE-1:0] x;

  vector_bank #(.LINES(LINES), .SLICES(SLICES), .SLICE_BITS(SLICE)) bank (
      .clk, .rst,
      .beat_valid(s_axis_vector_tvalid), .beat_ready(s_axis_vector_tready),
      .beat_last(s_axis_vector_tlast), .beat({beat_not_finite, beat}),
      .full(vector_full), .last_line(vector_last_line), .uneven(vector_uneven),
      .release_bank(vector_release), .read(take), .line, .values(x));

  row_control #(.LINE_BITS(LW), .WORDS_PER_LINE(PARTS)) control (
      .clk, .rst, .en,
      .command_valid(s_axis_command_tvalid), .command_ready(s_axis_command_tready),
      .command(s_axis_command_tdata[63:0]),
      .vector_full, .vector_release,
      .word_valid(s_axis_weights_tvalid), .word_ready(s_axis_weights_tready),
      .take, .first, .last, .last_row, .line, .last_line, .part, .row_scales, .unit);

  logic [SUM-1:0] sum;
  logic [1:0]     flags;
  if (FP16) begin : g_fp16
    fp16_products #(.LANES(LANES)) products (
        .clk, .en, .take, .weights(s_axis_weights_tdata), .part, .x, .sum, .flags);
    assign bad_levels = 1'b0;
  end else begin : g_seedlm
    logic [15:0] bad;
    for (genvar i = 0; i < 16; i++) begin : g_level
      assign bad[i] = s_axis_command_tdata[64+28*i+23+:5] > 5'(MAX_SHIFT) ||
                      (POW2 && s_axis_command_tdata[64+28*i+:23] != '0);
    end
    always_ff @(posedge clk) begin
      if (s_axis_command_tready && s_axis_command_tvalid) bad_levels <= bad != '0;
    end
    block_products #(.LANES(LANES), .INT8(INT8), .POW2(POW2), .SUM(SUM)) products (
        .clk, .en, .new_levels(s_axis_command_tready && s_axis_command_tvalid),
        .levels(s_axis_command_tdata[511:64]), .take, .weights(s_axis_weights_tdata), .x, .sum,
        .flags);
  end

  // What goes with a word, register by register.
  logic [DEPTH:1]      valid, firsts, lasts, last_rows, scaled;
  logic [DEPTH*12-1:0] units;
  logic [DEPTH:1]      lengths, tables;  // flags of the command: bits 3 and 2
  always_ff @(posedge clk) begin
    if (rst) valid <= '0;
    else if (en) valid <= {valid[DEPTH-1:1], take};
    if (en) begin
      firsts    <= {firsts[DEPTH-1:1], first};
      lasts     <= {lasts[DEPTH-1:1], last};
      last_rows <= {last_rows[DEPTH-1:1], last_row};
      scaled    <= {scaled[DEPTH-1:1], row_scales};
      units     <= {units[(DEPTH-1)*12-1:0], unit};
      lengths   <= {lengths[DEPTH-1:1], vector_uneven || vector_last_line != last_line};
      tables    <= {tables[DEPTH-1:1], bad_levels};
    end
  end

  row_end #(.IN(SUM), .ACC(ACC)) finish (
      .clk, .rst, .en, .wants_scale,
      .scale_ready(s_axis_scales_tready), .scale(s_axis_scales_tdata),
      .in_valid(valid[DEPTH]), .in_first(firsts[DEPTH]), .in_last(lasts[DEPTH]),
      .in_last_row(last_rows[DEPTH]),
      .in_flags({lengths[DEPTH], tables[DEPTH], flags}), .in_row_scales(scaled[DEPTH]),
      .in_unit(units[DEPTH*12-1-:12]), .in_sum(sum),
      .out_valid(m_axis_tvalid), .out_ready(m_axis_tready), .out_last(m_axis_tlast),
      .out_flags(m_axis_tuser), .out(m_axis_tdata), .error);
endmodule
