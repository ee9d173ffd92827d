"""Write every generated file, or with `--check` say which one differs and fail.

.venv/bin/python hack/generate.py [--check]
"""

import argparse
import difflib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dashboards
import modelschema
import yaml
from chartreadme import readme
from chartschema import values_schema
from clireference import cli_reference
from conditionsreference import conditions_reference
from configreference import configuration_reference
from gemma_operator.api.crd import crd
from gemma_operator.api.reference import reference
from gemma_operator.catalog.hardware_table import hardware_table
from gemma_operator.catalog.load import load_catalog
from metricsreference import metrics_reference
from release.version import chart_file

ROOT = Path(__file__).resolve().parent.parent
CHART_CRD_HEAD = """{{- if .Values.crds.enabled }}
"""
CHART_CRD_ANNOTATIONS = """  annotations:
    {{- if .Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
    {{- with .Values.crds.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "gemma4-stack.labels" . | nindent 4 }}
"""


class _Dumper(yaml.SafeDumper):
    """Indents list items, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def as_yaml(document: Any) -> str:
    """`document` as YAML in its own order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def json_text(document: Any) -> str:
    """`document` as JSON that people can read."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def crd_file() -> str:
    """`crds/gemmadeployments.yaml`."""
    return "# Made by `make manifests`; do not edit.\n" + as_yaml(crd())


def chart_crd_file() -> str:
    """The chart's copy of the CRD, with the switches that a chart needs."""
    document = crd()
    name = document["metadata"]["name"]
    text = as_yaml({key: value for key, value in document.items() if key != "metadata"})
    head, spec = text.split("spec:\n", 1)
    if "{{" in text:
        raise ValueError("the CRD holds {{, which Helm would take for a template")
    metadata = f"metadata:\n  name: {name}\n{CHART_CRD_ANNOTATIONS}"
    return f"{CHART_CRD_HEAD}# Made by `make manifests`; do not edit.\n{head}{metadata}spec:\n{spec}{{{{- end }}}}\n"


GENERATED: dict[str, Callable[[], str]] = {
    "crds/gemmadeployments.yaml": crd_file,
    "charts/gemma4-stack/templates/crds/gemmadeployments.yaml": chart_crd_file,
    "charts/gemma4-stack/Chart.yaml": lambda: chart_file(ROOT / "charts" / "gemma4-stack"),
    "charts/gemma4-stack/values.schema.json": lambda: json_text(values_schema()),
    "charts/gemma4-stack/README.md": lambda: readme(ROOT / "charts" / "gemma4-stack"),
    "charts/gemma4-stack/files/dashboards/fleet.json": dashboards.fleet,
    "charts/gemma4-stack/files/dashboards/deployment.json": dashboards.deployment,
    "charts/gemma4-models/Chart.yaml": lambda: chart_file(ROOT / "charts" / "gemma4-models"),
    "charts/gemma4-models/values.schema.json": lambda: json_text(modelschema.values_schema()),
    "charts/gemma4-models/README.md": lambda: readme(ROOT / "charts" / "gemma4-models"),
    "docs/hardware.md": lambda: hardware_table(load_catalog()),
    "docs/reference/api.md": reference,
    "docs/reference/cli.md": cli_reference,
    "docs/reference/conditions.md": conditions_reference,
    "docs/reference/configuration.md": configuration_reference,
    "docs/reference/metrics.md": metrics_reference,
}
"""Every generated file and what makes its text."""


def main(arguments: list[str] | None = None) -> int:
    """0 when all files are as they should be, 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(description="Write every generated file.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file differs")
    check = parser.parse_args(arguments).check
    wrong = False
    for name, make in GENERATED.items():
        path, text = ROOT / name, make()
        present = path.read_text() if path.exists() else ""
        if present == text:
            continue
        wrong = True
        if check:
            print(f"{name} is not up to date: run `make manifests` and commit it")
            difference = difflib.unified_diff(
                present.splitlines(), text.splitlines(), name, "generated", lineterm="", n=1
            )
            print("\n".join(list(difference)[:40]))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {name}")
    return 1 if check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
