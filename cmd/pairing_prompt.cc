#include "cmd/pairing_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cmd/print.h"
#include "core/config_file.h"
#include "core/pairing_proof.h"
#include "core/utf8.h"

namespace ctrlexec {
namespace {

// So long after a request went away by itself a bare letter is not taken for the one that is left.
constexpr std::chrono::seconds crossing{3};

constexpr std::string_view usage =
    "a, d or s: accept, deny or skip the request; r: accept it in place of the registered agent of its name; "
    "a2, d2, s2 or r2: request 2; 4831-1920, a2 4831-1920: accept it if that is its check code; list; quit\n";

}  // namespace

std::string broken_off_note(const PairingRequest& request) {
    if (request.broken_off == 0) return {};
    return fmt::format(
        "{} earlier request{} in the name of {} broke off before anybody could decide: compare all 8 digits, "
        "and the ID with what the agent shows",
        request.broken_off, request.broken_off == 1 ? "" : "s", request.hostname);
}

std::string announcement(const PairingRequest& request, bool asking) {
    std::string_view more =
        "  The agent is of the first version of pairing: it cannot check who answers it.\n";
    if (request.version >= 2 && asking)
        more = "  Check code: type the 8 digits that the agent shows, or 'a' to accept without\n";
    if (request.version >= 2 && !asking)
        more = "  Check code: approve it with --sas and the 8 digits that the agent shows\n";
    const std::string note = broken_off_note(request);
    return fmt::format("Pairing request from {} ({}) - ID: {}\n  Received: {}\n  Code: {}\n{}{}",
                       request.hostname, request.ip, request.id, request.received, request.code, more,
                       note.empty() ? note : "  Careful: " + note + "\n");
}

std::string ending(const PairingRequest& request, const std::string& outcome) {
    return fmt::format("Pairing request {} from {}: {}\n", request.id, request.hostname, outcome);
}

void PairingPrompt::say(std::string_view text) {
    if (asking_) print_out("\n");
    asking_ = false;
    print_out(text);
    std::fflush(stdout);
}

std::vector<PairingPrompt::Waiting*> PairingPrompt::open() {
    std::vector<Waiting*> found;
    for (auto& entry : waiting_) {
        if (!entry.decided) found.push_back(&entry);
    }
    return found;
}

void PairingPrompt::ask() {
    const auto unanswered = open();
    const bool wanted = std::any_of(unanswered.begin(), unanswered.end(),
                                    [](const Waiting* entry) { return !entry->skipped; });
    if (!wanted) return;
    const int number = unanswered.front()->number;
    say(unanswered.size() == 1
            ? std::string("Accept, Deny, or Skip? [a/d/s]: ")
            : fmt::format("Accept, Deny, or Skip? [a{0}/d{0}/s{0} …, list, quit]: ", number));
    asking_ = true;
}

void PairingPrompt::list() {
    std::vector<std::vector<std::string>> rows;
    for (const auto* entry : open()) {
        const PairingRequest& request = entry->request;
        rows.push_back({std::to_string(entry->number), request.hostname, request.ip, request.code, request.id,
                        request.received});
    }
    say(rows.empty() ? std::string("No request waits.\n")
                     : format_table({"NO", "HOSTNAME", "IP", "CODE", "ID", "RECEIVED"}, rows));
}

void PairingPrompt::requested(const PairingRequest& request) {
    waiting_.push_back({++last_number_, request});
    say(announcement(request, true));
    if (open().size() > 1) list();
    ask();
}

void PairingPrompt::ended(const PairingRequest& request, const std::string& outcome) {
    const auto entry = std::find_if(waiting_.begin(), waiting_.end(),
                                    [&](const Waiting& w) { return w.request.id == request.id; });
    if (entry != waiting_.end()) {
        if (!entry->decided) last_vanished_ = std::chrono::steady_clock::now();
        waiting_.erase(entry);
    }
    say(ending(request, outcome));
    ask();
}

void PairingPrompt::decided(const PairingRequest& request, bool done, std::string_view text) {
    for (auto& entry : waiting_) {
        if (entry.request.id == request.id && !done) entry.decided = false;
    }
    say(fmt::format("{}\n", text));
    ask();
}

PairingPrompt::Waiting* PairingPrompt::choose(std::string_view number) {
    const auto unanswered = open();
    if (unanswered.empty()) {
        say("No request waits.\n");
        return nullptr;
    }
    if (number.empty()) {
        const bool crossed = std::chrono::steady_clock::now() - last_vanished_ < crossing;
        if (unanswered.size() == 1 && !crossed) return unanswered.front();
        say(crossed ? "The requests have just changed; say which one:\n"
                    : "Several requests wait; say which one:\n");
        list();
        return nullptr;
    }
    std::int64_t value = 0;
    if (parse_integer(number, 1, last_number_, value)) {
        for (auto* entry : unanswered) {
            if (entry->number == value) return entry;
        }
    }
    say(fmt::format("There is no request {}.\n", printable(number)));
    list();
    return nullptr;
}

void PairingPrompt::answer(const Answer& answer) {
    Waiting* entry = choose(answer.number);
    if (entry == nullptr) return;
    if (answer.letter == 's') {
        entry->skipped = true;
        say(fmt::format("Skipped: {} still waits; 'a{}' accepts it.\n", entry->request.hostname,
                        entry->number));
        return;
    }
    if (answer.letter != 'd') return approve(*entry, answer);
    entry->decided = true;
    const PairingRequest request = entry->request;
    actions_.deny(request);
}

void PairingPrompt::approve(Waiting& entry, const Answer& answer) {
    entry.decided = true;
    ApprovalOptions options;
    options.replace = answer.letter == 'r';
    options.sas = answer.sas;
    const PairingRequest request = entry.request;
    actions_.approve(request, options);
}

// The code says which request is meant. When one alone waits it is compared with that, so that a wrong one is
// logged.
void PairingPrompt::answer_by_code(const std::string& sas) {
    const auto unanswered = open();
    const auto found = std::find_if(unanswered.begin(), unanswered.end(),
                                    [&](const Waiting* entry) { return entry->request.sas == sas; });
    if (found != unanswered.end()) return approve(**found, Answer{'a', {}, sas});
    if (unanswered.size() == 1) return answer(Answer{'a', {}, sas});
    say(unanswered.empty() ? "No request waits.\n"
                           : "No request has that check code: somebody may stand between an agent and this "
                             "dispatcher, unless it was a typing error.\n");
}

// A letter, and perhaps a number, a check code, or both.
std::optional<PairingPrompt::Answer> PairingPrompt::parse(std::string_view word) {
    if (word.empty() || std::string_view("adrs").find(word[0]) == std::string_view::npos) return std::nullopt;
    Answer answer{word[0], {}, {}};
    std::string_view rest = trim(word.substr(1));
    const std::size_t blank = rest.find_last_of(" \t");
    const std::string_view last = blank == std::string_view::npos ? rest : rest.substr(blank + 1);
    answer.sas = check_code_of(last);
    if (!answer.sas.empty()) rest = trim(rest.substr(0, rest.size() - last.size()));
    answer.number = rest;
    const bool takes_code = answer.letter == 'a' || answer.letter == 'r';
    if (answer.number.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
    if (!answer.sas.empty() && !takes_code) return std::nullopt;
    return answer;
}

void PairingPrompt::line(std::string_view text) {
    asking_ = false;  // the line end that was typed has left the question's line
    const std::string_view word = trim(text);
    if (word == "quit" || word == "q") return actions_.quit();
    if (word == "list" || word == "l") {
        list();
    } else if (const std::string sas = check_code_of(word); !sas.empty()) {
        answer_by_code(sas);
    } else if (const auto typed = parse(word)) {
        answer(*typed);
    } else if (!word.empty()) {
        say(usage);
    }
    ask();
}

}  // namespace ctrlexec
