// THE list of backends. A new one is a folder and a line here.
#include "base/error.h"
#include "kernels/backend.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/reference/reference_backend.h"

namespace pare {
namespace {

const Backend& cpu_backend() {
  static const CpuBackend backend(active_isa());
  return backend;
}

const Backend& reference_backend() {
  static const ReferenceBackend backend;
  return backend;
}

}  // namespace

std::string_view compute_type_name(ComputeType type) {
  constexpr std::string_view kNames[] = {"f32", "bf16", "int8", "stored"};
  return kNames[static_cast<size_t>(type)];
}

std::span<const Backend* const> backends() {
  static const Backend* const all[] = {&cpu_backend(), &reference_backend()};
  return all;
}

const Backend& backend_named(std::string_view name) {
  std::string known;
  for (const Backend* backend : backends()) {
    if (backend->name() == name) return *backend;
    known += (known.empty() ? "" : ", ") + std::string(backend->name());
  }
  fail(ErrorCode::kUsage, "there is no device \"{}\", there are {}", name, known);
}

const Backend& default_backend() { return *backends().front(); }

HostRows download(Activation x) {
  const Backend& on = x.backend();
  return on.download(std::move(x));
}

std::unique_ptr<PackedLinear> pack_linear(std::span<const Weight> stack, ComputeType compute) {
  return default_backend().pack_linear(stack, {}, compute);
}

std::unique_ptr<PackedLinear> pack_linear(const Weight& weight, ComputeType compute) {
  return pack_linear(std::span(&weight, 1), compute);
}

}  // namespace pare
