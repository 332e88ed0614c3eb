// A protobuf message whose fields are drawn from a fuzzer's bytes: always well-formed on the wire,
// so that all the bytes go into what the fields say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace seedlm::fuzz {

// Reads values from the front of a fuzzer's input; zeros after its end.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  size_t left() const { return left_; }

  template <class T>
  T Take() {
    T value{};
    const size_t count = left_ < sizeof value ? left_ : sizeof value;
    std::memcpy(&value, data_, count);
    data_ += count;
    left_ -= count;
    return value;
  }
  std::string TakeString(size_t size) {
    const size_t count = left_ < size ? left_ : size;
    std::string text(reinterpret_cast<const char*>(data_), count);
    data_ += count;
    left_ -= count;
    return text;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

// Fills any message. `words` are strings that mean something to the receiver: names, paths,
// patterns; a string field is one of them, one with something behind it, or raw bytes.
class MessageMaker {
 public:
  MessageMaker(Bytes& bytes, std::span<const std::string> words) : bytes_(bytes), words_(words) {}

  void Fill(google::protobuf::Message& message, int depth = 0) {
    const google::protobuf::Descriptor& type = *message.GetDescriptor();
    for (int i = 0; i < type.field_count() && bytes_.left() > 0; ++i) {
      const google::protobuf::FieldDescriptor& field = *type.field(i);
      const unsigned draw = bytes_.Take<uint8_t>();
      if (draw % 4 == 0) continue;  // left out
      const int count = field.is_repeated() ? static_cast<int>(draw / 4 % kMostRepeated) : 1;
      for (int k = 0; k < count; ++k) Set(message, field, depth);
    }
  }

 private:
  static constexpr int kMostRepeated = 5;
  static constexpr int kDeepest = 6;

  void Set(google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
           int depth) {
    using Field = google::protobuf::FieldDescriptor;
    const google::protobuf::Reflection& door = *message.GetReflection();
    const bool add = field.is_repeated();
    switch (field.cpp_type()) {
      case Field::CPPTYPE_INT32:
        return add ? door.AddInt32(&message, &field, Number<int32_t>())
                   : door.SetInt32(&message, &field, Number<int32_t>());
      case Field::CPPTYPE_INT64:
        return add ? door.AddInt64(&message, &field, Number<int64_t>())
                   : door.SetInt64(&message, &field, Number<int64_t>());
      case Field::CPPTYPE_UINT32:
        return add ? door.AddUInt32(&message, &field, Number<uint32_t>())
                   : door.SetUInt32(&message, &field, Number<uint32_t>());
      case Field::CPPTYPE_UINT64:
        return add ? door.AddUInt64(&message, &field, Number<uint64_t>())
                   : door.SetUInt64(&message, &field, Number<uint64_t>());
      case Field::CPPTYPE_BOOL:
        return add ? door.AddBool(&message, &field, bytes_.Take<uint8_t>() & 1)
                   : door.SetBool(&message, &field, bytes_.Take<uint8_t>() & 1);
      case Field::CPPTYPE_ENUM: {  // small numbers, and now and then one that nobody knows
        const int value = bytes_.Take<int8_t>() % 8;
        return add ? door.AddEnumValue(&message, &field, value)
                   : door.SetEnumValue(&message, &field, value);
      }
      case Field::CPPTYPE_FLOAT:
        return add ? door.AddFloat(&message, &field, bytes_.Take<float>())
                   : door.SetFloat(&message, &field, bytes_.Take<float>());
      case Field::CPPTYPE_DOUBLE:
        return add ? door.AddDouble(&message, &field, bytes_.Take<double>())
                   : door.SetDouble(&message, &field, bytes_.Take<double>());
      case Field::CPPTYPE_STRING:
        return add ? door.AddString(&message, &field, Text())
                   : door.SetString(&message, &field, Text());
      case Field::CPPTYPE_MESSAGE:
        if (depth < kDeepest) {
          Fill(add ? *door.AddMessage(&message, &field) : *door.MutableMessage(&message, &field),
               depth + 1);
        }
        return;
    }
  }

  // Mostly small, sometimes anything.
  template <class T>
  T Number() {
    const uint8_t kind = bytes_.Take<uint8_t>();
    return kind < 200 ? static_cast<T>(static_cast<int8_t>(kind)) : bytes_.Take<T>();
  }

  std::string Text() {
    const uint8_t kind = bytes_.Take<uint8_t>();
    if (kind >= 224) return bytes_.TakeString(bytes_.Take<uint16_t>());
    std::string text = words_[kind % words_.size()];
    if (kind >= 160) text += bytes_.TakeString(bytes_.Take<uint8_t>() % 16);
    return text;
  }

  Bytes& bytes_;
  const std::span<const std::string> words_;
};

}  // namespace seedlm::fuzz
