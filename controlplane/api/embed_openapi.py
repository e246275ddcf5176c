"""openapi.yaml -> a C++ file that holds it as JSON. Usage: embed_openapi.py IN OUT"""
import json
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as source:
    text = json.dumps(yaml.safe_load(source), ensure_ascii=True, separators=(",", ":"))
# Adjacent literals of bounded length: escapes are easy to get right line by line.
lines = "\n".join('    "%s"' % text[i:i + 100].replace("\\", "\\\\").replace('"', '\\"') for i in range(0, len(text), 100))
with open(sys.argv[2], "w", encoding="utf-8") as target:
    target.write('#include "controlplane/api/resources.hpp"\n\nnamespace sluice::cp::api {\n\n'
                 "std::string_view openapi_json() noexcept {\n    return\n%s;\n}\n\n"
                 "}  // namespace sluice::cp::api\n" % lines)
