// value << (STEP * by), two bits of `by` at a time: a 4 : 1 multiplexer is one look-up table of six
// inputs, two 2 : 1 multiplexers in a row are two.
module shift_left #(
    parameter int W = 64,
    parameter int BITS = 3,
    parameter int STEP = 1
) (
    input  logic [W-1:0]    value,
    input  logic [BITS-1:0] by,
    output logic [W-1:0]    shifted
);
  if (BITS == 0) begin : g_none
    assign shifted = value;
  end else if (BITS == 1) begin : g_two
    assign shifted = by[0] ? value << STEP : value;
  end else begin : g_four
    logic [W-1:0] moved;
    assign moved = by[1] ? (by[0] ? value << (3 * STEP) : value << (2 * STEP))
                         : (by[0] ? value << STEP : value);
    if (BITS == 2) begin : g_last
      assign shifted = moved;
    end else begin : g_more
      shift_left #(.W(W), .BITS(BITS - 2), .STEP(4 * STEP)) rest (
          .value(moved), .by(by[BITS-1:2]), .shifted);
    end
  end
endmodule
