"""How the next token is chosen: the checkpoint's own generation configuration, with sampling as the user asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.errors import UsageError

#: Values at which a sampling filter does nothing; None would be filled in again from the checkpoint's configuration.
_NO_FILTER: dict[str, object] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "min_p": None,
    "top_h": None,
}
#: Greedy decoding looks at none of them; these values keep transformers from warning about that.
_UNUSED_FILTER: dict[str, object] = {**_NO_FILTER, "top_k": 50}
#: One sequence, one token after another, nothing kept but what we keep, and a cache that grows with the text.
_ONE_BY_ONE: dict[str, object] = {
    "num_beams": 1,
    "num_return_sequences": 1,
    "use_cache": True,
    "cache_implementation": "dynamic",
    "disable_compile": True,
    "prefill_chunk_size": None,
    "prompt_lookup_num_tokens": None,
    "return_dict_in_generate": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "output_logits": False,
}


#: The library's names for the ways of generating that can be recorded.
_ONE_TOKEN_AFTER_ANOTHER = ("greedy_search", "sample")
#: What a configuration says about itself, and what is set aside here.
_BOOK_KEEPING = ("max_length", "transformers_version", "_from_model_config")


def check_decoding(settings: CaptureSettings) -> None:
    """Refuse what no model can do, before one is loaded.

    Raises:
        UsageError: a number is out of its range.
    """
    if settings.max_new_tokens < 0:
        raise UsageError(f"--max_new_tokens {settings.max_new_tokens}: give 0 or more")
    if settings.do_sample and settings.temperature <= 0:
        raise UsageError(f"--temperature {settings.temperature:g}: give more than 0, or leave out --do_sample")
    if not 0 < settings.top_p <= 1:
        raise UsageError(f"--top_p {settings.top_p:g}: give more than 0, at most 1")
    if settings.top_k < 0:
        raise UsageError(f"--top_k {settings.top_k}: give 0 (all tokens) or more")
    if not 0 <= settings.seed < 2**63:
        raise UsageError(f"--seed {settings.seed}: give 0 or more")


def generation_arguments(own: Any, settings: CaptureSettings) -> dict[str, object]:
    """Arguments of the library's `generate`, for a model whose `GenerationConfig` is `own`.

    Only sampling and how the library works inside are set; what shapes the text otherwise (repetition penalty,
    suppressed tokens, end tokens) stays as the checkpoint has it, so that the text is the one `generate` gives anyway.
    They are given one by one: in a configuration object, older versions take a value that equals the library's
    default for unset and put the checkpoint's in its place.

    Raises:
        UsageError: the configuration asks for more than one token after another (beams, assistants …).
    """
    mode = str(own.get_generation_mode().value)
    if mode not in _ONE_TOKEN_AFTER_ANOTHER:
        raise UsageError(
            f"the model's generation configuration asks for {mode.replace('_', ' ')}, in which a token has no row of "
            "its own; let the model answer without recording, and replay the text with --response or --response_field"
        )
    chosen: dict[str, object] = {**_UNUSED_FILTER, "do_sample": False}
    if settings.do_sample:
        asked = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
        chosen = {**_NO_FILTER, **asked, "do_sample": True}
    wanted = {**chosen, **_ONE_BY_ONE, "max_new_tokens": settings.max_new_tokens}
    # An argument that a version does not know would be taken for an input of the model.
    return {name: value for name, value in wanted.items() if hasattr(own, name)}


def end_tokens(own: Any) -> frozenset[int]:
    """Ids that end the answer, by the model's `GenerationConfig`."""
    ids = own.eos_token_id
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)


def settings_record(own: Any, settings: CaptureSettings) -> Mapping[str, object]:
    """What the answer was generated with, as JSON: everything needed to do it again."""
    record: dict[str, object] = {
        "max_new_tokens": settings.max_new_tokens,
        "do_sample": settings.do_sample,
        "seed": settings.seed,
        "repetition_penalty": 1.0 if own.repetition_penalty is None else own.repetition_penalty,
        "eos_token_id": sorted(end_tokens(own)),
    }
    if settings.do_sample:
        record |= {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
    else:
        record |= {"temperature": None, "top_p": None, "top_k": None}
    ours = {*record, *_ONE_BY_ONE, *_NO_FILTER, *_BOOK_KEEPING}
    others = {key: value for key, value in own.to_diff_dict().items() if key not in ours and value is not None}
    return record | {"checkpoint": json.loads(json.dumps(others, default=str))}
