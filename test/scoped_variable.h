// One variable of this process's environment, for a test.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace ctrlexec::testing {

// Sets or clears it and puts the old value back.
class ScopedVariable {
  public:
    ScopedVariable(std::string name, const char* value) : name_(std::move(name)) {
        if (const char* const before = std::getenv(name_.c_str())) before_ = before;
        set(value);
    }
    ScopedVariable(std::string name, const std::string& value)
        : ScopedVariable(std::move(name), value.c_str()) {}
    ScopedVariable(const ScopedVariable&) = delete;
    ScopedVariable& operator=(const ScopedVariable&) = delete;
    ~ScopedVariable() { set(before_ ? before_->c_str() : nullptr); }

  private:
    void set(const char* value) {
        value == nullptr ? ::unsetenv(name_.c_str()) : ::setenv(name_.c_str(), value, 1);
    }
    std::string name_;
    std::optional<std::string> before_;
};

}  // namespace ctrlexec::testing
