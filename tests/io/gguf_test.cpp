#include "io/gguf.h"

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

std::string text(std::string_view value) { return raw<uint64_t>(value.size()) + std::string(value); }

std::string preamble(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
  return "GGUF" + raw(version) + raw(tensors) + raw(entries);
}

// A metadata entry of the given type number and value bytes.
std::string entry(std::string_view key, uint32_t type, const std::string& value) {
  return text(key) + raw(type) + value;
}

std::string tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
  std::string bytes = text(name) + raw(static_cast<uint32_t>(dims.size()));
  for (const uint64_t dim : dims) bytes += raw(dim);
  return bytes + raw(type) + raw(offset);
}

std::string padded(std::string bytes, size_t alignment = 32) {
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
  return bytes;
}

GgufFile parse(const std::string& bytes) { return parse_gguf(as_bytes(bytes), nullptr, "t"); }
GgufFile parse_entry(uint32_t type, const std::string& value) {
  return parse(preamble(0, 1) + entry("k", type, value));
}
GgufFile parse_tensor(const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset, size_t data_bytes) {
  return parse(padded(preamble(1, 0) + tensor("w", dims, type, offset)) + pattern_bytes(data_bytes, 1));
}

std::vector<GgufEntry> all_types() {
  const GgufArray strings{std::vector<std::string>{"", "a\n", "\xff"}};
  const GgufArray nested{
      std::vector<GgufArray>{strings, {std::vector<bool>{true, false}}, {std::vector<float>{}}}};
  return {{"u8", uint8_t{255}},
          {"i8", int8_t{-1}},
          {"u16", uint16_t{65535}},
          {"i16", int16_t{-2}},
          {"u32", uint32_t{4294967295}},
          {"i32", int32_t{-3}},
          {"f32", 0.5f},
          {"bool", true},
          {"string", std::string("llama")},
          {"strings", strings},
          {"nested", nested},
          {"u64", ~uint64_t{0}},
          {"i64", int64_t{-4}},
          {"f64", 0.25},
          {"i32s", GgufArray{std::vector<int32_t>{1, -1}}},
          {"f32s", GgufArray{std::vector<float>{1.5f}}}};
}

TEST(Gguf, ReadsMetadataOfEveryType) {
  EXPECT_EQ(std::get<uint8_t>(*parse_entry(0, "\x07").metadata.find("k")), 7);
  EXPECT_EQ(std::get<int8_t>(*parse_entry(1, "\xff").metadata.find("k")), -1);
  EXPECT_EQ(std::get<uint16_t>(*parse_entry(2, raw<uint16_t>(8)).metadata.find("k")), 8);
  EXPECT_EQ(std::get<int16_t>(*parse_entry(3, raw<int16_t>(-8)).metadata.find("k")), -8);
  EXPECT_EQ(std::get<uint32_t>(*parse_entry(4, raw<uint32_t>(9)).metadata.find("k")), 9u);
  EXPECT_EQ(std::get<int32_t>(*parse_entry(5, raw<int32_t>(-9)).metadata.find("k")), -9);
  EXPECT_EQ(std::get<float>(*parse_entry(6, raw(1.5f)).metadata.find("k")), 1.5f);
  EXPECT_EQ(std::get<bool>(*parse_entry(7, "\x01").metadata.find("k")), true);
  EXPECT_EQ(std::get<std::string>(*parse_entry(8, text("x")).metadata.find("k")), "x");
  EXPECT_EQ(parse_entry(9, raw<uint32_t>(5) + raw<uint64_t>(1) + raw<int32_t>(4)).metadata.get_i32s("k"),
            std::vector<int32_t>{4});
  EXPECT_EQ(std::get<uint64_t>(*parse_entry(10, raw<uint64_t>(10)).metadata.find("k")), 10u);
  EXPECT_EQ(std::get<int64_t>(*parse_entry(11, raw<int64_t>(-10)).metadata.find("k")), -10);
  EXPECT_EQ(std::get<double>(*parse_entry(12, raw(2.5)).metadata.find("k")), 2.5);
}

TEST(Gguf, HeaderKeepsAllMetadata) {
  EXPECT_EQ(parse(gguf_header({}, all_types())).metadata.entries(), all_types());
}

