#include "kernels/cuda/output_meter.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/cuda_raii.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/square_sums.h"

namespace seedlm::cuda {
namespace {

using backend::Activations;
using backend::OutputSums;

constexpr int64_t kPieceFloats = int64_t{1} << 23;  // of W at a time, and of its products

class CudaOutputMeter : public backend::OutputMeter {
 public:
  CudaOutputMeter(int device, const Activations& activations)
      : device_(device),
        samples_(activations.samples),
        columns_(activations.columns),
        most_rows_(std::max<int64_t>(1, kPieceFloats / std::max(samples_, columns_))) {}

  ~CudaOutputMeter() override { cudaSetDevice(device_); }  // where all that it holds belongs

  absl::Status Prepare(const float* activations) {
    if (samples_ > kMostOfAnAxis || columns_ > kMostOfAnAxis) {
      return absl::FailedPreconditionError("cuBLAS takes axes of at most 2^30");
    }
    absl::Status status = ToStatus(cudaSetDevice(device_), "cudaSetDevice");
    if (!status.ok()) return status;
    auto stream = MakeStream();
    if (!stream.ok()) return stream.status();
    stream_ = *std::move(stream);
    if (const std::string why = cublas_.Open(stream_.get()); !why.empty()) {
      return absl::FailedPreconditionError(why);
    }
    for (const auto& [memory, bytes] :
         {std::pair{&inputs_, FloatBytes(samples_ * columns_)},
          std::pair{&weights_, FloatBytes(2 * most_rows_ * columns_)},
          std::pair{&products_, FloatBytes(2 * most_rows_ * samples_)},
          std::pair{&parts_, sizeof(Parts)}}) {
      auto made = MakeDeviceMemory(std::max<size_t>(bytes, 1));
      if (!made.ok()) return made.status();
      *memory = *std::move(made);
    }
    status =
        ToStatus(Upload(inputs_.get(), activations, samples_ * columns_), "uploading activations");
    if (!status.ok()) return status;
    return ToStatus(cudaStreamSynchronize(stream_.get()), "uploading activations");
  }

  absl::StatusOr<OutputSums> Measure(int64_t rows, const float* weights,
                                     const float* differences) override {
    const std::lock_guard lock(mutex_);
    if (absl::Status status = ToStatus(cudaSetDevice(device_), "cudaSetDevice"); !status.ok()) {
      return status;
    }
    OutputSums sums;
    for (int64_t row = 0; row < rows; row += most_rows_) {
      const int64_t some = std::min(most_rows_, rows - row);
      const absl::Status status =
          MeasurePiece(some, weights + row * columns_, differences + row * columns_, sums);
      if (!status.ok()) return status;
    }
    return sums;
  }

 private:
  static constexpr int64_t kMostOfAnAxis = int64_t{1} << 30;
  using Parts = double[kSquareSumBlocks][2];

  static size_t FloatBytes(int64_t count) { return static_cast<size_t>(count) * sizeof(float); }

  cudaError_t Upload(void* to, const float* from, int64_t count) {
    return cudaMemcpyAsync(to, from, FloatBytes(count), cudaMemcpyHostToDevice, stream_.get());
  }

  // One product makes both outputs: the rows of W - W' follow those of W.
  absl::Status MeasurePiece(int64_t rows, const float* weights, const float* differences,
                            OutputSums& sums) {
    auto* both = static_cast<float*>(weights_.get());
    auto* products = static_cast<float*>(products_.get());
    auto* on_device = static_cast<double(*)[2]>(parts_.get());
    Parts parts;
    bool multiplied = true;
    cudaError_t error = Upload(both, weights, rows * columns_);
    if (error == cudaSuccess) error = Upload(both + rows * columns_, differences, rows * columns_);
    if (error == cudaSuccess) {
      multiplied = cublas_.MultiplyTransposed(
          both, static_cast<int>(2 * rows), static_cast<const float*>(inputs_.get()),
          static_cast<int>(samples_), static_cast<int>(columns_), products);
      error = QueueSquareSums(products, rows, samples_, on_device, stream_.get());
    }
    if (error == cudaSuccess) {
      error =
          cudaMemcpyAsync(parts, on_device, sizeof parts, cudaMemcpyDeviceToHost, stream_.get());
    }
    // Waits in any case: nothing may still read what the caller owns.
    const cudaError_t ended = cudaStreamSynchronize(stream_.get());
    if (error == cudaSuccess) error = ended;
    if (error != cudaSuccess) return ToStatus(error, "measuring a layer's output");
    if (!multiplied) return absl::UnavailableError("cublasSgemm failed");
    for (const auto& part : parts) {
      sums.squared_output += part[0];
      sums.squared_difference += part[1];
    }
    return absl::OkStatus();
  }

  const int device_;
  const int64_t samples_;
  const int64_t columns_;
  const int64_t most_rows_;
  std::mutex mutex_;  // guards all below
  Stream stream_;
  Cublas cublas_;          // of the stream
  DeviceMemory inputs_;    // [samples][columns]
  DeviceMemory weights_;   // [2 rows][columns]
  DeviceMemory products_;  // [samples][2 rows]
  DeviceMemory parts_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<backend::OutputMeter>> MakeCudaOutputMeter(
    int device, const Activations& activations) {
  auto meter = std::make_unique<CudaOutputMeter>(device, activations);
  if (absl::Status status = meter->Prepare(activations.data); !status.ok()) return status;
  return meter;
}

}  // namespace seedlm::cuda
