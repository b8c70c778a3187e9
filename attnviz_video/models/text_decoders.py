"""Decoders that read text only: which model types they are, and what stands in for their processor."""

from __future__ import annotations

from typing import Any

from attnviz_video.models.hub_library import transformers

#: What a base model without a chat template is asked: the bare text, with the tokens its tokenizer adds by itself.
_BARE_TEXT = "{{ messages[0]['content'] }}"


def reads_text_only(model_type: str) -> bool:
    """Whether models of this type are text decoders: they continue text, and take neither images nor speech.

    Encoders with a head for continuing text (BERT) and encoder-decoder models are not.
    """
    names = transformers.models.auto.modeling_auto
    others = (
        names.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        names.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        names.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        names.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
    )
    return model_type in names.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not any(model_type in other for other in others)


class TextProcessor:
    """A tokenizer behind the part of a processor's interface that writing a prompt needs."""

    image_processor = None

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.chat_template: Any = tokenizer.chat_template or _BARE_TEXT

    def apply_chat_template(
        self, conversation: list[dict[str, Any]], *, tokenize: bool, add_generation_prompt: bool, **more: Any
    ) -> Any:
        """The conversation as text, or as the tokenizer's outputs; templates of text models take plain strings.

        Raises:
            ValueError: a turn that a base model cannot be given.
        """
        messages = [{**turn, "content": _plain(turn["content"])} for turn in conversation]
        if self.chat_template != _BARE_TEXT:
            return self.tokenizer.apply_chat_template(
                messages,
                chat_template=self.chat_template,
                tokenize=tokenize,
                add_generation_prompt=add_generation_prompt,
                **more,
            )
        if [turn["role"] for turn in messages] != ["user"]:
            raise ValueError("a base model is given one text, not turns")
        text = messages[0]["content"]
        return self.tokenizer([text], return_tensors=more.get("return_tensors")) if tokenize else text


def _plain(content: Any) -> str:
    """The text of a turn whose content is a list of parts."""
    return content if isinstance(content, str) else "".join(part["text"] for part in content if part["type"] == "text")
