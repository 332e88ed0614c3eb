// Two banks of activations: one is read while the other is filled. A line is what one word of weights
// of the widest unit meets; it is filled by SLICES beats. A vector ends with tlast, and its length is
// kept with it.
module vector_bank #(
    parameter int LINES = 256,
    parameter int SLICES = 4,
    parameter int SLICE_BITS = 576
) (
    input  logic                         clk,
    input  logic                         rst,
    input  logic                         beat_valid,
    output logic                         beat_ready,
    input  logic                         beat_last,
    input  logic [SLICE_BITS-1:0]        beat,
    output logic                         full,     // the bank that is read holds a whole vector
    output logic [$clog2(LINES)-1:0]     last_line,  // of that vector
    output logic                         uneven,   // it is no whole number of lines, or > LINES
    input  logic                         release_bank,  // it is not needed any more
    input  logic                         read,
    input  logic [$clog2(LINES)-1:0]     line,
    output logic [SLICES*SLICE_BITS-1:0] values
);
  localparam int LW = $clog2(LINES);
  localparam int PW = SLICES > 1 ? $clog2(SLICES) : 1;

  logic [1:0]    whole;
  logic          write_bank, read_bank;
  logic [LW-1:0] write_line;
  logic [PW-1:0] slice;
  logic          overrun;  // the line counter went round
  logic [1:0]    unevens;
  logic [LW-1:0] last_lines[2];
  assign last_line = last_lines[read_bank];
  assign uneven = unevens[read_bank];

  assign beat_ready = !whole[write_bank];
  assign full = whole[read_bank];

  always_ff @(posedge clk) begin
    if (rst) begin
      whole      <= '0;
      write_bank <= 1'b0;
      read_bank  <= 1'b0;
      write_line <= '0;
      slice      <= '0;
      overrun    <= 1'b0;
    end else begin
      if (beat_valid && beat_ready) begin
        slice <= slice == PW'(SLICES - 1) || beat_last ? '0 : slice + 1'b1;
        if (slice == PW'(SLICES - 1)) begin
          write_line <= write_line + 1'b1;
          if (write_line == LW'(LINES - 1)) overrun <= 1'b1;
        end
        if (beat_last) begin
          overrun                <= 1'b0;
          unevens[write_bank]    <= overrun || slice != PW'(SLICES - 1);
          last_lines[write_bank] <= write_line;
          write_line        <= '0;
          whole[write_bank] <= 1'b1;
          write_bank        <= !write_bank;
        end
      end
      if (release_bank) begin
        whole[read_bank] <= 1'b0;
        read_bank        <= !read_bank;
      end
    end
  end

  for (genvar s = 0; s < SLICES; s++) begin : g_slice
    logic [SLICE_BITS-1:0] memory[2*LINES];
    logic [SLICE_BITS-1:0] data;
    always_ff @(posedge clk) begin
      if (beat_valid && beat_ready && slice == PW'(s)) memory[{write_bank, write_line}] <= beat;
      if (read) data <= memory[{read_bank, line}];
    end
    assign values[s*SLICE_BITS+:SLICE_BITS] = data;
  end
endmodule

// What is kept of a float16: bits 0-14 the significand times 2^(shift mod 4), signed; 15-17 the rest
// of the shift in steps of 4. As integers in units of 2^-24. Infinities and NaN count as 0.
module float16_to_stored (
    input  logic [15:0] half,
    output logic [17:0] stored,
    output logic        not_finite
);
  logic [4:0]  shift;
  logic [13:0] magnitude;
  assign not_finite = half[14:10] == 5'd31;
  assign shift = half[14:10] == 5'd0 ? 5'd0 : half[14:10] - 5'd1;
  assign magnitude = {3'd0, half[14:10] != 5'd0, half[9:0]} << shift[1:0];
  always_comb begin
    stored = {shift[4:2], half[15] ? 15'd0 - {1'b0, magnitude} : {1'b0, magnitude}};
    if (not_finite) stored = '0;
  end
endmodule
