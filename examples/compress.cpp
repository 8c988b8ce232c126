// Writes a smaller model, and says how much smaller it is.
#include <pare/compress.h>
#include <pare/error.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    std::cerr << "usage: compress MODEL DIR RECIPE [CALIB], e.g. slice:0.1,sparsify:2:4\n";
    return 2;
  }
  try {
    pare::api::CompressOptions options;
    if (argc == 5) {  // else the model writes its own text
      options.calib = {argv[4]};
      options.nsamples = 8;
      options.seqlen = 128;
    }
    const auto show = [](const std::string& step, std::int64_t done, std::int64_t total) {
      if (done == total) std::cerr << step << ": done\n";
    };
    const pare::api::Compressed result = pare::api::compress(argv[1], argv[3], argv[2], options, show);
    std::cout << "parameters " << result.parameters_before << " -> " << result.parameters_after << "\n"
              << "bytes " << result.bytes_before << " -> " << result.bytes_after << "\n";
    return 0;
  } catch (const pare::api::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
