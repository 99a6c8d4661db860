"""Makes a C++ file that holds a JSON file, compact, as a string view. Arguments: version, input, output, variable."""

import json
import pathlib
import sys

version, source, target, variable = sys.argv[1:]
text = json.dumps(json.loads(pathlib.Path(source).read_text().replace("@VERSION@", version)), separators=(",", ":"))
pieces = [text[i:i + 8000] for i in range(0, len(text), 8000)]  # compilers need not take longer literals
literals = "\n".join(f'    R"__({piece})__"' for piece in pieces)
pathlib.Path(target).write_text(f"""#include <string_view>

namespace ctrlexec {{
extern const std::string_view {variable};
constinit const std::string_view {variable} =
{literals};
}}  // namespace ctrlexec
""")
