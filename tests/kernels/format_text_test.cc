#include <catch2/catch.hpp>

#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

TEST_CASE("names in messages cannot steer a terminal") {
  CHECK(Printable("model.layers.0.weight") == "model.layers.0.weight");
  CHECK(Printable("schön 模型 \U0001F600") == "schön 模型 \U0001F600");
  CHECK(Printable("a\x1b[2Jb\n\x7f") == "a\\x1b[2Jb\\x0a\\x7f");
  CHECK(Printable("\xC2\x85\xC2\x9F\xC2\xA0") ==
        "\\xc2\\x85\\xc2\\x9f\xC2\xA0");  // C1 ends at U+009F
  CHECK(Printable("a\xE2\x80\xAE"
                  "b\xE2\x81\xA6") ==
        "a\\xe2\\x80\\xae"
        "b\\xe2\\x81\\xa6");  // right to left
}

TEST_CASE("bytes that are not UTF-8 are shown as bytes") {
  CHECK(Printable("\xff") == "\\xff");
  CHECK(Printable("\xc0\x80") == "\\xc0\\x80");                    // overlong
  CHECK(Printable("\xe0\x9f\xbf") == "\\xe0\\x9f\\xbf");           // overlong
  CHECK(Printable("\xf0\x8f\xbf\xbf") == "\\xf0\\x8f\\xbf\\xbf");  // overlong
  CHECK(Printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // a surrogate
  CHECK(Printable("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // past U+10FFFF
  CHECK(Printable("\xe2\x82") == "\\xe2\\x82");                    // cut
  CHECK(Printable("\xe2\x82z") == "\\xe2\\x82z");                  // not continued
  CHECK(Printable("\xf5\x80\x80\x80") == "\\xf5\\x80\\x80\\x80");  // past U+10FFFF
}

TEST_CASE("a long name is cut") {
  CHECK(Printable(std::string(256, 'x')) == std::string(256, 'x'));
  CHECK(Printable(std::string(257, 'x')) == std::string(256, 'x') + "..");
  CHECK(Printable(std::string(100'000'000, 'x')).size() == 258);
}

}  // namespace
}  // namespace seedlm::format
