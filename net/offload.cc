#include "net/offload.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <asio/post.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace ctrlexec {
namespace {

constexpr std::size_t max_threads = 8;

// glibc gives each thread an arena of its own, and what was once used there stays with the process. Our
// workers wait for disks and name servers, not for each other's malloc.
void share_arenas() {
#ifdef __GLIBC__
    ::mallopt(M_ARENA_MAX, 2);
#endif
}

struct Task {
    std::function<void()> work;
    std::function<void()> done;
};

}  // namespace

// The one place with a mutex: it is where threads meet the loop.
struct OffloadPool::Shared {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<Task> tasks;
    std::size_t threads = 0;
    std::size_t idle = 0;
    asio::io_context* io = nullptr;  // null once the pool is gone
    bool closing = false;

    void work_until_closed() {
        std::unique_lock lock(mutex);
        for (;;) {
            ++idle;
            wake.wait(lock, [this] { return closing || !tasks.empty(); });
            --idle;
            if (closing) return;
            Task task = std::move(tasks.front());
            tasks.pop_front();
            lock.unlock();
            task.work();
            task.work = nullptr;
            lock.lock();
            if (io != nullptr) asio::post(*io, std::move(task.done));
        }
    }
};

OffloadPool::OffloadPool(asio::io_context& io) : shared_(std::make_shared<Shared>()) {
    share_arenas();
    shared_->io = &io;
}

OffloadPool::~OffloadPool() {
    const std::lock_guard lock(shared_->mutex);
    shared_->io = nullptr;
    shared_->closing = true;
    shared_->tasks.clear();
    shared_->wake.notify_all();
}

void OffloadPool::submit(std::function<void()> work, std::function<void()> done) {
    const std::lock_guard lock(shared_->mutex);
    shared_->tasks.push_back({std::move(work), std::move(done)});
    if (shared_->idle < shared_->tasks.size() && shared_->threads < max_threads) {
        ++shared_->threads;
        std::thread([shared = shared_] { shared->work_until_closed(); }).detach();
    }
    shared_->wake.notify_one();
}

}  // namespace ctrlexec
