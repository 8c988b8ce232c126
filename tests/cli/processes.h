// Programs that run while a test does something else, and the folders they write.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "cli/pare_command.h"

namespace pare::test {

inline std::map<std::string, std::string> files_in(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      files[std::filesystem::relative(entry.path(), folder).string()] = file_contents(entry.path());
  return files;
}

// Starts a program; its standard error goes to `messages`.
inline pid_t start(const std::vector<std::string>& arguments, const std::string& messages = "/dev/null") {
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const int null = open("/dev/null", O_RDWR);
  const int errors = open(messages.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO}) dup2(null, descriptor);
  dup2(errors, STDERR_FILENO);
  execv(argv[0], argv.data());
  _exit(127);
}

// Its exit status, or 128 + the signal that ended it.
inline int wait_for(pid_t pid) {
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace pare::test
