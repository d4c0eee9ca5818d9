"""Tiny random models of the real architectures with a small real tokenizer: about a second to make, 0.5 MB each."""

from __future__ import annotations

from pathlib import Path

SENTENCES = (
    "فشار خون بالا معمولاً علامتی ندارد و باید مرتب اندازه‌گیری شود.",
    "نوشیدن آب کافی، خواب منظم و ورزش روزانه به سلامت قلب کمک می‌کند.",
    "اگر تب کودک بیش از سه روز طول کشید یا بی‌حال شد، به پزشک مراجعه کنید.",
    "دیابت نوع دو با کاهش وزن، تغذیهٔ سالم و دارو قابل کنترل است.",
    "سردرد میگرنی اغلب یک‌طرفه و ضربان‌دار است و با نور و صدا بدتر می‌شود.",
    "کم‌خونی فقر آهن باعث خستگی، رنگ‌پریدگی و تنگی نفس هنگام فعالیت می‌شود.",
    "آنتی‌بیوتیک بر سرماخوردگی و آنفلوانزا که عامل آن‌ها ویروس است اثری ندارد.",
    "برای پیشگیری از پوکی استخوان، کلسیم و ویتامین دی کافی مصرف کنید.",
    "درد قفسهٔ سینه که به دست چپ یا فک تیر می‌کشد، یک فوریت پزشکی است.",
    "شست‌وشوی دست‌ها با آب و صابون بهترین راه پیشگیری از عفونت است.",
    "سلام آقای دکتر، من سی و پنج سال دارم و دو هفته است که معده‌ام می‌سوزد.",
    "مصرف مسکن بیش از ده روز در ماه خود می‌تواند سردرد ایجاد کند.",
    "زنان باردار باید روزانه چهارصد میکروگرم اسید فولیک مصرف کنند.",
    "علائم کم‌کاری تیروئید شامل خستگی، افزایش وزن، خشکی پوست و یبوست است.",
    "پاسخ درست کدام گزینه است؟ الف، ب، ج یا د. گزینه ۱، ۲، ۳ یا ۴.",
    "Which vitamin deficiency causes scurvy? The answer is vitamin C (A, B, C or D).",
    "The patient is a 45-year-old man with chest pain, fever of 38.5 and a cough.",
    "Blood pressure of 140/90 mmHg or more on two visits means hypertension.",
)
VOCABULARY = 1200  # asked for; the sentences give about 780
CONTEXT = 1024

COHERE_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|START_OF_TURN_TOKEN|>"
    "{% if message['role'] == 'user' %}<|USER_TOKEN|>{% elif message['role'] == 'assistant' %}<|CHATBOT_TOKEN|>"
    "{% else %}<|SYSTEM_TOKEN|>{% endif %}{{ message['content'] | trim }}<|END_OF_TURN_TOKEN|>{% endfor %}"
    "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"
)
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}"
    "{{ message['content'] | trim }}{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def tiny_cohere(folder: Path, *, seed: int = 0, layers: int = 2, hidden: int = 64) -> Path:
    """A CohereForCausalLM, as aya-expanse is, in `folder`; the same weights for the same seed."""
    from transformers import CohereConfig, CohereForCausalLM

    special = {"bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>", "pad_token": "<PAD>"}
    turns = ("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>")
    ids = _save_tokenizer(folder, special, turns, COHERE_TEMPLATE)
    config = CohereConfig(
        hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=CONTEXT, logit_scale=1.0, tie_word_embeddings=True, **ids,
    )  # fmt: skip
    return _save_model(CohereForCausalLM, config, folder, seed)


def tiny_gemma3(folder: Path, *, seed: int = 0, layers: int = 2, hidden: int = 64) -> Path:
    """A Gemma3ForCausalLM with one sliding-window layer (16 tokens) in every two; the same weights for the same seed."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    ids = _save_tokenizer(folder, special, ("<start_of_turn>", "<end_of_turn>"), GEMMA_TEMPLATE)
    kinds = ["sliding_attention" if layer % 2 == 0 else "full_attention" for layer in range(layers)]
    config = Gemma3TextConfig(
        hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=1,
        head_dim=16, query_pre_attn_scalar=16, sliding_window=16, layer_types=kinds,
        max_position_embeddings=CONTEXT, tie_word_embeddings=True, **ids,
    )  # fmt: skip
    return _save_model(Gemma3ForCausalLM, config, folder, seed)


def _save_tokenizer(folder: Path, special: dict[str, str], turns: tuple[str, ...], template: str) -> dict[str, int]:
    """A byte-level BPE tokenizer that adds BOS, in `folder`; the ids and the size that the model's config needs."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=1,
        show_progress=False,
        special_tokens=[*special.values(), *turns],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    bos = special["bos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        additional_special_tokens=list(turns),
        model_max_length=CONTEXT,
        padding_side="left",
        **special,
    )
    fast.chat_template = template
    fast.save_pretrained(folder)
    ids = {name.replace("_token", "_token_id"): tokenizer.token_to_id(text) for name, text in special.items()}
    return ids | {"vocab_size": tokenizer.get_vocab_size()}


def _save_model(kind: type, config: object, folder: Path, seed: int) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config)
    model.to(torch.float32).save_pretrained(folder)
    return folder