TEST(Gguf, ReadsTensorsInRowMajorOrder) {
  for (const uint32_t version : {2u, 3u}) {
    const std::string q8 = pattern_bytes(68, 2);
    const std::string bytes = padded(preamble(3, 0, version) + tensor("q", {64, 1}, 8, 32) +
                                     tensor("m", {3, 2}, 0, 0) + tensor("s", {}, 30, 128)) +
                              padded(test::raw_floats({1, 2, 3, 4, 5, 6})) + padded(q8) + "zz";
    const GgufFile file = parse(bytes);
    EXPECT_EQ(file.tensors.at("m").shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(decode(as_weight(file.tensors.at("m"), 2, 3))(1, 0), 4.0f);
    EXPECT_EQ(file.tensors.at("q").encoding, Encoding::kQ8_0);
    EXPECT_EQ(content(file.tensors.at("q")), q8);
    EXPECT_EQ(content(file.tensors.at("s")), "zz");
    ASSERT_EQ(file.order.size(), 3u);
    EXPECT_EQ(file.order[0].name, "q");
  }
}

TEST(Gguf, RejectsForeignFiles) {
  EXPECT_PARE_ERROR(parse(""), ErrorCode::kFormat, "truncated");
  EXPECT_PARE_ERROR(parse("GGU"), ErrorCode::kFormat, "truncated");
  EXPECT_PARE_ERROR(parse("GGML\x03"), ErrorCode::kFormat, "begins with \"GGML\"");
  EXPECT_PARE_ERROR(parse("version https://git-lfs.github.com/spec/v1\n"), ErrorCode::kFormat,
                    "git lfs pull");
  EXPECT_PARE_ERROR(parse(preamble(0, 0, 1)), ErrorCode::kUnsupported, "version 1");
  EXPECT_PARE_ERROR(parse(preamble(0, 0, 4)), ErrorCode::kUnsupported, "version 4");
  EXPECT_PARE_ERROR(parse(preamble(0, 0, 0x03000000)), ErrorCode::kUnsupported, "big-endian");
  EXPECT_TRUE(parse(preamble(0, 0)).tensors.empty());
}

TEST(Gguf, RejectsEveryTruncation) {
  const std::vector<TensorPlan> plan = {{"w", Encoding::kF16, {2, 3}}};
  const std::string whole = gguf_header(plan, all_types()) + pattern_bytes(12, 1);
  EXPECT_EQ(parse(whole).tensors.size(), 1u);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_PARE_ERROR(parse(whole.substr(0, size)), ErrorCode::kFormat, size < 4 ? "magic" : "t: truncated");
}

TEST(Gguf, BoundsCountsBeforeAllocating) {
  const uint64_t huge = uint64_t{1} << 62;
  EXPECT_PARE_ERROR(parse(preamble(huge, 0)), ErrorCode::kFormat, "tensors, at most");
  EXPECT_PARE_ERROR(parse(preamble(0, huge)), ErrorCode::kFormat, "metadata entries, at most");
  EXPECT_PARE_ERROR(parse(preamble(1000, 0)), ErrorCode::kFormat, "1000 tensors at offset 24, only 0 bytes");
  EXPECT_PARE_ERROR(parse(preamble(0, 1000)), ErrorCode::kFormat, "1000 metadata entries");
  EXPECT_PARE_ERROR(parse(preamble(0, 1) + raw(huge) + pattern_bytes(20, 1)), ErrorCode::kFormat,
                    "metadata key");
  EXPECT_PARE_ERROR(parse_entry(8, raw(huge)), ErrorCode::kFormat, "takes 4611686018427387904 bytes");
  for (uint32_t type = 0; type < 13; ++type)
    EXPECT_PARE_ERROR(parse_entry(9, raw(type) + raw(huge) + "1234567"), ErrorCode::kFormat,
                      "array elements");
  EXPECT_PARE_ERROR(parse(preamble(1, 0) + raw(huge) + pattern_bytes(20, 1)), ErrorCode::kFormat,
                    "tensor name");
}

TEST(Gguf, RejectsBadMetadata) {
  EXPECT_PARE_ERROR(parse_entry(13, "12345678"), ErrorCode::kFormat, "unknown type 13");
  EXPECT_PARE_ERROR(parse_entry(9, raw<uint32_t>(13) + raw<uint64_t>(0)), ErrorCode::kFormat,
                    "array of unknown type 13");
  EXPECT_PARE_ERROR(parse_entry(7, "\x02"), ErrorCode::kFormat, "2 is not a bool");
  const std::string twice = entry("k", 0, "1") + entry("k", 0, "1");
  EXPECT_PARE_ERROR(parse(preamble(0, 2) + twice), ErrorCode::kFormat, "\"k\" is there twice");
  EXPECT_PARE_ERROR(parse(preamble(0, 1) + entry("", 0, "1234")), ErrorCode::kFormat, "empty metadata key");
  EXPECT_PARE_ERROR(parse(preamble(0, 1) + entry("a\x1b", 0, "1")), ErrorCode::kFormat, "control character");
  EXPECT_PARE_ERROR(parse(preamble(0, 1) + entry("a\xff", 0, "1")), ErrorCode::kFormat, "not UTF-8");
  EXPECT_PARE_ERROR(parse(preamble(0, 1) + entry(std::string(65536, 'k'), 0, "1")), ErrorCode::kFormat,
                    "65536 bytes");
  const auto nested = [](int depth) {
    std::string value;
    for (int i = 1; i < depth; ++i) value += raw<uint32_t>(9) + raw<uint64_t>(1);
    return value + raw<uint32_t>(0) + raw<uint64_t>(1) + "x";
  };
  EXPECT_NO_THROW(parse_entry(9, nested(4)));
  EXPECT_PARE_ERROR(parse_entry(9, nested(5)), ErrorCode::kFormat, "nested deeper than 4");
  for (const uint32_t alignment : {0u, 24u, 1u << 21})
    EXPECT_PARE_ERROR(parse(preamble(0, 1) + entry("general.alignment", 4, raw(alignment))),
                      ErrorCode::kFormat, "power of two");
}

TEST(Gguf, RejectsBadTensors) {
  EXPECT_EQ(parse_tensor({2}, 0, 0, 8).tensors.size(), 1u);
  EXPECT_PARE_ERROR(parse_tensor({2}, 0, 0, 7), ErrorCode::kFormat, "ends at 8 of 7");
  EXPECT_PARE_ERROR(parse_tensor({2}, 0, 16, 32), ErrorCode::kFormat, "offset 16 is not a multiple of 32");
  EXPECT_PARE_ERROR(parse_tensor({2}, 0, 32, 32), ErrorCode::kFormat, "ends at 40 of 32");
  EXPECT_PARE_ERROR(parse_tensor({2}, 0, ~uint64_t{0} - 31, 32), ErrorCode::kFormat,
                    "ends at 18446744073709551592");
  EXPECT_PARE_ERROR(parse_tensor({16}, 0, ~uint64_t{0} - 31, 32), ErrorCode::kFormat, "overflow");
  EXPECT_PARE_ERROR(parse_tensor({1, 1, 1, 1, 1}, 0, 0, 4), ErrorCode::kFormat, "5 dimensions");
  EXPECT_PARE_ERROR(parse_tensor({~uint64_t{0}}, 0, 0, 4), ErrorCode::kFormat, "63 bits");
  EXPECT_PARE_ERROR(parse_tensor({uint64_t{1} << 41}, 0, 0, 4), ErrorCode::kFormat, "dimension");
  EXPECT_PARE_ERROR(parse_tensor({1u << 31, 1u << 31, 4}, 0, 0, 4), ErrorCode::kFormat, "overflow");
  EXPECT_PARE_ERROR(parse_tensor({33}, 8, 0, 64), ErrorCode::kFormat, "blocks of 32");
  EXPECT_PARE_ERROR(parse_tensor({256}, 16, 0, 66), ErrorCode::kUnsupported, "\"w\": type IQ2_XXS (16)");
  EXPECT_PARE_ERROR(parse_tensor({256}, 4, 0, 144), ErrorCode::kUnsupported, "type unknown (4)");
  EXPECT_PARE_ERROR(parse_tensor({256}, 999, 0, 144), ErrorCode::kUnsupported, "type unknown (999)");
  const auto two = [](std::string_view name, uint64_t offset) {
    return parse(padded(preamble(2, 0) + tensor("w", {16}, 0, 0) + tensor(name, {8}, 0, offset)) +
                 pattern_bytes(96, 1));
  };
  EXPECT_EQ(two("v", 64).tensors.size(), 2u);
  EXPECT_PARE_ERROR(two("v", 32), ErrorCode::kFormat, "\"w\" and \"v\" overlap");
  EXPECT_PARE_ERROR(two("v", 0), ErrorCode::kFormat, "\"v\" and \"w\" overlap");
  EXPECT_PARE_ERROR(two("w", 64), ErrorCode::kFormat, "\"w\" is there twice");
  EXPECT_PARE_ERROR(two("", 64), ErrorCode::kFormat, "empty tensor name");
}

TEST(Gguf, WrittenFileReadsBackAndRewritesToTheSameBytes) {
  const TempDir dir;
  for (const uint32_t alignment : {0u, 64u}) {
    std::vector<GgufEntry> metadata = all_types();
    if (alignment != 0) metadata.push_back({"general.alignment", alignment});
    const std::vector<TensorPlan> plan = {{"z", Encoding::kF32, {3, 5}},
                                          {"a", Encoding::kBF16, {7}},
                                          {"q", Encoding::kQ4_1, {2, 32}},
                                          {"e", Encoding::kF16, {0, 2}}};
    {
      GgufWriter writer(dir / "a.gguf", plan, metadata);
      for (const TensorPlan& t : plan) writer.write(t.name, as_bytes(pattern_bytes(tensor_bytes(t), 5)));
      writer.commit();
    }
    const GgufFile file = read_gguf(dir / "a.gguf");
    EXPECT_EQ(file.order, plan);
    EXPECT_EQ(file.metadata.entries(), metadata);
    EXPECT_EQ(content(file.tensors.at("a")), pattern_bytes(14, 5));
    GgufWriter writer(dir / "b.gguf", file.order, file.metadata.entries());
    for (const TensorPlan& t : file.order) writer.write(t.name, file.tensors.at(t.name).bytes);
    writer.commit();
    const std::string bytes = slurp(dir / "a.gguf");
    EXPECT_EQ(bytes, slurp(dir / "b.gguf"));
    EXPECT_EQ(bytes.size() % (alignment == 0 ? 32 : alignment), 0u);
  }
}

TEST(Gguf, WriterRefusesWhatTheFormatCannotHold) {
  const TempDir dir;
  const std::vector<GgufEntry> none;
  EXPECT_PARE_ERROR(GgufWriter(dir / "a", {{"w", Encoding::kF32, {1, 1, 1, 1, 1}}}, none),
                    ErrorCode::kInvalid, "at most 4 dimensions");
  const std::vector<GgufEntry> twice = {{"k", true}, {"k", false}};
  EXPECT_PARE_ERROR(GgufWriter(dir / "a", {}, twice), ErrorCode::kFormat, "twice");
  const std::vector<GgufEntry> odd = {{"general.alignment", uint32_t{48}}};
  EXPECT_PARE_ERROR(GgufWriter(dir / "a", {}, odd), ErrorCode::kFormat, "power of two");
  GgufArray deep{std::vector<uint8_t>{1}};
  for (int i = 0; i < 4; ++i) deep = GgufArray{std::vector<GgufArray>{deep}};
  const std::vector<GgufEntry> nested = {{"k", deep}};
  EXPECT_PARE_ERROR(GgufWriter(dir / "a", {}, nested), ErrorCode::kInvalid, "nested deeper");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(GgufMetadata, GettersNameTheKeyAndCheckTheType) {
  GgufMetadata m;
  for (const GgufEntry& e : all_types()) m.add(e.key, e.value);
  EXPECT_EQ(m.get_u32("u8"), 255u);
  EXPECT_EQ(m.get_u32("u32"), 4294967295u);
  EXPECT_PARE_ERROR(m.get_u32("i8"), ErrorCode::kFormat, "\"i8\": -1 is not between 0 and 4294967295");
  EXPECT_PARE_ERROR(m.get_u32("u64"), ErrorCode::kFormat, "\"u64\": 18446744073709551615");
  EXPECT_PARE_ERROR(m.get_u32("f32"), ErrorCode::kFormat, "\"f32\": expected an integer, got f32");
  EXPECT_PARE_ERROR(m.get_u32("bool"), ErrorCode::kFormat, "\"bool\": expected an integer, got bool");
  EXPECT_PARE_ERROR(m.get_u32("none"), ErrorCode::kNotFound, "\"none\" is missing");
  EXPECT_EQ(m.find_u32("none"), std::nullopt);
  EXPECT_EQ(m.get_f32("f32"), 0.5f);
  EXPECT_EQ(m.get_f32("f64"), 0.25f);
  EXPECT_PARE_ERROR(m.get_f32("u8"), ErrorCode::kFormat, "\"u8\": expected f32 or f64, got u8");
  EXPECT_TRUE(m.get_bool("bool"));
  EXPECT_PARE_ERROR(m.get_bool("u8"), ErrorCode::kFormat, "expected bool");
  EXPECT_EQ(m.get_string("string"), "llama");
  EXPECT_PARE_ERROR(m.get_string("strings"), ErrorCode::kFormat, "got an array of string");
  EXPECT_EQ(m.get_strings("strings").size(), 3u);
  EXPECT_PARE_ERROR(m.get_strings("i32s"), ErrorCode::kFormat, "got an array of i32");
  EXPECT_PARE_ERROR(m.get_strings("string"), ErrorCode::kFormat, "got string");
  EXPECT_EQ(m.find_strings("none"), nullptr);
  EXPECT_EQ(m.get_i32s("i32s"), (std::vector<int32_t>{1, -1}));
  EXPECT_PARE_ERROR(m.get_i32s("f32s"), ErrorCode::kFormat, "expected an array of integers");
  EXPECT_EQ(m.get_f32s("f32s"), std::vector<float>{1.5f});
  EXPECT_PARE_ERROR(m.get_f32s("none"), ErrorCode::kNotFound, "\"none\"");
  GgufMetadata wide;
  wide.add("k", GgufArray{std::vector<uint32_t>{1, 3000000000u}});
  EXPECT_PARE_ERROR(wide.get_i32s("k"), ErrorCode::kFormat, "3000000000 is not between");
}

}  // namespace
}  // namespace pare
