// The end of a row: accumulate exactly, round to a float32, multiply by the row's scale and 2^unit,
// round once more. Six registers; the last one is the result's.
module row_end #(
    parameter int IN = 119,
    parameter int ACC = 128
) (
    input  logic               clk,
    input  logic               rst,
    input  logic               en,
    output logic               wants_scale,  // `en` needs a valid scale
    output logic               scale_ready,
    input  logic [31:0]        scale,
    // A word's sum with what goes with it.
    input  logic               in_valid,
    input  logic               in_first,
    input  logic               in_last,
    input  logic               in_last_row,
    input  logic [3:0]         in_flags,
    input  logic               in_row_scales,
    input  logic signed [11:0] in_unit,
    input  logic [IN-1:0]      in_sum,
    output logic               out_valid,
    input  logic               out_ready,
    output logic               out_last,
    output logic [3:0]         out_flags,  // bit 1 also for a row scale that is not finite
    output logic [31:0]        out,
    output logic [3:0]         error       // all flags given out since the reset
);
  localparam int LOG = $clog2(ACC);

  logic [4:1]              valid, last_row, row_scales;
  logic [4*12-1:0]         units;
  logic [3:0]              flags_1, flags_2, flags_3, flags_4;

  logic [ACC-1:0]          accumulator, magnitude, normal, normal_q;
  logic [LOG-1:0]          lead_shift, lead_shift_q;
  logic                    sign_2, sign_3, sign_4, sign_5;
  logic [24:0]             rounded_3;  // up to 2^24: the carry of the rounding
  logic [23:0]             digits_4;
  logic signed [11:0]      exponent_4, exponent_5;
  logic                    up;
  logic [31:0]             factor;
  logic [47:0]             product_5;
  logic                    valid_5, last_5;
  logic [3:0]              flags_5;
  logic                    scale_not_finite;
  logic [30:0]             rounded;

  normalise #(.W(ACC)) find_lead (.magnitude, .normal, .shift(lead_shift));
  assign up = normal_q[ACC-25] && (normal_q[ACC-24] || normal_q[ACC-26:0] != '0);

  assign rounded_3 = {1'b0, normal_q[ACC-1-:24]} + {24'd0, up};

  assign wants_scale = valid[4] && row_scales[4];
  assign scale_ready = wants_scale && en;
  assign factor = row_scales[4] ? scale : 32'h3F800000;
  assign scale_not_finite = factor[30:23] == 8'hFF;
  round_float32 #(.W(48)) to_float32 (
      .magnitude(product_5), .exponent(exponent_5), .value(rounded));

  always_ff @(posedge clk) begin
    if (en) begin
      // 1: the accumulator; a bubble leaves it alone
      if (in_valid) begin
        accumulator <= (in_first ? '0 : accumulator) + ACC'($signed(in_sum));
        flags_1     <= (in_first ? 4'd0 : flags_1) | in_flags;
      end
      // 2: sign and magnitude
      magnitude <= (accumulator ^ {ACC{accumulator[ACC-1]}}) + ACC'(accumulator[ACC-1]);
      sign_2    <= accumulator[ACC-1];
      // 3: leading one on top
      normal_q     <= normal;
      lead_shift_q <= lead_shift;
      sign_3       <= sign_2;
      // 4: float32
      digits_4   <= rounded_3[24] ? rounded_3[24:1] : rounded_3[23:0];
      exponent_4 <= 12'(ACC - 24) - $signed({{(12 - LOG) {1'b0}}, lead_shift_q}) +
                    $signed({11'd0, rounded_3[24]});
      sign_4     <= sign_3;
      // 5: times the row's scale
      product_5  <= digits_4 * {factor[30:23] != 8'd0, factor[22:0]};
      exponent_5 <= exponent_4 + $signed(units[4*12-1-:12]) - 12'sd150 +
                    $signed({4'd0, factor[30:23] == 8'd0 ? 8'd1 : factor[30:23]});
      sign_5     <= sign_4 ^ factor[31];
      flags_5    <= flags_4 | {2'b00, scale_not_finite, 1'b0};
      last_5     <= last_row[4];
      // 6: the result
      out       <= {sign_5, rounded};
      out_flags <= flags_5;
      out_last  <= last_5;

      last_row   <= {last_row[3:1], in_last_row};
      row_scales <= {row_scales[3:1], in_row_scales};
      units      <= {units[3*12-1:0], in_unit};
      flags_2    <= flags_1;
      flags_3    <= flags_2;
      flags_4    <= flags_3;
    end
    if (rst) begin
      valid     <= '0;
      valid_5   <= 1'b0;
      out_valid <= 1'b0;
      error     <= '0;
    end else if (en) begin
      if (valid_5) error <= error | flags_5;
      valid     <= {valid[3:1], in_valid && in_last};
      valid_5   <= valid[4];
      out_valid <= valid_5;
    end else if (out_ready) begin
      out_valid <= 1'b0;  // taken while the pipeline waits for a scale
    end
  end
endmodule
