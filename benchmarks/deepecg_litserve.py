"""The same network behind LitServe, for benchmarks.deepecg_serving: checkpoint, port."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import torch

from services.models.deepecg.checkpoint import network_from, read_checkpoint
from services.models.deepecg.inference import WindowLogits

GPU_BATCH = 64


class RiskApi(litserve.LitAPI):
    """npy bytes of one window -> its logit."""

    def setup(self, device: Any) -> None:
        network = network_from(read_checkpoint(Path(sys.argv[1])))
        self.logits = WindowLogits(network, device=str(device))

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # it reads annotations
        return np.load(io.BytesIO(request["window"].file.read()), allow_pickle=False)

    def predict(self, x: Any) -> Any:
        windows = np.stack(x) if isinstance(x, list) else x[None]
        found = self.logits(windows).tolist()
        return found if isinstance(x, list) else found[0]

    def encode_response(self, output: Any) -> Any:
        return {"logit": output}


def main() -> None:
    on_gpu = torch.cuda.is_available()
    batch = {"max_batch_size": GPU_BATCH, "batch_timeout": 0.002} if on_gpu else {}
    server = litserve.LitServer(
        RiskApi(**batch),
        accelerator="cuda" if on_gpu else "cpu",
        workers_per_device=1 if on_gpu else 2,
        timeout=600,
    )
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)


if __name__ == "__main__":
    main()
