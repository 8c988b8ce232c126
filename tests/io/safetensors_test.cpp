#include "io/safetensors.h"

#include "io/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

using test::as_bytes;
using test::content;
using test::pattern_bytes;
using test::raw;
using test::slurp;
using test::TempDir;

std::string file_of(const std::string& header, const std::string& data = "") {
  return raw<uint64_t>(header.size()) + header + data;
}

SafetensorsFile parse(const std::string& bytes) { return parse_safetensors(as_bytes(bytes), nullptr, "t"); }

SafetensorsFile parse_header(const std::string& header, size_t data_bytes) {
  return parse(file_of(header, std::string(data_bytes, '\1')));
}

// A file of one tensor with the given dtype, shape and offsets, and `data_bytes` of data.
SafetensorsFile parse_one(const std::string& dtype, const std::string& shape, const std::string& offsets,
                          size_t data_bytes) {
  return parse_header(
      fmt::format(R"({{"w":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape, offsets),
      data_bytes);
}

TEST(Safetensors, ReadsTensorsMetadataAndOrder) {
  const std::string header =
      R"({"__metadata__":{"z":"1","a":"é"},"b":{"dtype":"BF16","shape":[2,1],"data_offsets":[8,12]},)"
      R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"s":{"dtype":"F16","shape":[],"data_offsets":[12,14]},)"
      R"("e":{"dtype":"F32","shape":[0,3],"data_offsets":[14,14]}}   )";
  const std::string bytes = file_of(header, test::raw_floats({1.5f, -2.0f}) + "abcdef");
  const SafetensorsFile file = parse(bytes);
  EXPECT_EQ(file.metadata, (SafetensorsMetadata{{"z", "1"}, {"a", "é"}}));
  ASSERT_EQ(file.tensors.size(), 4u);
  EXPECT_EQ(as_vector(file.tensors.at("a"), 2), (std::vector<float>{1.5f, -2.0f}));
  EXPECT_EQ(file.tensors.at("b").encoding, Encoding::kBF16);
  EXPECT_EQ(file.tensors.at("b").shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(content(file.tensors.at("b")), "abcd");
  EXPECT_EQ(content(file.tensors.at("s")), "ef");
  EXPECT_EQ(content(file.tensors.at("e")), "");
  std::vector<std::string> order;
  for (const TensorPlan& tensor : file.order) order.push_back(tensor.name);
  EXPECT_EQ(order, (std::vector<std::string>{"a", "b", "s", "e"}));
}

TEST(Safetensors, LeavesOutOtherTypesButChecksTheirSizes) {
  const SafetensorsFile file = parse_header(
      R"({"mask":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},"i":{"dtype":"I64","shape":[],"data_offsets":[3,11]}})",
      11);
  ASSERT_EQ(file.skipped.size(), 1u);
  EXPECT_EQ(file.skipped[0].name, "mask");
  EXPECT_PARE_ERROR(find_any_tensor(file.tensors, file.skipped, "mask", "t"), ErrorCode::kUnsupported,
                    "\"mask\" is of type BOOL");
  // Whole numbers are read, but are no matrix.
  EXPECT_EQ(find_any_tensor(file.tensors, file.skipped, "i", "t").encoding, Encoding::kI64);
  EXPECT_PARE_ERROR(find_tensor(file.tensors, file.skipped, "i", "t"), ErrorCode::kUnsupported,
                    "\"i\" holds whole numbers (i64)");
  EXPECT_PARE_ERROR(find_tensor(file.tensors, file.skipped, "x", "t"), ErrorCode::kNotFound,
                    "\"x\" is missing");
  EXPECT_PARE_ERROR(parse_one("I64", "[2]", "[0,8]", 8), ErrorCode::kFormat, "takes 16 bytes");
  EXPECT_EQ(parse_one("F4", "[2]", "[0,1]", 1).skipped.size(), 1u);
  EXPECT_PARE_ERROR(parse_one("F4", "[3]", "[0,1]", 1), ErrorCode::kFormat, "whole bytes");
  EXPECT_PARE_ERROR(parse_one("F128", "[1]", "[0,16]", 16), ErrorCode::kUnsupported,
                    "\"w\": unknown dtype \"F128\"");
}

TEST(Safetensors, RejectsBrokenFraming) {
  EXPECT_PARE_ERROR(parse(""), ErrorCode::kFormat, "at least 8");
  EXPECT_PARE_ERROR(parse("1234567"), ErrorCode::kFormat, "at least 8");
  EXPECT_PARE_ERROR(parse(raw<uint64_t>(100'000'001)), ErrorCode::kFormat, "at most 100000000");
  EXPECT_PARE_ERROR(parse(raw<uint64_t>(~uint64_t{0})), ErrorCode::kFormat, "at most 100000000");
  EXPECT_PARE_ERROR(parse(raw<uint64_t>(3) + "{}"), ErrorCode::kFormat, "only 2 follow");
  EXPECT_PARE_ERROR(parse(raw<uint64_t>(0)), ErrorCode::kFormat, "does not start with");
  EXPECT_PARE_ERROR(parse(file_of(" {}")), ErrorCode::kFormat, "does not start with");
  EXPECT_PARE_ERROR(parse(file_of("[]")), ErrorCode::kFormat, "does not start with");
  EXPECT_PARE_ERROR(parse(file_of("{")), ErrorCode::kFormat, "not valid JSON");
  EXPECT_PARE_ERROR(parse(file_of("{\"\xff\":1}")), ErrorCode::kFormat, "not valid JSON");
  EXPECT_PARE_ERROR(parse(file_of(std::string("{}\0x", 4))), ErrorCode::kFormat, "NUL");
  EXPECT_PARE_ERROR(parse(file_of("{}", "x")), ErrorCode::kFormat, "the file has 1 data bytes");
  EXPECT_PARE_ERROR(parse("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n"),
                    ErrorCode::kFormat, "git lfs pull");
  EXPECT_TRUE(parse(file_of("{}      ")).tensors.empty());
}

TEST(Safetensors, RejectsLyingSizesAndOffsets) {
  EXPECT_EQ(parse_one("F32", "[2]", "[0,8]", 8).tensors.size(), 1u);
  EXPECT_PARE_ERROR(parse_one("F32", "[2]", "[0,4]", 4), ErrorCode::kFormat,
                    "takes 8 bytes, data_offsets span 4");
  EXPECT_PARE_ERROR(parse_one("F32", "[2]", "[0,8]", 7), ErrorCode::kFormat, "ends at 8 of 7");
  EXPECT_PARE_ERROR(parse_one("F32", "[2]", "[0,8]", 9), ErrorCode::kFormat, "the file has 9 data bytes");
  EXPECT_PARE_ERROR(parse_one("F32", "[2]", "[4,12]", 12), ErrorCode::kFormat, "a hole");
  EXPECT_PARE_ERROR(parse_one("F32", "[2]", "[8,0]", 8), ErrorCode::kFormat, "end 0 is before begin 8");
  EXPECT_PARE_ERROR(parse_one("F32", "[2]", "[0]", 8), ErrorCode::kFormat, "1 numbers, expected 2");
  EXPECT_PARE_ERROR(parse_one("F32", "[2]", "[0,8,9]", 8), ErrorCode::kFormat, "3 numbers, expected 2");
  EXPECT_PARE_ERROR(parse_one("F32", "[2]", "[-8,0]", 8), ErrorCode::kFormat, "whole numbers");
  EXPECT_PARE_ERROR(parse_one("F32", "[2.0]", "[0,8]", 8), ErrorCode::kFormat, "whole numbers");
  EXPECT_PARE_ERROR(parse_one("F32", "[-2]", "[0,8]", 8), ErrorCode::kFormat, "whole numbers");
  EXPECT_PARE_ERROR(parse_one("F32", "2", "[0,8]", 8), ErrorCode::kFormat, "shape is not an array");
  EXPECT_PARE_ERROR(parse_one("F32", "[18446744073709551615]", "[0,8]", 8), ErrorCode::kFormat, "63 bits");
  EXPECT_PARE_ERROR(parse_one("F32", "[4611686018427387905]", "[0,4]", 4), ErrorCode::kFormat, "dimension");
  // 2^40 * 2^24 values of 4 bytes: 2^66 bytes, 4 when it wraps around.
  EXPECT_PARE_ERROR(parse_one("F32", "[1099511627776,16777216]", "[0,0]", 0), ErrorCode::kFormat, "overflow");
  EXPECT_PARE_ERROR(parse_one("I64", "[4294967296,4294967296]", "[0,0]", 0), ErrorCode::kFormat, "overflow");
  EXPECT_PARE_ERROR(parse_one("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]", 4), ErrorCode::kFormat, "9 dimensions");
  const std::string two =
      R"({{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}},"b":{{"dtype":"F32","shape":[2],"data_offsets":[{},{}]}}}})";
  EXPECT_EQ(parse_header(fmt::format(fmt::runtime(two), 8, 16), 16).tensors.size(), 2u);
  EXPECT_PARE_ERROR(parse_header(fmt::format(fmt::runtime(two), 4, 12), 12), ErrorCode::kFormat,
                    "an overlap");
  EXPECT_PARE_ERROR(parse_header(fmt::format(fmt::runtime(two), 0, 8), 8), ErrorCode::kFormat, "an overlap");
  EXPECT_PARE_ERROR(parse_header(fmt::format(fmt::runtime(two), 12, 20), 20), ErrorCode::kFormat, "a hole");
}

TEST(Safetensors, RejectsBadHeaders) {
  const std::string tensor = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  EXPECT_PARE_ERROR(parse_header(fmt::format(R"({{"w":{},"w":{}}})", tensor, tensor), 0), ErrorCode::kFormat,
                    "duplicate JSON key \"w\"");
  EXPECT_PARE_ERROR(parse_header(R"({"w":[]})", 0), ErrorCode::kFormat, "expected a JSON object");
  EXPECT_PARE_ERROR(parse_header(R"({"w":{}})", 0), ErrorCode::kFormat, "\"dtype\" is missing");
  EXPECT_PARE_ERROR(parse_header(R"({"__metadata__":{"a":1}})", 0), ErrorCode::kFormat,
                    "\"a\" is not a string");
  EXPECT_PARE_ERROR(parse_header(R"({"__metadata__":[]})", 0), ErrorCode::kFormat, "__metadata__");
  EXPECT_PARE_ERROR(parse_header(fmt::format(R"({{"":{}}})", tensor), 0), ErrorCode::kFormat,
                    "empty tensor name");
  EXPECT_PARE_ERROR(parse_header(fmt::format(R"({{"a\u001b[2J":{}}})", tensor), 0), ErrorCode::kFormat,
                    "\"a?[2J\" contains a control character");
  EXPECT_PARE_ERROR(parse_header(fmt::format(R"({{"{}":{}}})", std::string(1025, 'n'), tensor), 0),
                    ErrorCode::kFormat, "1025 bytes");
  std::string many = "{";
  for (int i = 0; i <= 1 << 18; ++i) many += fmt::format("\"{}\":0,", i);
  many.back() = '}';
  EXPECT_PARE_ERROR(parse_header(many, 0), ErrorCode::kFormat, "at most 262144");
}

TEST(Safetensors, ShapesAreChecked) {
  const SafetensorsFile file = parse_one("F32", "[2,3]", "[0,24]", 24);
  const TensorInfo& tensor = file.tensors.at("w");
  EXPECT_EQ(as_weight(tensor, 2, 3).bytes(), 24);
  EXPECT_PARE_ERROR(as_weight(tensor, 3, 2), ErrorCode::kFormat, "\"w\": expected shape (3, 2), got (2, 3)");
  EXPECT_PARE_ERROR(as_vector(tensor, 6), ErrorCode::kFormat, "expected shape (6), got (2, 3)");
}

TEST(Safetensors, HoldsTheMappingAlive) {
  const TempDir dir;
  const auto path = dir.file(
      "a.safetensors",
      file_of(R"({"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})", test::raw_floats({3.0f, 4.0f})));
  const Weight weight = as_weight(read_safetensors(path).tensors.at("w"), 1, 2);
  std::filesystem::remove(path);
  EXPECT_EQ(decode(weight)(0, 1), 4.0f);
  EXPECT_PARE_ERROR(read_safetensors(path), ErrorCode::kNotFound, "a.safetensors");
}

// The bytes that the safetensors library (0.8.0) writes for these tensors and this metadata.
TEST(Safetensors, WritesTheBytesOfTheReferenceLibrary) {
  const TempDir dir;
  std::vector<TensorPlan> plan = {{"z", Encoding::kF16, {3}},
                                  {"h", Encoding::kBF16, {1, 2}},
                                  {"b", Encoding::kF32, {2, 2}},
                                  {"a\"\\/é", Encoding::kF32, {}},
                                  {"empty", Encoding::kF16, {0, 4}}};
  sort_like_safetensors(plan);
  SafetensorsWriter writer(dir / "m.safetensors", plan, {{"format", "pt"}});
  std::string data;
  for (const TensorPlan& tensor : plan) {
    const std::string bytes = pattern_bytes(tensor_bytes(tensor), 1);
    writer.write(tensor.name, as_bytes(bytes));
    data += bytes;
  }
  writer.commit();
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a\"\\/é":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("b":{"dtype":"F32","shape":[2,2],"data_offsets":[4,20]},"h":{"dtype":"BF16","shape":[1,2],"data_offsets":[20,24]},)"
      R"("empty":{"dtype":"F16","shape":[0,4],"data_offsets":[24,24]},"z":{"dtype":"F16","shape":[3],"data_offsets":[24,30]}})";
  const std::string padding((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(slurp(dir / "m.safetensors"), file_of(header + padding, data));
}

TEST(Safetensors, RoundTripIsByteExact) {
  const TempDir dir;
  const std::vector<TensorPlan> plan = {{"layer.10", Encoding::kF16, {5}},
                                        {"layer.2", Encoding::kF32, {2, 3, 1}}};
  const SafetensorsMetadata metadata = {{"zeta", "\x01\n\"\\"}, {"alpha", "ü"}};
  {
    SafetensorsWriter writer(dir / "a", plan, metadata);
    for (const TensorPlan& tensor : plan)
      writer.write(tensor.name, as_bytes(pattern_bytes(tensor_bytes(tensor), 7)));
    writer.commit();
  }
  const SafetensorsFile file = read_safetensors(dir / "a");
  EXPECT_EQ(file.order, plan);
  EXPECT_EQ(file.metadata, metadata);
  SafetensorsWriter writer(dir / "b", file.order, file.metadata);
  for (const TensorPlan& tensor : file.order) writer.write(tensor.name, file.tensors.at(tensor.name).bytes);
  writer.commit();
  EXPECT_EQ(slurp(dir / "a"), slurp(dir / "b"));
}

TEST(Safetensors, WriterRefusesWhatTheFormatCannotHold) {
  const TempDir dir;
  EXPECT_PARE_ERROR(SafetensorsWriter(dir / "a", {{"w", Encoding::kQ8_0, {32}}}), ErrorCode::kUnsupported,
                    "q8_0");
  EXPECT_PARE_ERROR(SafetensorsWriter(dir / "a", {{"__metadata__", Encoding::kF32, {1}}}),
                    ErrorCode::kInvalid, "__metadata__");
  EXPECT_PARE_ERROR(SafetensorsWriter(dir / "a", {}, {{"a", "\xff"}}), ErrorCode::kInvalid, "not UTF-8");
  EXPECT_PARE_ERROR(SafetensorsWriter(dir / "a", {}, {{"a", "1"}, {"a", "2"}}), ErrorCode::kInvalid, "twice");
  EXPECT_PARE_ERROR(SafetensorsWriter(dir / "a", {{"w", Encoding::kF32, {1}}, {"w", Encoding::kF32, {1}}}),
                    ErrorCode::kInvalid, "planned twice");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace pare
