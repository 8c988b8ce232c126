#include "compress/walk/activation_pair.h"

#include <algorithm>

namespace pare {
namespace {

constexpr auto kSyncAfter = std::chrono::seconds(5);

}  // namespace

int64_t widest_stream(const ModelConfig& config) {
  int64_t width = config.stream_width();
  for (const BlockShape& block : config.blocks)
    width = std::max({width, block.attention_output_width, block.output_width});
  return width;
}

ActivationPair::ActivationPair(const WorkArea& area, const std::string& name, const ModelConfig& config,
                               int64_t rows)
    : comm_(area.comm()), started_(std::chrono::steady_clock::now()) {
  for (int i = 0; i < 2; ++i)
    buffers_[i] = area.stream(fmt::format("{}-{}", name, i), rows * widest_stream(config));
}

MatrixView<const float> ActivationPair::read(int64_t first, int64_t count) const {
  return buffers_[current_].rows(first, count, width_);
}

MatrixView<float> ActivationPair::change(int64_t first, int64_t count) {
  return buffers_[current_].rows(first, count, width_);
}

void ActivationPair::write(int64_t first, const Matrix<float>& rows) {
  ActivationFile& buffer = buffers_[1 - current_];
  const MatrixView<float> target = buffer.rows(first, rows.rows(), rows.cols());
  std::copy_n(rows.data(), rows.size(), target.data);
  buffer.release(target);
}

void ActivationPair::advance(int64_t width, int64_t rows) {
  current_ = 1 - current_;
  width_ = width;
  rows_ = rows;
}

void ActivationPair::begin_stage() { started_ = std::chrono::steady_clock::now(); }

Json ActivationPair::position() const {
  const auto now = std::chrono::steady_clock::now();
  const bool synced = now - started_ > kSyncAfter;
  if (synced) buffers_[current_].sync(rows_ * width_);
  const Json own = {
      {"buffer", current_}, {"width", width_}, {"rows", rows_}, {"boot", boot_id()}, {"synced", synced}};
  Json all = Json::array();
  for (const std::string& text : comm_.gather(own.dump())) all.push_back(parse_json(text, "a position"));
  return all;
}

bool ActivationPair::restore(const Json& position) {
  const auto ranks = static_cast<size_t>(comm_.size());
  return comm_.all(position.size() == ranks && restore_own(position.at(static_cast<size_t>(comm_.rank()))));
}

bool ActivationPair::restore_own(const Json& position) {
  if (!buffers_[0].was_there() || !buffers_[1].was_there()) return false;
  if (!position.at("synced").get<bool>() && position.at("boot").get<std::string>() != boot_id()) return false;
  current_ = position.at("buffer").get<int>() != 0 ? 1 : 0;
  width_ = position.at("width").get<int64_t>();
  rows_ = position.at("rows").get<int64_t>();
  return true;
}

}  // namespace pare
