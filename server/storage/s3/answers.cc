#include "server/storage/s3/answers.h"

#include <algorithm>
#include <pugixml.hpp>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace seedlm::server::s3 {
namespace {

constexpr size_t kMaxMessageBytes = 500;
constexpr int kMaxDepth = 16;  // the deepest answer of S3 has 4

// Elements may have a prefix: <s3:Error>.
std::string_view LocalName(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  return name.substr(name.find(':') + 1);  // npos + 1: from the start
}

std::string ChildText(const pugi::xml_node& parent, std::string_view name) {
  for (const pugi::xml_node& child : parent.children()) {
    if (LocalName(child) == name) return child.text().get();
  }
  return "";
}

// Whether elements nest deeper than any answer does. Without recursion: depth is the sender's.
bool TooDeep(std::string_view body) {
  int depth = 0;
  for (size_t at = body.find('<'); at != std::string_view::npos; at = body.find('<', at + 1)) {
    const std::string_view tag = body.substr(at + 1, 1);
    if (tag == "/") {
      --depth;
    } else if (tag != "?" && tag != "!") {
      const size_t end = body.find_first_of("<>", at + 1);  // so that the whole stays linear
      const bool closed = end != std::string_view::npos && body[end] == '>' && body[end - 1] == '/';
      if (!closed && ++depth > kMaxDepth) return true;
    }
  }
  return false;
}

class Answer {
 public:
  explicit Answer(std::string_view body) {
    if (body.size() > kMaxAnswerBytes || TooDeep(body)) return;
    if (document_.load_buffer(body.data(), body.size())) root_ = document_.document_element();
  }
  pugi::xml_node Root(std::string_view name) const {
    return LocalName(root_) == name ? root_ : pugi::xml_node();
  }

 private:
  pugi::xml_document document_;
  pugi::xml_node root_;
};

absl::Status NotA(const char* name) {
  return absl::InternalError(
      absl::StrCat("the S3 server's answer is no ", name, "; is the endpoint an S3 server?"));
}

std::string OneLine(std::string text) {
  if (text.size() > kMaxMessageBytes) text.resize(kMaxMessageBytes);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

}  // namespace

ErrorAnswer ParseError(std::string_view body) {
  const Answer answer(body);
  const pugi::xml_node error = answer.Root("Error");
  return {OneLine(ChildText(error, "Code")), OneLine(ChildText(error, "Message"))};
}

absl::StatusOr<std::string> ParseUploadId(std::string_view body) {
  const Answer answer(body);
  std::string id = ChildText(answer.Root("InitiateMultipartUploadResult"), "UploadId");
  if (id.empty()) return NotA("InitiateMultipartUploadResult with an UploadId");
  return id;
}

absl::StatusOr<std::string> ParseCompleted(std::string_view body) {
  const Answer answer(body);
  const pugi::xml_node result = answer.Root("CompleteMultipartUploadResult");
  if (!result) return NotA("CompleteMultipartUploadResult");
  return ChildText(result, "ETag");
}

absl::StatusOr<UploadList> ParseUploads(std::string_view body) {
  const Answer answer(body);
  const pugi::xml_node result = answer.Root("ListMultipartUploadsResult");
  if (!result) return NotA("ListMultipartUploadsResult");
  UploadList list;
  for (const pugi::xml_node& child : result.children()) {
    if (LocalName(child) != "Upload") continue;
    OpenUpload upload{ChildText(child, "Key"), ChildText(child, "UploadId"),
                      ChildText(child, "Initiated")};
    if (upload.key.empty() || upload.upload_id.empty()) return NotA("list of keys with UploadIds");
    list.uploads.push_back(std::move(upload));
  }
  list.truncated = ChildText(result, "IsTruncated") == "true";
  list.next_key_marker = ChildText(result, "NextKeyMarker");
  list.next_upload_id_marker = ChildText(result, "NextUploadIdMarker");
  // A page that does not say where the next one starts would be asked for without end.
  if (list.truncated && list.next_key_marker.empty()) return NotA("list with a NextKeyMarker");
  return list;
}

absl::StatusOr<PartList> ParseParts(std::string_view body) {
  const Answer answer(body);
  const pugi::xml_node result = answer.Root("ListPartsResult");
  if (!result) return NotA("ListPartsResult");
  PartList list;
  for (const pugi::xml_node& child : result.children()) {
    if (LocalName(child) != "Part") continue;
    ListedPart part{.etag = ChildText(child, "ETag")};
    if (!absl::SimpleAtoi(ChildText(child, "PartNumber"), &part.number) || part.number < 1 ||
        !absl::SimpleAtoi(ChildText(child, "Size"), &part.size) || part.size < 0) {
      return NotA("list of parts with PartNumbers and Sizes");
    }
    list.parts.push_back(std::move(part));
  }
  list.truncated = ChildText(result, "IsTruncated") == "true";
  if (list.truncated &&
      !absl::SimpleAtoi(ChildText(result, "NextPartNumberMarker"), &list.next_number)) {
    return NotA("list with a NextPartNumberMarker");
  }
  return list;
}

absl::StatusOr<ObjectList> ParseObjects(std::string_view body) {
  const Answer answer(body);
  const pugi::xml_node result = answer.Root("ListBucketResult");
  if (!result) return NotA("ListBucketResult");
  ObjectList list;
  for (const pugi::xml_node& child : result.children()) {
    if (LocalName(child) == "Contents") list.keys.push_back(ChildText(child, "Key"));
  }
  return list;
}

std::string CompletionBody(const std::vector<PartTag>& parts) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("CompleteMultipartUpload");
  root.append_attribute("xmlns").set_value("http://s3.amazonaws.com/doc/2006-03-01/");
  for (const PartTag& part : parts) {
    pugi::xml_node node = root.append_child("Part");
    node.append_child("PartNumber").text().set(part.number);
    // A server that gave none gets none: an empty element is compared, and differs.
    if (!part.etag.empty()) node.append_child("ETag").text().set(part.etag.c_str());
  }
  std::ostringstream text;
  document.save(text, "", pugi::format_raw | pugi::format_no_declaration);
  return text.str();
}

}  // namespace seedlm::server::s3
