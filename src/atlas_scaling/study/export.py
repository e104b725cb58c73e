"""A trained model in Hugging Face's format: ``AutoModelForCausalLM`` and ``AutoTokenizer`` read it.

Two architectures of ``transformers`` are ours with nothing left over, so no code has to be shipped:
Starcoder2 (LayerNorm, GELU, rotary positions, one embedding) and, where the feed-forward is gated,
StableLM. Both have biases in their norms: zeros. They turn the halves of a head where we turn
neighbours, so rows of queries and keys change places. The tokenizer is SentencePiece's unigram
model written as a ``tokenizer.json``. Nothing here needs ``transformers``.

::

    DIR/config.json  generation_config.json  model.safetensors
    DIR/tokenizer.json  tokenizer_config.json  README.md
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save
from torch import Tensor

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError, RunError
from atlas_scaling.runs.record import RunRecord, TokenizerInfo
from atlas_scaling.runs.store import read_run
from atlas_scaling.runs.writer import cannot_write
from atlas_scaling.study.checkpoint import load_weights
from atlas_scaling.study.model import ROPE_BASE, Block, Transformer
from atlas_scaling.study.settings import ModelConfig
from atlas_scaling.study.tokenizer import CARD, UNK_ID, Tokenizer, open_tokenizer
from atlas_scaling.study.tokenizer_file import HUGGING_FACE, SentencePieceFile

NORM_EPSILON: Final = 1e-5  # PyTorch's own, of LayerNorm


@dataclass(frozen=True, slots=True)
class Exported(Answer):
    """What was written where. ``heads_added`` are empty ones that the format asks for."""

    run_id: str
    path: str
    architecture: str
    n_params: int
    heads_added: int


def export_run(run_dir: Path, output: Path, *, cache: Path) -> Exported:
    """Write the model that a run ended with, and its tokenizer, into the folder ``output``.

    Args:
        run_dir: of a run that is done.
        output: a new or empty folder.
        cache: where the tokenizer is looked for.

    Raises:
        InputError: there is no run, the folder holds something, the tokenizer is gone, or the
            format has no such shape.
        RunError: the run is not done, or something cannot be written.
    """
    record = read_run(run_dir).record
    if record is None:
        raise InputError(
            "this is no run directory: it has no run.json that can be read",
            value=str(run_dir),
            remedy="give one, such as STUDY/runs/RUN_ID",
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError("the folder to export to is not empty", value=str(output))
    config = ModelConfig.model_validate(record.model)
    heads_added = _heads_to_add(config)
    tokenizer = find_tokenizer(record.tokenizer, cache=cache)
    words = _tokenizer_files(tokenizer, config)
    model = Transformer(config, seed=0)
    load_weights(run_dir, model)
    described = _description(config, tokenizer.eos_id)
    try:
        output.mkdir(parents=True, exist_ok=True)
        weights = save(_weights(model, heads_added), {"format": "pt"})
        (output / "model.safetensors").write_bytes(weights)
        _write(output / "config.json", described)
        ends = {"bos_token_id": tokenizer.eos_id, "eos_token_id": tokenizer.eos_id}
        _write(output / "generation_config.json", ends)
        for name, content in words.items():
            (output / name).write_text(content, encoding="utf-8")
        (output / "README.md").write_text(_readme(record, run_dir), encoding="utf-8")
    except OSError as error:
        raise cannot_write(output, error) from None
    return Exported(
        run_id=record.run_id,
        path=str(output),
        architecture=described["architectures"][0],
        n_params=record.n_params,
        heads_added=heads_added,
    )


def find_tokenizer(info: TokenizerInfo, *, cache: Path) -> Tokenizer:
    """The tokenizer of a run record.

    Raises:
        InputError: the cache does not hold it.
    """
    for card in sorted((cache / "tokenizers").glob(f"*/{CARD}")):
        try:
            tokenizer = open_tokenizer(card.parent)
        except InputError:
            continue
        if tokenizer.info.sha256 == info.sha256:
            return tokenizer
    raise InputError(
        "the tokenizer of this run is not in the cache",
        value=info.name,
        where=str(cache / "tokenizers"),
        remedy="give the study's command again: it makes the tokenizer anew and trains nothing",
    )


def _tokenizer_files(tokenizer: Tokenizer, config: ModelConfig) -> dict[str, str]:
    """Names and contents of the tokenizer's files.

    Raises:
        InputError: it is a SentencePiece model of somebody else, of a kind we cannot know.
    """
    if tokenizer.file.suffix == HUGGING_FACE:
        content = tokenizer.file.read_text(encoding="utf-8")
        added = {one["id"]: one["content"] for one in json.loads(content)["added_tokens"]}
        named = {"eos_token": added.get(tokenizer.eos_id)}
    elif tokenizer.is_own:
        pieces = SentencePieceFile(tokenizer.file).pieces()
        content = _as_json(tokenizer_json(pieces, eos_id=tokenizer.eos_id))
        named = {"eos_token": pieces[tokenizer.eos_id][0], "unk_token": pieces[UNK_ID][0]}
    else:
        raise InputError(
            "a SentencePiece model that was not trained here cannot be exported",
            value=tokenizer.info.name,
            remedy="convert it to a tokenizer.json with transformers, and use that in the study",
        )
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.sequence_length,
        "clean_up_tokenization_spaces": False,
        **{name: piece for name, piece in named.items() if piece is not None},
    }
    return {"tokenizer.json": content, "tokenizer_config.json": _as_json(described)}


def tokenizer_json(pieces: Sequence[tuple[str, float]], *, eos_id: int) -> dict[str, Any]:
    """A SentencePiece unigram model with byte fallback as the library ``tokenizers`` has it.

    Spaces become ``▁`` and one is put in front, the most probable pieces are taken, what has none
    is cut into bytes.
    """
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": id_, "content": pieces[id_][0], "special": True, **special}
        for id_ in sorted({UNK_ID, eos_id})
    ]
    space = {"String": " "}, {"String": "▁"}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": space[0], "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": space[1], "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "Unigram",
            "unk_id": UNK_ID,
            "vocab": [list(piece) for piece in pieces],
            "byte_fallback": True,
        },
    }


def _description(config: ModelConfig, eos_id: int) -> dict[str, Any]:
    """``config.json``."""
    n_heads = config.n_heads + _heads_to_add(config)
    common = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.feed_forward,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_heads,
        "hidden_act": "gelu",
        "max_position_embeddings": config.sequence_length,
        "tie_word_embeddings": True,
        "rope_theta": ROPE_BASE,
        "bos_token_id": eos_id,  # a text begins after the end of the one before
        "eos_token_id": eos_id,
        "dtype": "float32",
    }
    rope = {"rope_type": "default", "rope_theta": ROPE_BASE}
    if config.gated:
        return common | {
            "architectures": ["StableLmForCausalLM"],
            "model_type": "stablelm",
            "layer_norm_eps": NORM_EPSILON,
            "use_qkv_bias": False,
            "qk_layernorm": False,
            "use_parallel_residual": False,
            "partial_rotary_factor": 1.0,
            "rope_parameters": rope | {"partial_rotary_factor": 1.0},
        }
    return common | {
        "architectures": ["Starcoder2ForCausalLM"],
        "model_type": "starcoder2",
        "norm_epsilon": NORM_EPSILON,
        "head_dim": config.head_size,
        "use_bias": False,
        "sliding_window": None,
        "attention_dropout": 0.0,
        "residual_dropout": 0.0,
        "embedding_dropout": 0.0,
        "rope_parameters": rope,
    }


def _heads_to_add(config: ModelConfig) -> int:
    """StableLM's heads fill the width of the model: heads of zeros, which add zero, do the rest.

    Raises:
        InputError: no number of heads does.
    """
    inner = config.n_heads * config.head_size
    if not config.gated or inner == config.d_model:
        return 0
    if inner > config.d_model or config.d_model % config.head_size:
        raise InputError(
            "Hugging Face's format has no gated model whose heads do not fill its width",
            value=f"{config.n_heads} heads of {config.head_size}, width {config.d_model}",
            where="model",
        )
    return (config.d_model - inner) // config.head_size


def _weights(model: Transformer, heads_added: int) -> dict[str, Tensor]:
    """The weights by the names of the format; the output layer is the embedding, and left out."""
    weights = {"model.embed_tokens.weight": model.embedding.weight}
    _name_norm(weights, "model.norm", model.norm.weight)
    for number, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        layer = f"model.layers.{number}"
        _name_norm(weights, f"{layer}.input_layernorm", block.attention_norm.weight)
        _name_norm(weights, f"{layer}.post_attention_layernorm", block.feed_forward_norm.weight)
        extra = heads_added * block.head_size
        queries, keys, values = block.qkv.weight.chunk(3)
        for name, matrix in (
            ("q", _halves(queries, block.head_size)),
            ("k", _halves(keys, block.head_size)),
            ("v", values),
        ):
            weights[f"{layer}.self_attn.{name}_proj.weight"] = _longer(matrix, extra)
        weights[f"{layer}.self_attn.o_proj.weight"] = _longer(block.attention_out.weight.T, extra).T
        if block.gate is None:
            weights[f"{layer}.mlp.c_fc.weight"] = block.up.weight
            weights[f"{layer}.mlp.c_proj.weight"] = block.down.weight
        else:
            weights[f"{layer}.mlp.gate_proj.weight"] = block.gate.weight
            weights[f"{layer}.mlp.up_proj.weight"] = block.up.weight
            weights[f"{layer}.mlp.down_proj.weight"] = block.down.weight
    return {name: weight.detach().contiguous() for name, weight in weights.items()}


def _name_norm(weights: dict[str, Tensor], name: str, weight: Tensor) -> None:
    weights[f"{name}.weight"], weights[f"{name}.bias"] = weight, torch.zeros_like(weight)


def _halves(matrix: Tensor, head_size: int) -> Tensor:
    """Rows (2i, 2i + 1) of each head, which turn together, put into its halves (i, i + k/2)."""
    pairs = matrix.view(-1, head_size // 2, 2, matrix.shape[1])  # h, k/2, 2, d
    return pairs.transpose(1, 2).reshape(matrix.shape)


def _longer(matrix: Tensor, rows: int) -> Tensor:
    return torch.cat([matrix, matrix.new_zeros(rows, matrix.shape[1])])


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(_as_json(value), encoding="utf-8")


def _readme(record: RunRecord, run_dir: Path) -> str:
    """A model card of what is known."""
    rows = read_run(run_dir).rows
    if not rows:
        raise RunError("the run has no evaluation", where=str(run_dir))
    last = [row for row in rows if row.step == rows[-1].step]
    mixture = ", ".join(f"{code} {share:.3g}" for code, share in sorted(record.mixture.items()))
    losses = "\n".join(f"| {row.language} | {row.bits_per_byte:.4f} |" for row in last)
    return f"""# {record.run_id}

Trained by atlas-scaling {record.code.version} on {last[0].tokens:,} tokens ({mixture});
{record.n_params:,} parameters, {record.n_params_non_embedding:,} without the embedding.
A text begins after the end of another: put the id of `eos_token` in front.

| language | bits per byte |
|---|---|
{losses}
"""
