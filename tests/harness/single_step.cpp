#include "tests/harness/single_step.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace sluice::test {

namespace {

void begin() {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
    raise(SIGSTOP);
}

}  // namespace

std::size_t single_step(const std::function<void(void (*begin)())>& body, const std::function<void()>& look) {
    const pid_t child = fork();
    if (child == 0) {
        body(begin);
        _exit(0);
    }
    std::size_t steps = 0;
    int status = 0;
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        const int number = WSTOPSIG(status);
        const int passed_on = number == SIGTRAP || number == SIGSTOP ? 0 : number;
        ++steps;
        look();
        if (ptrace(PTRACE_SINGLESTEP, child, nullptr, passed_on) != 0) break;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? steps : 0;
}

SharedMemory::SharedMemory(std::size_t bytes)
    : data_{static_cast<std::byte*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))},
      bytes_{bytes} {
    if (data_ == MAP_FAILED) std::abort();
}
SharedMemory::~SharedMemory() { munmap(data_, bytes_); }

}  // namespace sluice::test
