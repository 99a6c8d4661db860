// What pairing-mode says; on a terminal, what it asks and what the answers mean.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/pairing_approval.h"
#include "core/pairing_queue.h"

namespace ctrlexec {

// What is said of a request when it comes and when it has ended; `asking`: on a terminal, where answers are
// typed.
std::string announcement(const PairingRequest& request, bool asking);
// "" when no earlier request in its name broke off.
std::string broken_off_note(const PairingRequest& request);
std::string ending(const PairingRequest& request, const std::string& outcome);

// A request keeps the number it was shown with, and numbers are not used twice: an answer that crosses with a
// change of the list must never reach another request than the one that was read.
class PairingPrompt {
  public:
    struct Actions {
        std::function<void(const PairingRequest&, const ApprovalOptions&)> approve;
        std::function<void(const PairingRequest&)> deny;
        std::function<void()> quit;
    };
    explicit PairingPrompt(Actions actions) : actions_(std::move(actions)) {}

    void requested(const PairingRequest& request);
    void ended(const PairingRequest& request, const std::string& outcome);
    void line(std::string_view text);

    // The end of an approval or denial that `actions` started. On failure the request may be answered again.
    void decided(const PairingRequest& request, bool done, std::string_view text);

  private:
    struct Waiting {
        int number;
        PairingRequest request;
        bool skipped = false;
        bool decided = false;
    };
    void say(std::string_view text);
    void ask();
    void list();
    struct Answer {
        char letter = 0;
        std::string number;  // of a request; "" for the only one
        std::string sas;     // a check code; "" for none
    };
    static std::optional<Answer> parse(std::string_view word);
    void answer(const Answer& answer);
    void answer_by_code(const std::string& sas);
    void approve(Waiting& entry, const Answer& answer);
    Waiting* choose(std::string_view number);
    std::vector<Waiting*> open();

    Actions actions_;
    std::vector<Waiting> waiting_;  // in the order of arrival
    int last_number_ = 0;
    bool asking_ = false;  // the cursor stands behind a question
    std::chrono::steady_clock::time_point last_vanished_{};
};

}  // namespace ctrlexec
