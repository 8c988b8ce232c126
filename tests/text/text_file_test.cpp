#include "text/files/text_file.h"

#include "base/log.h"
#include "support/expect_error.h"
#include "support/gzip.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

using namespace std::string_literals;

// Every byte of the text followed or led by `zeros` NULs.
std::string widened(const std::string& text, size_t zeros, bool zeros_first) {
  std::string wide;
  for (const char c : text) wide += zeros_first ? std::string(zeros, '\0') + c : c + std::string(zeros, '\0');
  return wide;
}

TEST(TextFile, TakesTextAsItIs) {
  const std::string text = "Zoë \t came by,\r\n with 漢字 and 😀.\n";
  EXPECT_EQ(text_of_bytes(text, "f"), text);
  EXPECT_EQ(text_of_bytes("", "f"), "");
  EXPECT_EQ(text_of_bytes("\xef\xbb\xbf" + text, "f"), text);
  EXPECT_EQ(text_of_bytes(test::gzip(text), "f"), text);
  EXPECT_EQ(text_of_bytes(test::gzip("\xef\xbb\xbf" + text), "f"), text);
  const test::TempDir folder;
  EXPECT_EQ(read_text_file(folder.file("a.txt", text)), text);
  EXPECT_EQ(read_text_file(folder.file("b", test::gzip(text))), text);
  EXPECT_EQ(read_text_file(folder.file("c", "")), "");
  EXPECT_PARE_ERROR(read_text_file(folder / "none"), ErrorCode::kNotFound, "none");
}

TEST(TextFile, NamesOtherFormats) {
  const std::pair<std::string, const char*> cases[] = {
      {"PAR1\x15\x04"s, "f is not UTF-8 text but Parquet: write it as lines of JSON"},
      {"ARROW1\0\0"s, "Arrow"},
      {"\x28\xb5\x2f\xfd\x04"s, "zstd: unpack it first (gzip is the one compression that is read)"},
      {"BZh91AY"s, "bzip2"},
      {"\xfd\x37zXZ\0\0"s, "xz"},
      {"PK\x03\x04\x14"s, "zip"},
      {"7z\xbc\xaf\x27\x1c"s, "7-Zip"},
      {"%PDF-1.7"s, "PDF: extract its text"},
      {"GGUF\x03\0"s, "GGUF"},
      {"\xff\xfeh\0i\0"s, "UTF-16 text: convert it: iconv -f UTF-16 -t UTF-8"},
      {"\xfe\xff\0h\0i"s, "UTF-16"},
      {"\xff\xfe\0\0h\0\0\0"s, "UTF-32"},
      {"\0\0\xfe\xff\0\0\0h"s, "UTF-32"},
      {widened("In the forge", 1, false), "UTF-16"},
      {widened("In the forge", 1, true), "UTF-16"},
      {widened("In the forge", 3, false), "UTF-32"},
      {widened("In the forge", 3, true), "UTF-32"},
      {"version https://git-lfs.github.com/spec/v1\noid"s, "a Git LFS pointer"}};
  for (const auto& [bytes, message] : cases) {
    SCOPED_TRACE(message);
    EXPECT_PARE_ERROR(text_of_bytes(bytes, "f"), ErrorCode::kFormat, message);
    EXPECT_PARE_ERROR(text_of_bytes(test::gzip(bytes), "f"), ErrorCode::kFormat, message);
  }
  EXPECT_PARE_ERROR(text_of_bytes(test::gzip(test::gzip("a")), "f"), ErrorCode::kFormat, "compressed twice");
}

TEST(TextFile, SaysWhereItIsNoText) {
  EXPECT_PARE_ERROR(text_of_bytes("one\ntwo caf\xe9 three", "f"), ErrorCode::kFormat,
                    "f is not UTF-8: byte 0xe9 at offset 11 (line 2); if it is Latin-1: iconv");
  EXPECT_PARE_ERROR(text_of_bytes("a\nb\n\nlast line, with a \0 in it"s, "f"), ErrorCode::kFormat,
                    "f is not text: it holds a NUL byte at offset 23 (line 4)");
}

TEST(TextFile, ACharacterThatTheEndCutsIsLeftOut) {
  std::string warned;
  set_log_sink([&](LogLevel, std::string_view message) { warned += message; });
  const std::string text = text_of_bytes("sea \xe6\xbc", "f");
  set_log_sink({});
  EXPECT_EQ(text, "sea ");
  EXPECT_EQ(warned, "f ends inside a character: its last 2 bytes are left out");
}

}  // namespace
}  // namespace pare
