// Sum of N signed values, N a power of two; one register a level.
module adder_tree #(
    parameter int N = 16,
    parameter int IN = 32,
    parameter int OUT = IN + $clog2(N)
) (
    input  logic            clk,
    input  logic            en,
    input  logic [N*IN-1:0] values,
    output logic [OUT-1:0]  sum
);
  if (N == 1) begin : g_leaf
    assign sum = OUT'($signed(values));
  end else begin : g_node
    localparam int MID = IN + 1 < OUT ? IN + 1 : OUT;
    logic [N/2*MID-1:0] level;
    always_ff @(posedge clk) begin
      if (en) begin
        for (int i = 0; i < N / 2; i++) begin
          level[i*MID+:MID] <= MID'($signed(values[2*i*IN+:IN])) +
                               MID'($signed(values[(2*i+1)*IN+:IN]));
        end
      end
    end
    adder_tree #(.N(N / 2), .IN(MID), .OUT(OUT)) rest (.clk, .en, .values(level), .sum);
  end
endmodule
