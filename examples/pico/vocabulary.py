"""The embedded model's tokenizer and chat template.

Byte-level BPE of 2,048 tokens. Digits stand alone and a name after a quote is cut as it is at the
start of a line, so that copying a value or a parameter name copies tokens.
"""

import json
from collections.abc import Iterable
from itertools import islice

from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from examples.pico.stream import Conversation, Stream

SIZE = 2048
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
WHOLE = ["<tools>", "</tools>", "<tool_call>", "</tool_call>", '{"name": "', '", "arguments": {']
"""Text that is always one token: the frame of every tool call."""
_PIECES = r"\d|[ _]?[A-Za-z]+| ?[^\sA-Za-z\d]+|\s"

TEMPLATE = """\
{%- macro show(f) -%}
{{ f.name }}{% if f.description %}{{ ': ' + f.description }}{% endif %}{{ '\\n' }}
{%- set schema = f.parameters or {} -%}
{%- for name, p in (schema.get('properties') or {}).items() -%}
-{{ name }}{% if name not in (schema.get('required') or []) %}?{% endif %}{{ ' ' }}
{%- if p.get('enum') %}{{ p.enum | join('|') }}
{%- else %}{{ p.get('format') or p.get('type', 'string') }}{% endif %}
{{- ': ' + p.get('description', '') + '\\n' }}
{%- endfor -%}
{%- endmacro -%}
{%- set system = messages[0].content if messages and messages[0].role == 'system' else '' -%}
{%- if system or tools -%}
<|system|>{{ system }}
{%- if tools -%}
<tools>
{%- for t in tools %}{{ show(t.function if t.function is defined else t) }}{% endfor -%}
</tools>
{%- endif -%}
<|end|>
{%- endif -%}
{%- for m in messages if m.role != 'system' -%}
<|{{ m.role }}|>{{ m.content or '' }}
{%- for c in m.tool_calls or [] -%}
{%- set f = c.function if c.function is defined else c -%}
<tool_call>{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}</tool_call>
{%- endfor -%}
<|end|>
{%- endfor -%}
{%- if add_generation_prompt %}<|assistant|>{% endif -%}
"""


def rendered_texts(stream: Iterable[Conversation], count: int) -> Iterable[str]:
    """Raw text for training the merges: every message and tool of `count` conversations."""
    for c in islice(stream, count):
        for t in c.tools:
            f = t["function"]
            yield f"{f['name']}: {f.get('description', '')}\n" + "\n".join(
                f"-{n} {p['type']}: {p['description']}"
                for n, p in f["parameters"]["properties"].items()
            )
        for m in c.messages:
            yield m["content"]
            for k in m.get("tool_calls", []):
                yield json.dumps(k["function"]["arguments"])


def build_tokenizer(seed: int = 0, samples: int = 20_000) -> PreTrainedTokenizerFast:
    """Train the merges on the stream and attach the chat template."""
    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    stream = Stream(seed)
    stream.progress = 1.0
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE - len(WHOLE),
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=20,
    )
    bpe.train_from_iterator(rendered_texts(stream, samples), trainer)
    bpe.add_tokens([AddedToken(w, normalized=False, special=False) for w in WHOLE])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        bos_token=None,
        unk_token=None,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
