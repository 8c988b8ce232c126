#include "base/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>

#include "base/error.h"

namespace pare {
namespace {

constexpr int kGzipWindow = 15 + 16;  // the largest window, gzip headers only

// State of zlib, ended whatever happens.
class Inflater {
 public:
  Inflater() { PARE_CHECK(::inflateInit2(&stream_, kGzipWindow) == Z_OK); }
  ~Inflater() { ::inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Unpacks one member from the start of `bytes`, which loses what was read.
  void member(std::string_view& bytes, std::string& out, uint64_t max_bytes, std::string_view what) {
    ::inflateReset(&stream_);
    stream_.avail_in = 0;
    for (int status = Z_OK; status != Z_STREAM_END;) {
      if (stream_.avail_in == 0) {
        const size_t count = std::min<size_t>(bytes.size(), size_t{1} << 30);
        // zlib only reads from the pointer.
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
        stream_.avail_in = static_cast<uInt>(count);
      }
      const uInt before = stream_.avail_in;
      stream_.next_out = reinterpret_cast<Bytef*>(block_.data());
      stream_.avail_out = static_cast<uInt>(block_.size());
      status = ::inflate(&stream_, Z_NO_FLUSH);
      bytes.remove_prefix(before - stream_.avail_in);
      out.append(block_.data(), block_.size() - stream_.avail_out);
      if (out.size() > max_bytes)
        fail(ErrorCode::kFormat, "{} unpacks to more than {} bytes", what, max_bytes);
      if (status == Z_MEM_ERROR) throw std::bad_alloc();
      if (status == Z_BUF_ERROR || (status == Z_OK && bytes.empty() && stream_.avail_out > 0))
        fail(ErrorCode::kFormat, "{}: the gzip data ends early: the file is not complete", what);
      if (status != Z_OK && status != Z_STREAM_END)
        fail(ErrorCode::kFormat, "{}: the gzip data is damaged ({})", what,
             stream_.msg != nullptr ? stream_.msg : "no reason given");
    }
  }

 private:
  z_stream stream_{};
  std::array<char, size_t{1} << 16> block_{};
};

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

std::string gunzip(std::string_view bytes, uint64_t max_bytes, std::string_view what) {
  std::string out;
  const auto inflater = std::make_unique<Inflater>();
  do {
    inflater->member(bytes, out, max_bytes, what);
    bytes.remove_prefix(std::min(bytes.find_first_not_of('\0'), bytes.size()));
  } while (is_gzip(bytes));
  if (!bytes.empty())
    fail(ErrorCode::kFormat, "{}: {} bytes that are not gzip stand behind the gzip data", what, bytes.size());
  return out;
}

}  // namespace pare
