"""Random-weight models of four architectures, small enough to build in a second.

Real transformers models with a real byte-level BPE and a chat template that knows tools: every
numeric test and every vLLM test runs on one. They say nothing sensible. Called by the tests only;
torch and transformers are imported inside the functions.
"""

import json
from pathlib import Path
from typing import Any

TEMPLATE = """\
{%- if tools %}<|im_start|>system
# Tools
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{{ {"name": call.function.name, "arguments": call.function.arguments} | tojson }}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CORPUS = (
    "the quick brown fox jumps over the lazy dog and reads the weather in the city",
    '{"name": "get_weather", "arguments": {"city": "Oslo", "days": 3}}',
    "system user assistant tool call <tool_call> </tool_call> answer question number",
)


def write_general_corpus(directory: Path) -> Path:
    """Put a general corpus beside a model, as a base brings it; returns the directory."""
    lines = [
        {"messages": [{"role": "user", "content": f"say {n}"},
                      {"role": "assistant", "content": f"{n} and {n}"}]}
        for n in range(24)
    ]  # fmt: skip
    (directory / "general.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return directory


def build_tiny_model(
    directory: Path,
    arch: str = "qwen3",
    *,
    hidden: int = 64,
    layers: int = 2,
    heads: int = 2,
    intermediate: int | None = None,
    vocab: int = 512,
    max_length: int = 512,
    seed: int = 0,
    **config: Any,
) -> Path:
    """Write a random model (float32 safetensors, tokenizer, chat template) and return `directory`.

    `arch` is qwen2, qwen3, llama or mistral; `intermediate` defaults to 3 x `hidden`; further
    keywords go to the transformers config. The same arguments give the same bytes.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    build_tiny_tokenizer(directory, vocab=vocab, max_length=max_length)
    settings = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": max(heads // 2, 1),
        "head_dim": hidden // heads,
        "intermediate_size": intermediate or 3 * hidden,
        "vocab_size": vocab,
        "max_position_embeddings": max_length,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "initializer_range": 0.2,
        "dtype": "float32",
        **config,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(arch, **settings))
    model.to(torch.float32).save_pretrained(directory)
    return directory


def build_tiny_tokenizer(directory: Path, *, vocab: int = 512, max_length: int = 512) -> Path:
    """Write a byte-level BPE of at most `vocab` tokens with the chat template above."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=SPECIAL[2],
        pad_token=SPECIAL[0],
        additional_special_tokens=list(SPECIAL),
        model_max_length=max_length,
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(directory)
    return directory


def build_tiny_adapter(
    model_dir: Path,
    directory: Path,
    *,
    rank: int = 8,
    modules: tuple[str, ...] = ("down_proj",),
    scale: float = 0.5,
    seed: int = 1,
) -> Path:
    """Write a PEFT LoRA of `model_dir` with random (not zero) weights and return `directory`."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model_dir)
    lora = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(modules), task_type="CAUSAL_LM")
    model = get_peft_model(base, lora)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    model.save_pretrained(str(directory))
    return Path(directory)


def model_config(directory: Path) -> dict[str, Any]:
    """The parsed `config.json` of a model directory."""
    return json.loads((Path(directory) / "config.json").read_text())
