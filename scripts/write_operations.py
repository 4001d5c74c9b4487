"""Write the operations of the OpenAPI document that the command line calls the gateway by.

`--check` only compares, and ends with 1 when the file is out of date.
"""

import json
import sys
from pathlib import Path

from api.main import create_app
from runtime.settings import Settings

FILE = Path(__file__).parents[1] / "cli" / "connection" / "operations.json"
METHODS = ("get", "post", "put", "patch", "delete")


def render() -> str:
    """The table as JSON, one operation on a line, sorted by their ids."""
    settings = Settings.model_validate(
        {"database_url": "postgresql://perdure@localhost/perdure", "jwt_secret": "x" * 32}
    )
    table = {
        operation["operationId"]: {
            "method": method.upper(),
            "path": path,
            "query": [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"],
            "has_body": "requestBody" in operation,
        }
        for path, item in create_app(settings).openapi()["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }
    lines = [f"{json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    if "--check" not in sys.argv:
        FILE.write_text(render(), encoding="utf-8")
    elif FILE.read_text(encoding="utf-8") != render():
        sys.exit(f"{FILE.name} is out of date; run `python scripts/write_operations.py`.")
