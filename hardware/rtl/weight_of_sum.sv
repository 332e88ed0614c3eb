// A level for weight_of_sum, one register: its significand with the leading one on top, subnormal or
// not, and the exponent field that a weight of the format has whose magnitude is 2^19 and whose
// product's top bit is clear.
module normal_level (
    input  logic              clk,
    input  logic              en,
    input  logic [30:0]       bits,  // a finite float32, positive
    input  logic              bfloat16,
    output logic [23:0]       digits,
    output logic signed [9:0] field
);
  logic [23:0] normal;
  logic [4:0]  shift;
  normalise #(.W(24)) find_lead (
      .magnitude({bits[30:23] != 8'd0, bits[22:0]}), .normal, .shift);
  always_ff @(posedge clk) begin
    if (en) begin
      digits <= normal;
      field  <= $signed({2'b00, bits[30:23] == 8'd0 ? 8'd1 : bits[30:23]}) -
                $signed({5'd0, shift}) + (bfloat16 ? 10'sd19 : 10'sd19 - 10'sd112);
    end
  end
endmodule

// One weight, four registers: float32(sum) * level rounded to float32, and that once more to float16
// or bfloat16, to nearest even, subnormals kept, overflow to infinity.
//
// Both roundings are one increment. Let T be the 24 bits of the float32 before its rounding and `up`
// what the rounding adds, D bits be dropped by the second. T + up is above the middle of those if T
// is, or if it is there and `up`; it is there if T is and not `up`, or if T is one below and `up`.
//
// Subnormal results shift T to the right by k. For bfloat16 that is before the first rounding, as the
// float32 is subnormal, too; for float16 it is after it, as no such float32 is (D grows by k). From
// 2^-25 (float16), 2^-134 (bfloat16) down the result is 0: k <= 12.
module weight_of_sum (
    input  logic              clk,
    input  logic              en,
    input  logic [20:0]       sum,
    input  logic [23:0]       digits,  // one register later, as the next
    input  logic signed [9:0] field,
    input  logic              bfloat16,
    output logic [15:0]       half
);
  localparam int MAX_SHIFT = 12;

  // 1: the magnitude's leading one on top.
  logic [19:0] magnitude, normal, normal_1;
  logic [4:0]  shift, shift_1;
  logic        negative_1;
  assign magnitude = (sum[19:0] ^ {20{sum[20]}}) + {19'd0, sum[20]};
  normalise #(.W(20)) find_lead (.magnitude, .normal, .shift);

  // 2: the product, its top bit 43 or 42.
  logic [43:0]       product;
  logic signed [9:0] field_2;
  logic              negative_2;

  // 3: T, the guard bit, the sticky bit; the shift; what stands above the fraction, less the hidden one.
  logic [23:0]       t;
  logic              guard, sticky, infinite, negative_3;
  logic [3:0]        k;
  logic [7:0]        base;
  logic signed [9:0] excess, field_3;
  logic              none;
  assign field_3 = field_2 + $signed({9'd0, product[43]});
  assign excess = 10'sd1 - field_3;
  assign none = excess > 10'(MAX_SHIFT) || product[43:42] == 2'b00;

  always_ff @(posedge clk) begin
    if (en) begin
      normal_1   <= normal;
      shift_1    <= shift;
      negative_1 <= sum[20];

      product    <= normal_1 * digits;
      field_2    <= field - $signed({5'd0, shift_1});
      negative_2 <= negative_1;

      t          <= none ? '0 : product[43] ? product[43:20] : product[42:19];
      guard      <= !none && (product[43] ? product[19] : product[18]);
      sticky     <= product[17:0] != '0 || (product[43] && product[18]);
      k          <= excess > 0 ? excess[3:0] : 4'd0;
      base       <= excess > 0 || none ? 8'd0 : field_3[7:0] - 8'd1;
      infinite   <= !none && field_3 >= (bfloat16 ? 10'sd255 : 10'sd31);
      negative_3 <= negative_2;
    end
  end

  // 4: the result.
  logic [24:0] shifted;  // T and the guard bit
  logic        ones_out, zeros_out, inexact, up, middle, zeros, ones, odd, increment;
  logic [10:0] upper;
  logic [14:0] rounded;
  always_comb begin
    shifted   = {t, guard} >> k;
    ones_out  = 1'b1;  // the bits of T below the last one that was shifted out
    zeros_out = 1'b1;
    for (int i = 0; i < MAX_SHIFT - 1; i++) begin
      if (i + 1 < k) begin
        ones_out  = ones_out && t[i];
        zeros_out = zeros_out && !t[i];
      end
    end
    inexact = sticky || !zeros_out || (k != 4'd0 && guard);
    if (bfloat16) begin
      up     = shifted[0] && (inexact || shifted[1]);
      middle = shifted[16];
      zeros  = shifted[15:1] == '0;
      ones   = shifted[15:1] == '1;
      odd    = shifted[17];
      upper  = {3'd0, shifted[24:17]};
    end else begin
      up     = guard && (sticky || t[0]);
      middle = shifted[13];
      zeros  = shifted[12:1] == '0 && (k == 4'd0 || !shifted[0]) && zeros_out;
      ones   = shifted[12:1] == '1 && (k == 4'd0 || shifted[0]) && ones_out;
      odd    = shifted[14];
      upper  = shifted[24:14];
    end
    increment = (middle && (!zeros || up)) ||
                (odd && ((middle && zeros && !up) || (!middle && ones && up)));
    rounded = (bfloat16 ? {base, 7'd0} : {base[4:0], 10'd0}) + {4'd0, upper} +
              {14'd0, increment};
    if (infinite) rounded = bfloat16 ? 15'h7F80 : 15'h7C00;
  end
  always_ff @(posedge clk) if (en) half <= {negative_3, rounded};
endmodule
