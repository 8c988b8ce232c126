// Running a program and looking at what it does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pare::test {

struct CommandResult {
  int status = 0;  // exit status, or 128 + the signal that ended it
  std::string out;
  std::string err;
};

// Runs argv[0] with the given standard input. The standard output goes to `output` instead when it is given.
CommandResult run_command(const std::vector<std::string>& argv, const std::string& input = "",
                          const std::filesystem::path& output = {});

}  // namespace pare::test
