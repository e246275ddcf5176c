/// Where the control plane's threads of a bench run: off the worker's core.
#pragma once

#include <pthread.h>

#include "tests/bench/options.hpp"

namespace sluice::bench {

/// Threads that are made in its scope stay off the worker's core.
class OnOtherCpus {
public:
    explicit OnOtherCpus(const Machine& machine) {
        (void)::pthread_getaffinity_np(::pthread_self(), sizeof before_, &before_);
        (void)::pthread_setaffinity_np(::pthread_self(), sizeof machine.others, &machine.others);
    }
    ~OnOtherCpus() { (void)::pthread_setaffinity_np(::pthread_self(), sizeof before_, &before_); }
    OnOtherCpus(const OnOtherCpus&) = delete;
    OnOtherCpus& operator=(const OnOtherCpus&) = delete;

private:
    cpu_set_t before_{};
};

}  // namespace sluice::bench
