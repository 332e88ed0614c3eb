// Numbers for people.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kernels/format/text.h"

namespace seedlm::client {

std::string FormatBytes(uint64_t bytes);                  // "512 B", "86.7 MB" (powers of 1000)
std::string FormatCount(int64_t count);                   // "950", "22.7 M"
std::string FormatRate(double per_second);                // "1.25 M weights/s"
std::string FormatDuration(double seconds);               // "0.4 s", "42 s", "3m05s", "2h07m"
std::string FormatPercent(double part, double whole);     // "100.0 %"; "0.0 %" of nothing
std::string FormatShape(std::span<const int64_t> shape);  // "[384, 1536]"
// "3 other tensors are byte-identical" and a line's end; nothing of none.
std::string FormatIdentical(int64_t tensors);
size_t CountCharacters(std::string_view text);  // of UTF-8
// The last `width` characters of a name, "..." in front where it was cut.
std::string Ellipsis(std::string_view name, size_t width);
using format::Printable;

}  // namespace seedlm::client
