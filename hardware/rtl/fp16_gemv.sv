// The reference on the same port: float16 weights, 2 * LANES a cycle, with the streams, the commands
// (the level table is not looked at; words a row are counted in lines of four) and the exact
// accumulation of seedlm_gemv. tuser and error: bit 1 for weights or activations that are not finite.
module fp16_gemv #(
    parameter int LANES = 16,
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
  localparam int MACS = 2 * LANES;
  localparam int XW = 18;
  localparam int LW = $clog2(LINES);
  localparam int TERM = 81;  // |w x| < 2^80 in units of 2^-48
  localparam int ACC = 96;
  localparam int TREE = $clog2(MACS);
  localparam int DEPTH = 3 + TREE;

  logic en, wants_scale;
  assign en = !(m_axis_tvalid && !m_axis_tready) && !(wants_scale && !s_axis_scales_tvalid);

  logic [MACS*XW-1:0] beat, w;
  logic [MACS-1:0]    beat_bad, w_bad;
  logic [32*LANES-1:0] word;
  for (genvar i = 0; i < MACS; i++) begin : g_store
    float16_to_stored store_x (
        .half(s_axis_vector_tdata[16*i+:16]), .stored(beat[XW*i+:XW]), .not_finite(beat_bad[i]));
    float16_to_stored store_w (
        .half(word[16*i+:16]), .stored(w[XW*i+:XW]), .not_finite(w_bad[i]));
  end

  logic               vector_full, vector_release, take, first, last, last_row, row_scales;
  logic [1:0]         part, part_q;
  logic [LW-1:0]      line;
  logic signed [11:0] unit;
  logic [4*(MACS*XW+1)-1:0] stored;
  logic [MACS*XW:0]   x;

  vector_bank #(.LINES(LINES), .SLICES(4), .SLICE_BITS(MACS * XW + 1)) bank (
      .clk, .rst,
      .beat_valid(s_axis_vector_tvalid), .beat_ready(s_axis_vector_tready),
      .beat_last(s_axis_vector_tlast), .beat({beat_bad != '0, beat}),
      .full(vector_full), .release_bank(vector_release), .read(take), .line, .values(stored));

  row_control #(.LINE_BITS(LW), .WORDS_PER_LINE(4)) control (
      .clk, .rst, .en,
      .command_valid(s_axis_command_tvalid), .command_ready(s_axis_command_tready),
      .command(s_axis_command_tdata[63:0]),
      .vector_full, .vector_release,
      .word_valid(s_axis_weights_tvalid), .word_ready(s_axis_weights_tready),
      .take, .first, .last, .last_row, .line, .part, .row_scales, .unit);

  always_ff @(posedge clk) begin
    if (take) begin
      word   <= s_axis_weights_tdata;
      part_q <= part;
    end
  end
  assign x = stored[(MACS*XW+1)*part_q+:MACS*XW+1];

  // 2: products; 3: shifted.
  logic [MACS*TERM-1:0] terms;
  for (genvar i = 0; i < MACS; i++) begin : g_mac
    logic signed [29:0] product;
    logic [3:0]         coarse;
    logic [TERM-1:0]    shifted;
    shift_left #(.W(TERM), .BITS(4), .STEP(4)) shifter (
        .value(TERM'(product)), .by(coarse), .shifted);
    always_ff @(posedge clk) begin
      if (en) begin
        product <= $signed(w[XW*i+:15]) * $signed(x[XW*i+:15]);
        coarse  <= {1'b0, w[XW*i+15+:3]} + {1'b0, x[XW*i+15+:3]};
        terms[TERM*i+:TERM] <= shifted;
      end
    end
  end

  logic [TERM+TREE-1:0] sum;
  adder_tree #(.N(MACS), .IN(TERM)) tree (.clk, .en, .values(terms), .sum);

  logic [DEPTH:1]       valid, firsts, lasts, last_rows, scaled;
  logic [DEPTH:2]       bad;
  logic [DEPTH*12-1:0]  units;
  always_ff @(posedge clk) begin
    if (rst) valid <= '0;
    else if (en) valid <= {valid[DEPTH-1:1], take};
    if (en) begin
      firsts    <= {firsts[DEPTH-1:1], first};
      lasts     <= {lasts[DEPTH-1:1], last};
      last_rows <= {last_rows[DEPTH-1:1], last_row};
      scaled    <= {scaled[DEPTH-1:1], row_scales};
      units     <= {units[(DEPTH-1)*12-1:0], unit};
      bad       <= {bad[DEPTH-1:2], w_bad != '0 || x[MACS*XW]};
    end
    if (rst) error <= '0;
    else if (en && valid[DEPTH] && bad[DEPTH]) error <= 2'b10;
  end

  row_end #(.IN(TERM + TREE), .ACC(ACC)) finish (
      .clk, .rst, .en, .wants_scale,
      .scale_ready(s_axis_scales_tready), .scale(s_axis_scales_tdata),
      .in_valid(valid[DEPTH]), .in_first(firsts[DEPTH]), .in_last(lasts[DEPTH]),
      .in_last_row(last_rows[DEPTH]), .in_flags({bad[DEPTH], 1'b0}),
      .in_row_scales(scaled[DEPTH]), .in_unit(units[DEPTH*12-1-:12]), .in_sum(sum),
      .out_valid(m_axis_tvalid), .out_ready(m_axis_tready), .out_last(m_axis_tlast), .out_flags(m_axis_tuser),
      .out(m_axis_tdata));
endmodule
