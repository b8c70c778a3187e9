"""The families that the tests in `tests/families` walk over; a new family is one line here and a builder."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TinyFamily:
    """One model family and the function that writes its tiny checkpoint."""

    #: The name in the table of families; also the name of the checkpoint's folder.
    name: str
    #: "module:function"; the function takes a folder, writes a checkpoint there and returns the folder.
    build: str
    #: How many images one prompt may hold; 0 for text-only decoders.
    max_images: int
    #: A package without which the family cannot be loaded, such as "torchvision".
    needs: str = ""
    #: Whether the rectangles come from the family's own rule; False where they are guessed.
    has_rule: bool = True
    #: Whether an image alone is cut up in another way than among others.
    differs_alone: bool = False

    def write(self, folder: Path) -> Path:
        """Build the checkpoint in `folder`."""
        module, _, name = self.build.partition(":")
        builder: Callable[[Path], Path] = getattr(importlib.import_module(module), name)
        return builder(folder)


_HERE = "attnviz_video.testing.families"

#: Name to family, in the order of the table in docs/families.md.
TINY_FAMILIES: dict[str, TinyFamily] = {
    family.name: family
    for family in (
        TinyFamily("Qwen2-VL", f"{_HERE}.qwen:build_qwen2_vl", 2),
        TinyFamily("Qwen2.5-VL", f"{_HERE}.qwen:build_qwen2_5_vl", 2),
        TinyFamily("Qwen3-VL", f"{_HERE}.qwen:build_qwen3_vl", 2),
        TinyFamily("LLaVA-1.5", f"{_HERE}.llava:build_llava", 2),
        TinyFamily("LLaVA-NeXT", f"{_HERE}.llava_next:build_llava_next", 2),
        TinyFamily("LLaVA-OneVision", f"{_HERE}.onevision:build_onevision", 2, differs_alone=True),
        TinyFamily("InternVL", f"{_HERE}.internvl:build_internvl", 2),
        TinyFamily("Aya Vision", f"{_HERE}.cohere:build_aya_vision", 2),
        TinyFamily("Cohere2 Vision", f"{_HERE}.cohere:build_cohere2_vision", 2, needs="torchvision"),
        TinyFamily("Idefics3", f"{_HERE}.idefics3:build_idefics3", 2),
        TinyFamily("SmolVLM2", f"{_HERE}.idefics3:build_smolvlm", 2),
        TinyFamily("Qwen3.5", f"{_HERE}.qwen3_5:build_qwen3_5", 2),
        TinyFamily("GLM-4V", f"{_HERE}.glm4v:build_glm4v", 2),
        TinyFamily("Gemma 3", f"{_HERE}.gemma3:build_gemma3", 2),
        TinyFamily("Gemma 4", f"{_HERE}.gemma4:build_gemma4", 2),
        TinyFamily("PaliGemma", f"{_HERE}.paligemma:build_paligemma", 1),
        TinyFamily("Pixtral", f"{_HERE}.pixtral:build_pixtral", 2),
        TinyFamily("Mistral 3", f"{_HERE}.pixtral:build_mistral3", 2),
        TinyFamily("Mllama", f"{_HERE}.mllama:build_mllama", 2),
        TinyFamily("Qwen2 (text)", f"{_HERE}.text_only:build_qwen2", 0),
        TinyFamily("GPT-2 (text, base)", f"{_HERE}.text_only:build_gpt2", 0),
        TinyFamily("Llama (text, base)", f"{_HERE}.text_only:build_llama", 0),
        TinyFamily("ViP-LLaVA (no rule)", f"{_HERE}.llava:build_vipllava", 2, has_rule=False),
    )
}
