// Loads a model and continues a text, which appears as it is written.
#include <pare/error.h>
#include <pare/model.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: generate MODEL TEXT\n";
    return 2;
  }
  try {
    const pare::api::Model model = pare::api::Model::load(argv[1]);
    const pare::api::ModelInfo info = model.info();
    std::cerr << info.architecture << ", " << info.layers << " layers, " << info.parameters
              << " parameters\n";
    const auto show = [](std::string_view text) {
      std::cout << text << std::flush;
      return true;
    };
    const pare::api::Generated result = model.generate(argv[2], {.max_tokens = 40, .seed = 1}, show);
    std::cout << "\n";
    std::cerr << result.tokens.size() << " tokens in " << result.decode_seconds << " s\n";
    return 0;
  } catch (const pare::api::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
