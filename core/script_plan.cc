#include "core/script_plan.h"

#include <utility>

#include "core/script_environment.h"

namespace ctrlexec {
namespace {

void set_user_variables(std::vector<std::string>& environment, const Credentials& credentials) {
    if (credentials.home.empty()) return;  // only the group is another one
    set_variable(environment, "HOME=" + credentials.home);
    if (credentials.user.empty()) return;
    set_variable(environment, "USER=" + credentials.user);
    set_variable(environment, "LOGNAME=" + credentials.user);
}

}  // namespace

Result<SpawnPlan> plan_script(ApprovedProgram program, const ScriptSettings& settings) {
    SpawnPlan plan(std::move(program));
    plan.environment = script_environment();
    if (!settings.user.empty() || !settings.group.empty()) {
        TRY(plan.credentials, load_credentials(settings.user, settings.group));
        set_user_variables(plan.environment, *plan.credentials);
    }
    for (const std::string& variable : settings.environment) set_variable(plan.environment, variable);
    if (!settings.cwd.empty()) plan.directory = settings.cwd;
    plan.umask = settings.umask.value_or(plan.umask);
    plan.nice = settings.nice.value_or(plan.nice);
    return plan;
}

}  // namespace ctrlexec
