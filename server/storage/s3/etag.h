// What an ETag says of the bytes of a part or an object: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/storage/s3/answers.h"

namespace seedlm::server::s3 {

// Whether two ETags say that the bytes are the same: equal but for quotes, which some servers leave
// out of lists, and not empty.
bool SameEtag(std::string_view a, std::string_view b);

// The ETag, with quotes, of the object that is made of `parts`, in order, where the server's ETags
// are those of Amazon without encryption by a key service: MD5 of the parts' MD5 sums, '-' and how
// many. Empty: those of the parts are none, so they are another kind of server's.
std::string MultipartEtag(const std::vector<PartTag>& parts);

}  // namespace seedlm::server::s3
