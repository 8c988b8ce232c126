#include "text/files/text_file.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/gzip.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

using namespace std::string_view_literals;

struct Signature {
  std::string_view bytes;
  ForeignFormat format;
};

constexpr std::string_view kUnpack = "unpack it first (gzip is the one compression that is read)";
constexpr std::string_view kColumns =
    "write it as lines of JSON, e.g. with datasets: Dataset.from_parquet(FILE).to_json(OUT), or with pandas: "
    "to_json(OUT, orient=\"records\", lines=True)";
constexpr std::string_view kUtf16 = "convert it: iconv -f UTF-16 -t UTF-8 FILE > OUT";
constexpr std::string_view kUtf32 = "convert it: iconv -f UTF-32 -t UTF-8 FILE > OUT";
constexpr std::string_view kExtract = "extract its text";
constexpr std::string_view kNoText = "a text is expected here";

// The longer of two names that begin alike stands first.
constexpr Signature kSignatures[] = {
    {"PAR1"sv, {"Parquet", kColumns}},
    {"ARROW1"sv, {"Arrow", kColumns}},
    {"\xff\xff\xff\xff"sv, {"Arrow (a stream)", kColumns}},
    {"\xff\xfe\0\0"sv, {"UTF-32 text", kUtf32}},
    {"\0\0\xfe\xff"sv, {"UTF-32 text", kUtf32}},
    {"\xff\xfe"sv, {"UTF-16 text", kUtf16}},
    {"\xfe\xff"sv, {"UTF-16 text", kUtf16}},
    {"\x28\xb5\x2f\xfd"sv, {"zstd", kUnpack}},
    {"BZh"sv, {"bzip2", kUnpack}},
    {"\xfd\x37zXZ\0"sv, {"xz", kUnpack}},
    {"\x04\x22\x4d\x18"sv, {"LZ4", kUnpack}},
    {"7z\xbc\xaf\x27\x1c"sv, {"7-Zip", kUnpack}},
    {"PK\x03\x04"sv, {"zip (or a format that is one, as .docx, .npz, .pt)", kUnpack}},
    {"%PDF-"sv, {"PDF", kExtract}},
    {"{\\rtf"sv, {"RTF", kExtract}},
    {"GGUF"sv, {"GGUF", kNoText}},
    {"SQLite format 3\0"sv, {"SQLite", kNoText}},
    {"\x89HDF"sv, {"HDF5", kNoText}},
    {"\x7f"
     "ELF"sv,
     {"a program", kNoText}},
    {"version https://git-lfs"sv,
     {"a Git LFS pointer", "the text itself was not fetched: git lfs pull, or download the file"}},
};

// Detects UTF-16 and UTF-32 without a BOM: of ASCII letters every second byte, or three of four, are NUL.
ForeignFormat wide_characters(std::string_view bytes) {
  const std::string_view start = bytes.substr(0, 4096);
  std::array<size_t, 4> nuls{};
  for (size_t i = 0; i < start.size(); ++i)
    if (start[i] == '\0') ++nuls[i % 4];
  const size_t all = start.size() / 4;  // bytes at each place
  const auto mostly = [&](size_t place) { return all > 0 && nuls[place] > all * 3 / 4; };
  const auto hardly = [&](size_t place) { return nuls[place] < all / 4 + 1; };
  if (mostly(1) && mostly(2) && (mostly(0) != mostly(3))) return {"UTF-32 text", kUtf32};
  if ((mostly(0) && mostly(2) && hardly(1) && hardly(3)) ||
      (mostly(1) && mostly(3) && hardly(0) && hardly(2)))
    return {"UTF-16 text", kUtf16};
  return {};
}

size_t line_of(std::string_view text, size_t offset) {
  return 1 + static_cast<size_t>(
                 std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

// The end of the longest part from the start that is UTF-8.
size_t valid_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const Utf8Char c = decode_utf8(text.substr(at));
    if (!c.valid) break;
    at += c.length;
  }
  return at;
}

void refuse_foreign(std::string_view bytes, std::string_view what) {
  const ForeignFormat format = foreign_format(bytes);
  if (!format.name.empty())
    fail(ErrorCode::kFormat, "{} is not UTF-8 text but {}: {}", what, format.name, format.advice);
}

}  // namespace

ForeignFormat foreign_format(std::string_view bytes) {
  for (const Signature& signature : kSignatures)
    if (bytes.starts_with(signature.bytes)) return signature.format;
  return wide_characters(bytes);
}

std::string text_of_bytes(std::string_view bytes, std::string_view what) {
  std::string text;
  if (is_gzip(bytes)) {
    text = gunzip(bytes, kMaxTextBytes, what);
    if (is_gzip(text)) fail(ErrorCode::kFormat, "{} is compressed twice: unpack it once", what);
  } else {
    if (bytes.size() > kMaxTextBytes)
      fail(ErrorCode::kFormat, "{} has {} bytes; at most {} are accepted", what, bytes.size(), kMaxTextBytes);
    text = bytes;
  }
  refuse_foreign(text, what);
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  if (const size_t nul = text.find('\0'); nul != std::string::npos)
    fail(ErrorCode::kFormat, "{} is not text: it holds a NUL byte at offset {} (line {})", what, nul,
         line_of(text, nul));
  const size_t end = valid_prefix(text);
  if (end == text.size()) return text;
  if (decode_utf8(std::string_view(text).substr(end)).truncated) {
    log_warning("{} ends inside a character: its last {} bytes are left out", what, text.size() - end);
    text.resize(end);
    return text;
  }
  fail(ErrorCode::kFormat,
       "{} is not UTF-8: byte 0x{:02x} at offset {} (line {}); if it is Latin-1: iconv -f LATIN1 -t UTF-8 "
       "FILE > "
       "OUT",
       what, static_cast<unsigned char>(text[end]), end, line_of(text, end));
}

std::string read_text_file(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  return text_of_bytes({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()},
                       path.string());
}

}  // namespace pare
