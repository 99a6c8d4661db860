"""Makes a C++ file that holds a text file as a string view. Arguments: version, input, output, variable.

JSON is made compact. Of an HTML page a second string holds its Content-Security-Policy: nothing but the page's own
style and script, known by their hashes, and calls to the server it came from.
"""

import base64
import hashlib
import json
import pathlib
import re
import sys


def policy_of(page):
    def hashes(element):
        found = re.findall(rf"<{element}>(.*?)</{element}>", page, re.S)
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in found)

    return (f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


def variable(name, text):
    pieces = [text[i:i + 4000] for i in range(0, len(text), 4000)]  # compilers need not take longer literals
    literals = "\n".join(f'    R"__({piece})__"' for piece in pieces)
    return f"extern const std::string_view {name};\nconstinit const std::string_view {name} =\n{literals};\n"


version, source, target, name = sys.argv[1:]
content = pathlib.Path(source).read_text().replace("@VERSION@", version)
variables = ""
if source.endswith(".json"):
    content = json.dumps(json.loads(content), separators=(",", ":"))
else:
    variables = variable(name + "_policy", policy_of(content))
variables = variable(name, content) + variables
pathlib.Path(target).write_text(f"#include <string_view>\n\nnamespace ctrlexec {{\n{variables}}}  // namespace ctrlexec\n")
