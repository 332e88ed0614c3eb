// Integers to float32: to nearest even, subnormals kept, overflow to infinity.
// Combinational; the registers are the caller's.

// Shifts left until the top bit is set; `shift` says how far (W - 1 or more for zero).
module normalise #(
    parameter int W = 48,
    localparam int LOG = $clog2(W)
) (
    input  logic [W-1:0]   magnitude,
    output logic [W-1:0]   normal,
    output logic [LOG-1:0] shift
);
  always_comb begin
    normal = magnitude;
    shift  = '0;
    for (int k = LOG - 1; k >= 0; k--) begin
      if (2 ** k < W && (normal >> (W - 2 ** k)) == '0) begin
        normal   = normal << (2 ** k);
        shift[k] = 1'b1;
      end
    end
  end
endmodule

// magnitude * 2^exponent as the low 31 bits of a float32. W >= 26.
module round_float32 #(
    parameter int W = 48
) (
    input  logic [W-1:0]       magnitude,
    input  logic signed [11:0] exponent,
    output logic [30:0]        value
);
  localparam int LOG = $clog2(W);
  logic [W-1:0]         normal, kept;
  logic [LOG-1:0]       shift;
  logic signed [12:0]   biased, excess;  // the exponent field if it is normal; shift if it is not
  logic                 lost, sticky, up;
  logic [30:0]          field, rounded;

  normalise #(.W(W)) find_lead (.magnitude, .normal, .shift);

  always_comb begin
    biased = 13'(exponent) + 13'sd127 + 13'(W - 1) - $signed({{(13 - LOG) {1'b0}}, shift});
    excess = 13'sd1 - biased;
    kept   = normal;
    lost   = 1'b0;
    if (excess > 0) begin  // subnormal: the unit is 2^-149
      if (excess >= 13'sd26) begin
        kept = '0;
        lost = 1'b1;
      end else begin
        kept = normal >> excess[4:0];
        lost = (kept << excess[4:0]) != normal;
      end
    end
    sticky  = lost || (kept[W-26:0] != '0);
    up      = kept[W-25] && (sticky || kept[W-24]);
    field   = biased > 13'sd1 ? {biased[7:0] - 8'd1, 23'd0} : 31'd0;
    rounded = field + {7'd0, kept[W-1-:24]} + {30'd0, up};
    if (magnitude == '0) value = '0;
    else if (biased >= 13'sd255) value = 31'h7F800000;
    else value = rounded;
  end
endmodule
