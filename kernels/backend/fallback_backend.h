// A backend that may be lost, with another behind it.
#pragma once

#include <memory>

#include "kernels/backend/backend.h"

namespace seedlm::backend {

// Encodes with `first` until that answers UNAVAILABLE (a device is lost), and from then on, the
// shards that it lost included, with `second`; the bytes are the same. The first shard that was
// lost carries the reason as its warning. Layer outputs are measured by `first` while it can.
// Thread-safe.
std::shared_ptr<const Backend> MakeFallbackBackend(std::shared_ptr<const Backend> first,
                                                   std::shared_ptr<const Backend> second);

}  // namespace seedlm::backend
