"""An example of every operation that works as it is pasted, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

BASE_URL = "http://127.0.0.1:8000"
RECORD_ID = "rec_01kb2v3f7m2k9d4q8t6x0z1c5e"
PREDICTION_ID = "pred_01kb2v3f7m2k9d4q8t6x0z1c5e"
DATASET_ID = "ds_01kb2v3f7m2k9d4q8t6x0z1c5e"
FINE_TUNE_ID = "ft_01kb2v3f7m2k9d4q8t6x0z1c5e"
IMPORT_ID = "imp_01kb2v3f7m2k9d4q8t6x0z1c5e"

PARAMETERS: dict[str, Any] = {
    "record_id": RECORD_ID,
    "prediction_id": PREDICTION_ID,
    "dataset_id": DATASET_ID,
    "import_id": IMPORT_ID,
    "fine_tune_id": FINE_TUNE_ID,
    "name": "ecgbert-beats",
    "number": 1,
}
_JSON = "-H 'Content-Type: application/json' -d"
_RECORD = "-F file=@examples/208_excerpt.hea -F file=@examples/208_excerpt.dat"

# what follows `curl`, beside the address: for operations that need more than their path
ARGUMENTS: dict[tuple[str, str], str] = {
    ("post", "/v1/records"): _RECORD,
    ("post", "/v1/predict/beats"): _RECORD,
    ("post", "/v1/predict/afib-5y"): _RECORD,
    ("post", "/v1/predictions"): (
        f"-H 'Prefer: wait=30' {_JSON} "
        f"""'{{"record_id": "{RECORD_ID}", "task": "beats"}}'"""
    ),
    ("post", "/v1/predictions/batch"): (
        f"""{_JSON} '{{"record_ids": ["{RECORD_ID}"], "task": "beats"}}'"""
    ),
    ("post", "/v1/fine-tunes"): (
        f"""{_JSON} '{{"task": "beats", "dataset_id": "{DATASET_ID}", "base": "ecgbert-beats", """
        """"hyperparameters": {"epochs": 3}, "name": "ward-3-beats"}'"""
    ),
    ("get", "/v1/fine-tunes/{fine_tune_id}/events"): "-N",
    ("post", "/v1/fine-tunes/{fine_tune_id}/resume"): f"""{_JSON} '{{"epochs": 5}}'""",
    ("post", "/v1/datasets"): (
        f"""{_JSON} '{{"name": "ward 3", "task": "beats", "record_ids": ["{RECORD_ID}"]}}'"""
    ),
    ("get", "/v1/predictions/{prediction_id}/annotations.zip"): "-o annotations.zip",
    ("get", "/v1/predictions/{prediction_id}/events"): "-N",
    ("get", "/v1/predictions/{prediction_id}/record"): "-o labelled.edf",
    ("get", "/v1/predictions/{prediction_id}/report.pdf"): "-o report.pdf",
    ("get", "/v1/records/{record_id}/download"): "-o record.zip",
    (
        "post",
        "/v1/models/{name}/versions/{number}/calibration",
    ): f"""{_JSON} '{{"threshold": 0.3}}'""",
    ("post", "/v1/models/import"): "-F file=@wcr_afib_5y.pt -F task=afib-5y",
    ("get", "/v1/models/imports/{import_id}/events"): "-N",
    ("get", "/v1/models/{name}/versions/{number}/download"): "-o model.zip",
}
QUERIES: dict[tuple[str, str], str] = {
    ("get", "/v1/records"): "?limit=20",
    ("get", "/v1/records/{record_id}/signal"): "?start_s=0&end_s=10&max_points=2000",
    ("get", "/v1/records/{record_id}/download"): "?format=wfdb",
    ("get", "/v1/audit"): "?limit=20",
    ("get", "/v1/fine-tunes"): "?status=running&limit=20",
    ("get", "/v1/datasets"): "?task=beats&limit=20",
    ("get", "/v1/predictions"): "?status=succeeded&limit=20",
    ("get", "/v1/predictions/{prediction_id}/record"): "?format=edf",
    ("get", "/v1/predictions/{prediction_id}/report.pdf"): "?start_s=0",
}


def add_examples(document: dict[str, Any]) -> None:
    """A command in each operation's description, and a value for each part of its path."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            command = command_for(method, path)
            said = operation.get("description", "")
            operation["description"] = f"{said}\n\n```sh\n{command}\n```".strip()
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["example"] = PARAMETERS[parameter["name"]]


def command_for(method: str, path: str) -> str:
    """The `curl` command of one operation."""
    arguments = ARGUMENTS.get((method, path), "")
    verb = {"get": "", "post": "" if arguments else "-X POST"}.get(method, f"-X {method.upper()}")
    address = BASE_URL + path.format(**PARAMETERS) + QUERIES.get((method, path), "")
    quoted = f"'{address}'" if "?" in address else address
    return " ".join(part for part in ("curl", verb, arguments, quoted) if part)
