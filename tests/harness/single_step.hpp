/// A process that could end behind any instruction: `body` runs in a child, from its call of `begin` on one instruction
/// at a time, and `look` is called after each of them, in the test's own process. What both see is in memory that they
/// share.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace sluice::test {

/// Returns the number of instructions; 0 if the child did not come to the end of `body`.
std::size_t single_step(const std::function<void(void (*begin)())>& body, const std::function<void()>& look);

/// Zeros that a child shares; aligned to a page.
class SharedMemory {
public:
    explicit SharedMemory(std::size_t bytes);
    ~SharedMemory();
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;
    std::byte* data() const { return data_; }
    std::size_t size() const { return bytes_; }

private:
    std::byte* data_;
    std::size_t bytes_;
};

}  // namespace sluice::test
