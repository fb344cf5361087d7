"""The guide's network with a head for beats; sentences lie packed, one behind the other.

Nothing is padded: chunks of any lengths follow one another in one (n_tokens, ...) array, and each
token attends to those of its window, which never spans two chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from services.ecg.record import IntArray
from services.errors import MalformedInput
from services.models.ecgbert import spec
from services.models.ecgbert.guide.attention import attended, dropped, window_bounds
from services.models.ecgbert.guide.sentences import Granularity
from services.models.ecgbert.reference.network import GuideNetwork
from services.models.ecgbert.reference.spec import HEAD_WIDTHS

EMBEDDING = ("token_embedding.", "positional_embedding.", "cnn_embedding.")
MASKED_TOKEN_OUTPUT = "fc."  # noqa: S105 - of pre-training; beats have no use for it


@dataclass(frozen=True)
class GuideConfig:
    """What is needed to build the network again; kept in the model card.

    n_outputs: 5 for N S V F Q, 1 for normal or abnormal. attention_window: tokens that attend to
    one another, 3,600 in the guide.
    """

    n_outputs: int = 5
    granularity: Granularity = "wave"
    attention_window: int = spec.CHUNK_TOKENS

    def as_card(self) -> dict[str, Any]:
        """For card.json."""
        return asdict(self)


class GuideClassifier(GuideNetwork):
    """Tokens and their signal -> class logits of every token.

    The published network without its masked-token output, and the guide's head (32 to 75, 75 to the
    classes, nothing between them) instead.
    """

    def __init__(self, config: GuideConfig) -> None:
        super().__init__()
        del self.fc
        self.config = config
        inner, outer = HEAD_WIDTHS
        self.head = nn.Sequential(nn.Linear(inner, outer), nn.Linear(outer, config.n_outputs))

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        found: torch.device = self.token_embedding.weight.device
        return found

    def forward(  # type: ignore[override]  # packed, where the parent takes one length a batch
        self, tokens: Tensor, signal: Tensor, lengths: Tensor
    ) -> Tensor:
        """Logits (n_tokens, n_outputs). tokens: ids, signal: mV, both (n_tokens,) packed.

        lengths: (n_chunks,) tokens of each chunk, at most 3,600.
        """
        return self.labelled(self.embedded_packed(tokens, signal, lengths), lengths)

    def embedded_packed(self, tokens: Tensor, signal: Tensor, lengths: Tensor) -> Tensor:
        """(n_tokens, 32). Chunks of one length go through the U-Net together."""
        sizes = lengths.tolist()
        ends = np.cumsum(sizes)
        out = torch.empty((len(tokens), spec.WIDTH), device=signal.device)
        for size in dict.fromkeys(sizes):
            places = [
                np.arange(end - size, end) for end, s in zip(ends, sizes, strict=True) if s == size
            ]
            at = torch.from_numpy(np.stack(places)).to(tokens.device)
            found = self.embedded(tokens[at].long(), signal[at].float())
            out = out.index_copy(0, at.flatten(), found.flatten(0, 1).to(out.dtype))
        return out

    def labelled(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Logits (n_tokens, n_outputs) from the embedding (n_tokens, 32)."""
        sizes = lengths.cpu().numpy()
        whole = self.config.attention_window
        bounds = (window_bounds(sizes, whole), window_bounds(sizes, whole, shifted=True))
        x = embedded
        for number, layer in enumerate(self.transformer.layers):
            x = self._through(layer, x, bounds[number % 2])
        out: Tensor = self.head(x)
        return out

    def _through(self, layer: nn.Module, x: Tensor, bounds: IntArray) -> Tensor:
        """One post-norm block, as torch's nn.TransformerEncoderLayer computes it."""
        attention: Any = layer.self_attn
        dropout = spec.DROPOUT if self.training else 0.0
        # the transposed product gives each number of a head a row, as the kernel reads them
        qkv = torch.addmm(attention.in_proj_bias[:, None], attention.in_proj_weight, x.T)
        mixed = attended(qkv, bounds, dropout=dropout)
        mixed = functional.linear(mixed.T, attention.out_proj.weight, attention.out_proj.bias)
        block: Any = layer
        x = block.norm1(x + dropped(mixed, dropout))
        hidden = dropped(functional.relu(block.linear1(x)), dropout)
        out: Tensor = block.norm2(x + dropped(block.linear2(hidden), dropout))
        return out


class FrozenEmbedding(nn.Module):
    """What is trained when the embedding is not: its output comes in, computed once."""

    def __init__(self, network: GuideClassifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Logits (n_tokens, n_outputs) from the embedding (n_tokens, 32)."""
        return self.network.labelled(embedded, lengths)


def started_from(network: GuideClassifier, tensors: Mapping[str, Tensor], *, head: bool) -> None:
    """Takes over a base's weights; its head too where `head` says so, else a new one stays.

    tensors: of a public start or of another model of this family, by name. Raises MalformedInput
    naming the first tensors that do not fit.
    """
    own = network.state_dict()
    wanted = [name for name in own if head or not name.startswith("head.")]
    missing = [name for name in wanted if name not in tensors]
    other = [name for name in wanted if name in tensors and tensors[name].shape != own[name].shape]
    if missing or other:
        raise MalformedInput(
            f"the base does not fit the network; missing: {', '.join(missing[:3]) or 'none'}; "
            f"of another shape: {', '.join(other[:3]) or 'none'} (vocabulary "
            f"{spec.VOCABULARY_SIZE}, width {spec.WIDTH}, {spec.LAYERS} layers)"
        )
    network.load_state_dict(own | {name: tensors[name] for name in wanted}, strict=True)
