"""Steps 1 to 3 in the reference mode against the original's own values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import wfdb

from services.models.ecgbert.guide.sentences import stored_sentences
from services.models.ecgbert.public.cluster_files import clusters_at
from services.models.ecgbert.stages.preprocessing import preprocess
from services.models.ecgbert.stages.segmentation import read_waves, segment
from services.models.ecgbert.stages.sentences import sentence_files, write_sentences
from services.models.ecgbert.stages.settings import PARTS, Mode
from services.models.ecgbert.stages.survey import surveyed
from tests.services.models.ecgbert.shared_files import CLUSTERS, REFERENCE, needs_reference
from tests.services.models.ecgbert.stages.made_dataset import ALONE, run_in

RECORDS = ("100", "119", "207")


def write_golden_record(folder: Path, name: str) -> None:
    """The first minute as the golden files have it, as a record of its own."""
    with np.load(REFERENCE / f"golden_{name}.npz") as golden:
        n_leads = golden["adc"].shape[1]
        wfdb.wrsamp(
            name,
            fs=360,
            units=["mV"] * n_leads,
            sig_name=golden["lead_names"].tolist(),
            d_signal=golden["adc"].astype(np.int64),
            fmt=["16"] * n_leads,
            adc_gain=golden["gain"].tolist(),
            baseline=golden["baseline"].astype(int).tolist(),
            write_dir=str(folder),
        )
        wfdb.wrann(
            name,
            "atr",
            golden["annotation_sample"],
            golden["annotation_symbol"].tolist(),
            write_dir=str(folder),
        )


@needs_reference
def test_every_stored_value_is_the_original_s(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in RECORDS:
        write_golden_record(data, name)
    run = run_in(tmp_path, mode=Mode.REFERENCE)
    prepared = preprocess(surveyed(data, ALONE), run)
    segment(prepared, run)
    write_sentences(prepared, run, clusters=clusters_at(CLUSTERS), granularity="wave")
    files = [file for part in PARTS for file in sentence_files(run.task, part)]
    sentences = {stored_sentences(file).record: stored_sentences(file) for file in files}
    assert set(sentences) == set(RECORDS)
    for record in prepared.records:
        with np.load(REFERENCE / f"golden_{record.name}.npz") as golden:
            signal = prepared.signal(record)
            np.testing.assert_allclose(signal.T, golden["preprocessed"], rtol=0, atol=1e-9)
            waves = read_waves(run.task.segmentation, prepared, record)
            for number, lead in enumerate(waves):
                np.testing.assert_array_equal(lead.r_peaks, golden[f"lead{number}_rpeaks"])
                sentence = sentences[record.name].leads[number]
                for ours, theirs in ((sentence.tokens, "tokens"), (sentence.label, "token_label")):
                    np.testing.assert_array_equal(ours, golden[f"lead{number}_{theirs}"])
                means = golden[f"lead{number}_segment_mean"]
                np.testing.assert_allclose(sentence.signal, means, rtol=1e-6, atol=1e-6)
                for name in ("p", "qrs", "t", "bg"):
                    file = run.task.segmentation / name
                    prefix = f"Beats_{record.part}_{record.place}_{name}_segments.npz"
                    with np.load(file / prefix) as borders:
                        np.testing.assert_array_equal(
                            borders[f"lead{number}"], golden[f"lead{number}_segments_{name}"]
                        )
