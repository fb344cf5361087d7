"""From a published file to a model folder, from there to a risk."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from services.ecg.record import EcgRecord, FloatArray
from services.errors import Cancelled, MalformedInput, Unavailable, UnusableInput
from services.models.deepecg.family import FAMILY
from services.models.deepecg.importing import import_classifier, sha256_of
from services.models.deepecg.inference import (
    SYNTHETIC_NOTE,
    RiskPredictor,
    WindowLogits,
    harmless_ways,
)
from services.models.results import RiskResult
from services.training.progress import NoProgress
from tests.services.models.deepecg.small import (
    SMALL,
    base_tensors,
    classifier_tensors,
    saved,
    small_network,
    twelve_lead_record,
)


def trained_tensors() -> dict[str, torch.Tensor]:
    """Weights that do not look drawn: heavy-tailed matrices, norms that have moved."""
    tensors = classifier_tensors(small_network())
    generator = torch.Generator().manual_seed(0)
    for name, tensor in tensors.items():
        if name.endswith((".fc1.weight", ".fc2.weight")):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) ** 3 * 0.05)
        if name.endswith("layer_norm.weight"):
            tensor += 0.1
    return tensors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    file = saved(tmp_path / "wcr_afib_5y.pt", trained_tensors())
    import_classifier(file, into=tmp_path / "model", config=SMALL)
    return tmp_path / "model"


def change_card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | changes))


def load(folder: Path) -> RiskPredictor:
    return FAMILY.load(folder, device="cpu")


def predicted(predictor: RiskPredictor, record: EcgRecord, **options: Any) -> RiskResult:
    return predictor.predict(record, options=options, progress=NoProgress())


def test_an_import_keeps_where_the_weights_are_from(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())

    assert (card["family"], card["task"], card["synthetic"]) == ("deepecg", "afib-5y", False)
    assert card["source"]["sha256"] == sha256_of(folder.parent / "wcr_afib_5y.pt")
    assert card["source"]["layout"] == "classifier"
    assert (card["input"]["sampling_rate_hz"], card["input"]["window_s"]) == (250.0, 10.0)
    assert "250 Hz" in card["input"]["evidence"]
    assert card["threshold"]["value"] == 0.231


def test_the_risk_is_the_sigmoid_of_the_networks_logit(folder: Path) -> None:
    record = twelve_lead_record()
    network = small_network()
    network.load_state_dict(trained_tensors())
    with torch.inference_mode():
        logit = network(torch.from_numpy(record.signal[None])).item()
    result = predicted(load(folder), record)

    assert result.logit == pytest.approx(logit, abs=1e-5)
    assert result.risk == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
    assert result.window_risk.tolist() == [result.risk]
    assert (result.threshold, result.calibrated) == (0.231, False)
    assert result.label == ("high" if result.risk >= 0.231 else "low")
    assert any("0.231" in note for note in result.notes)
    assert any("calibration: none" in note for note in result.notes)


def test_a_records_logit_is_the_mean_of_its_windows(folder: Path) -> None:
    predictor = load(folder)
    long = twelve_lead_record(duration_s=30.0)
    parts = [
        EcgRecord(
            signal=long.signal[:, first : first + 2500],
            lead_names=long.lead_names,
            sampling_rate_hz=250.0,
        )
        for first in (0, 2500, 5000)
    ]
    alone = [predicted(predictor, part) for part in parts]
    result = predicted(predictor, long)

    assert result.window_start_s.tolist() == [0.0, 10.0, 20.0]
    assert result.window_risk.tolist() == [part.risk for part in alone]
    assert result.logit == pytest.approx(np.mean([part.logit for part in alone]), abs=1e-12)


def test_the_same_bytes_give_the_same_answer_alone_and_among_others(folder: Path) -> None:
    predictor = load(folder)
    windows = np.stack([twelve_lead_record(seed=seed).signal for seed in range(12)])
    together = predictor.window_logits(windows)
    shuffled = predictor.window_logits(windows[::-1])[::-1]
    alone = [predictor.window_logits(window[None])[0] for window in windows]

    assert len(set(together.tolist())) == 12
    assert together.tolist() == shuffled.tolist() == alone
    assert load(folder).window_logits(windows).tolist() == alone


def test_many_requests_at_once_each_get_the_answer_that_they_get_alone(folder: Path) -> None:
    predictor = load(folder)
    records = [
        twelve_lead_record(seed=seed, duration_s=10.0 + 10 * (seed % 3)) for seed in range(24)
    ]
    alone = [predicted(predictor, record).window_risk.tolist() for record in records]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda record: predicted(predictor, record), records))
    assert [result.window_risk.tolist() for result in together] == alone


@pytest.mark.parametrize("most", [4, 64])
def test_batch_mates_do_not_change_a_logit(folder: Path, most: int) -> None:
    """As on a GPU, where windows of all requests share a batch."""
    network = small_network()
    network.load_state_dict(trained_tensors())
    batched, single = (WindowLogits(network, device="cpu", most=n) for n in (most, 1))
    windows = np.stack([twelve_lead_record(seed=seed).signal for seed in range(40)])
    windows[7] *= 1000.0  # an extreme one among them
    expected = single(windows)
    with ThreadPoolExecutor(8) as pool:
        found = np.concatenate(list(pool.map(lambda at: batched(windows[at : at + 1]), range(40))))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(batched(windows), expected, atol=1e-5)
    assert max(batched.batches.sizes) == min(most, 40)


@pytest.mark.parametrize(("changes_from", "expected"), [(2, 1), (3, 2), (5, 4), (9, 4)])
def test_windows_share_a_lane_only_as_far_as_that_changes_nothing(
    changes_from: int, expected: int
) -> None:
    def compute(windows: list[FloatArray]) -> list[float]:
        moved = 1e-7 if len(windows) >= changes_from else 0.0
        return [float(window[0, 0]) + moved for window in windows]

    assert harmless_ways(compute, 2500, most=4) == (expected, True)


def test_a_window_has_all_processors_only_if_that_changes_nothing() -> None:
    def compute(windows: list[FloatArray]) -> list[float]:
        moved = 1e-7 * (torch.get_num_threads() > 1)
        return [float(window[0, 0]) + moved for window in windows]

    before = torch.get_num_threads()
    torch.set_num_threads(2)  # of this thread; lanes keep to one
    try:
        assert harmless_ways(compute, 2500, most=4) == (4, False)
    finally:
        torch.set_num_threads(before)


def test_calibration_and_threshold_are_the_versions_own(folder: Path) -> None:
    record = twelve_lead_record()
    before = predicted(load(folder), record)
    change_card(
        folder,
        threshold={"value": 0.9, "source": "set by this site"},
        calibration={"method": "platt", "slope": 2.0, "intercept": 1.0, "recordings": 321},
    )
    after = predicted(load(folder), record)

    assert after.logit == before.logit
    assert after.risk == pytest.approx(1 / (1 + np.exp(-(2 * after.logit + 1))))
    assert after.calibrated
    assert after.threshold == 0.9
    assert "threshold 0.9: set by this site" in after.notes
    assert "calibration: Platt, fitted on 321 recordings" in after.notes


def test_made_up_weights_are_never_called_a_risk(tmp_path: Path) -> None:
    told = saved(tmp_path / "told.pt", trained_tensors())
    drawn = saved(tmp_path / "drawn.pt", classifier_tensors(small_network()))
    import_classifier(told, into=tmp_path / "told", config=SMALL, synthetic=True)
    import_classifier(drawn, into=tmp_path / "drawn", config=SMALL)

    for name in ("told", "drawn"):
        assert json.loads((tmp_path / name / "card.json").read_text())["synthetic"] is True
        assert SYNTHETIC_NOTE in predicted(load(tmp_path / name), twelve_lead_record()).notes


def test_the_pretraining_file_is_no_risk_model(tmp_path: Path) -> None:
    file = saved(tmp_path / "base_ssl.pt", base_tensors(small_network()))

    with pytest.raises(UnusableInput, match="has no head and gives no risk"):
        import_classifier(file, into=tmp_path / "model", config=SMALL)
    assert not (tmp_path / "model").exists()


def test_the_reference_option_prepares_as_published(folder: Path) -> None:
    predictor, record = load(folder), twelve_lead_record()
    ours = predicted(predictor, record)
    published = predicted(predictor, record, preparation="reference")

    assert published.logit != ours.logit
    assert any("published scaling" in note for note in published.notes)


@pytest.mark.parametrize("options", [{"preparation": "other"}, {"rpeaks": "ectopy"}])
def test_unknown_options_are_refused(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UnusableInput, match="options"):
        predicted(load(folder), twelve_lead_record(), **options)


def test_a_request_to_stop_is_heard_between_windows(folder: Path) -> None:
    class Stopping(NoProgress):
        asked = 0

        def check_cancelled(self) -> None:
            self.asked += 1
            if self.asked == 3:
                raise Cancelled("stopped")

    progress = Stopping()
    with pytest.raises(Cancelled):
        load(folder).predict(twelve_lead_record(duration_s=1800.0), options={}, progress=progress)
    assert progress.asked == 3


@pytest.mark.parametrize("name", ["weights.safetensors", "card.json"])
def test_a_folder_without_a_file_is_unavailable(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(Unavailable, match=name):
        load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"family": "ecgbert"},
        {"synthetic": "no"},
        {"threshold": {"value": 2}},
        {"threshold": None},
        {"architecture": {**SMALL.as_card(), "width": 1e9}},
        {"architecture": {**SMALL.as_card(), "run": "this"}},
        {"architecture": {**SMALL.as_card(), "width": 32}},
        {"input": {"leads": ["I"]}},
        {"calibration": {"method": "none"}},
    ],
)
def test_a_card_that_is_not_one_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    change_card(folder, **changes)

    with pytest.raises(MalformedInput, match=r"card\.json|weights\.safetensors"):
        load(folder)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    raw = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(raw[:-10])

    with pytest.raises(MalformedInput, match=r"weights\.safetensors"):
        load(folder)
