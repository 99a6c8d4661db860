#include "net/answer_gate.h"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "net/runtime.h"

using namespace ctrlexec;

namespace {

constexpr std::size_t size = 1'000'000;

// Answers that ask for their turn one after the other, and keep it until they are told to leave.
struct Fixture {
    Runtime runtime;
    std::shared_ptr<AnswerGate> gate = std::make_shared<AnswerGate>(runtime.io().get_executor(), 3 * size);
    std::vector<std::unique_ptr<AnswerGate::Turn>> turns;
    std::vector<int> admitted;

    asio::awaitable<void> ask(int id, std::size_t bytes) {
        AnswerGate::Turn* turn = turns[static_cast<std::size_t>(id)].get();
        co_await turn->enter(bytes);
        admitted.push_back(id);
    }
    void arrive(std::size_t bytes) {
        turns.push_back(std::make_unique<AnswerGate::Turn>(gate));
        runtime.spawn(ask(static_cast<int>(turns.size()) - 1, bytes));
        settle();
    }
    void leave(std::size_t id) {
        turns[id]->leave();
        settle();
    }
    void settle() {
        runtime.io().restart();
        runtime.io().poll();
    }
};

using Ids = std::vector<int>;

}  // namespace

TEST_CASE_FIXTURE(Fixture, "answers wait for room, and go in the order in which they came") {
    for (int i = 0; i < 5; ++i) arrive(size);
    CHECK(admitted == Ids{0, 1, 2});
    leave(1);
    CHECK(admitted == Ids{0, 1, 2, 3});
    leave(0);
    leave(2);
    CHECK(admitted == Ids{0, 1, 2, 3, 4});
    leave(3);
    leave(4);
    CHECK(gate->used() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a small one does not overtake a large one, which would never go") {
    arrive(2 * size);
    arrive(2 * size);
    arrive(size);
    CHECK(admitted == Ids{0});
    leave(0);
    CHECK(admitted == Ids{0, 1, 2});
}

TEST_CASE_FIXTURE(Fixture, "one that is too large for all there is goes alone") {
    arrive(size);
    arrive(100 * size);
    arrive(size);
    CHECK(admitted == Ids{0});
    leave(0);
    CHECK(admitted == Ids{0, 1});
    leave(1);
    CHECK(admitted == Ids{0, 1, 2});
}

TEST_CASE_FIXTURE(Fixture,
                  "a turn that is gone leaves its room to others, and asking twice changes nothing") {
    arrive(2 * size);
    const std::size_t used = gate->used();
    runtime.spawn(ask(0, size));
    settle();
    CHECK(gate->used() == used);
    arrive(2 * size);
    turns[0].reset();
    settle();
    CHECK(admitted == Ids{0, 0, 1});
    turns.clear();
    CHECK(gate->used() == 0);
}

TEST_CASE_FIXTURE(Fixture, "nobody waits for ever: when patience ends it goes, and counts all the same") {
    gate = std::make_shared<AnswerGate>(runtime.io().get_executor(), 3 * size, std::chrono::milliseconds(1));
    arrive(3 * size);
    arrive(size);
    arrive(100);
    runtime.io().restart();
    while (admitted.size() < 3) runtime.io().run_one();
    CHECK(admitted == Ids{0, 1, 2});
    CHECK(gate->used() == 4 * size + AnswerGate::free_for_each);
    turns.clear();
    CHECK(gate->used() == 0);
}

TEST_CASE_FIXTURE(Fixture, "without a gate nobody waits") {
    gate = nullptr;
    for (int i = 0; i < 5; ++i) arrive(10 * size);
    CHECK(admitted == Ids{0, 1, 2, 3, 4});
}
