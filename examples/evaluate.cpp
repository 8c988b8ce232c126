// Measures two models on a text, side by side.
#include <pare/error.h>
#include <pare/evaluate.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: evaluate MODEL MODEL2 TEXT\n";
    return 2;
  }
  try {
    const std::vector<pare::api::Quality> results =
        pare::api::evaluate({argv[1], argv[2]}, {.ppl = argv[3], .seqlen = 128});
    for (const pare::api::Quality& quality : results)
      std::cout << quality.model << ": perplexity " << *quality.perplexity << ", KL " << quality.kl
                << " nats, top-1 " << quality.top1 << "\n";
    return 0;
  } catch (const pare::api::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
