// SPDX-License-Identifier: BSD-2-Clause
// Compiles; with -DUNGUARDED=1, 2 or 3 Clang's -Wthread-safety must refuse it (guarded_members_test.sh).
#include "wherry/mutex.hpp"

namespace {

class counter {
public:
    void add() WHERRY_EXCLUDES(mutex_) {
        const wherry::mutex_lock lock(mutex_);
        add_one();
        changed_.notify_one();
    }
    int wait_for_one() {
        wherry::mutex_lock lock(mutex_);
        changed_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) { return count_ > 0; });
#if UNGUARDED == 1
        lock.unlock();
#endif
        return count_;
    }
#if UNGUARDED == 2
    void add_without_lock() { add_one(); }
#endif
#if UNGUARDED == 3
    void add_with_two_locks() {
        const wherry::mutex_lock lock(mutex_);
        add();
    }
#endif

private:
    void add_one() WHERRY_REQUIRES(mutex_) { ++count_; }

    wherry::mutex mutex_;
    wherry::condition changed_;
    int count_ WHERRY_GUARDED_BY(mutex_) = 0;
};

}  // namespace

int main() {
    counter one;
    one.add();
    return one.wait_for_one() - 1;
}
