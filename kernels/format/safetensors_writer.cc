#include "kernels/format/safetensors.h"
#include "kernels/format/text.h"

namespace seedlm::format {

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Create(const std::string& path,
                                                            SafetensorsLayout layout,
                                                            IfExists if_exists) {
  absl::StatusOr<AtomicFile> file = AtomicFile::Create(path, layout.file_size(), if_exists);
  if (!file.ok()) return file.status();
  const absl::Status written = file->WriteAt(0, std::as_bytes(std::span(layout.header())));
  if (!written.ok()) return written;
  return SafetensorsWriter(*std::move(file), std::move(layout));
}

absl::Status SafetensorsWriter::Write(std::string_view tensor, uint64_t offset,
                                      std::span<const std::byte> bytes) const {
  const uint64_t size = layout_.Find(tensor).byte_size();
  if (offset > size || bytes.size() > size - offset) {
    return absl::OutOfRangeError(Cat(Printable(file_.path()), ": tensor '", Printable(tensor),
                                     "': bytes ", offset, " to ", offset + bytes.size(), " of ",
                                     size));
  }
  return file_.WriteAt(layout_.FileOffset(tensor) + offset, bytes);
}

}  // namespace seedlm::format
