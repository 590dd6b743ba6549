"""Tiny models of transformers with their tokenizers, written to folders in a moment."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # Read when transformers are imported.

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

GOOD = ["good", "great", "lovely", "superb", "fine", "happy"]
BAD = ["bad", "awful", "poor", "dull", "sad", "broken"]
NEUTRAL = ["the", "a", "film", "plot", "cast", "music", "was", "is", "of", "this", "it", "had", "very", "with", "to"]
LABELS = ["sport", "food", "music"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*GOOD, *BAD, *NEUTRAL, *LABELS, *(f"{label}." for label in LABELS), "This", "example", "photo", "."]
VOCABULARY = {word: number for number, word in enumerate(dict.fromkeys([*SPECIAL, *WORDS]))}
POSITIONS = 32
TINY = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.3,
}
TINY_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
    "initializer_range": 0.3,
}


def texts(count, seed=0, longest=20):
    """Texts of many lengths in words that the tokenizer knows."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, size=random.integers(1, longest))) for _ in range(count)]


def named(*labels):
    """The arguments of a configuration for these labels."""
    return {"id2label": dict(enumerate(labels)), "label2id": {label: n for n, label in enumerate(labels)}}


def bert_tokenizer(**arguments):
    """One token for each word, between [CLS] and [SEP]."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", VOCABULARY["[CLS]"]), ("[SEP]", VOCABULARY["[SEP]"])],
    )
    names = dict(zip(["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"], SPECIAL, strict=True))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{**names, **arguments})


def gpt_tokenizer():
    """As GPT-2's: nothing around the text, an end of text and no padding."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="[SEP]")


def bert(kind, **config):
    torch.manual_seed(0)
    config = transformers.BertConfig(**{**TINY, "pad_token_id": 0, **config})
    return getattr(transformers, kind)(config), bert_tokenizer()


def gpt(kind, positions=64, **config):
    torch.manual_seed(0)
    end = VOCABULARY["[SEP]"]
    config = transformers.GPT2Config(
        vocab_size=len(VOCABULARY),
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=positions,
        bos_token_id=end,
        eos_token_id=end,
        initializer_range=0.3,
        **config,
    )
    return getattr(transformers, kind)(config), gpt_tokenizer()


def roberta():
    """Its positions begin behind the padding index, so that it takes two tokens less than it has positions."""
    torch.manual_seed(0)
    config = transformers.RobertaConfig(**{**TINY, "pad_token_id": 1, "max_position_embeddings": POSITIONS + 2})
    return transformers.RobertaForSequenceClassification(config), bert_tokenizer(pad_token="[UNK]")


def fnet():
    """A model that cannot be told what is padding."""
    torch.manual_seed(0)
    config = {name: value for name, value in TINY.items() if name != "num_attention_heads"}
    return transformers.FNetForSequenceClassification(transformers.FNetConfig(**config)), bert_tokenizer()


def vit(kind, **config):
    torch.manual_seed(0)
    model = getattr(transformers, kind)(transformers.ViTConfig(**{**TINY_VIT, **config}))
    return model, transformers.ViTImageProcessor(size={"height": 32, "width": 32})


def clip():
    torch.manual_seed(0)
    text = {**TINY, "eos_token_id": VOCABULARY["[SEP]"], "bos_token_id": VOCABULARY["[CLS]"], "projection_dim": 16}
    config = transformers.CLIPConfig(
        text_config=text, vision_config={**TINY_VIT, "projection_dim": 16}, projection_dim=16
    )
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_center_crop=True
    )
    return transformers.CLIPModel(config), bert_tokenizer(model_max_length=POSITIONS), processor


def wav2vec():
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=32,
        conv_dim=(16, 16),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        feat_extract_norm="layer",
        num_labels=3,
        classifier_proj_size=16,
    )
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    return transformers.Wav2Vec2ForSequenceClassification(config), extractor


def trained_sentiment():
    """A classifier that has learnt which words are good and which are bad."""
    model, tokenizer = bert("BertForSequenceClassification", initializer_range=0.1, **named("bad", "good"))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    model.train()
    for step in range(60):
        rows, labels = reviews(64, seed=step)
        encoded = tokenizer(rows, padding=True, return_tensors="pt")
        loss = model(**encoded, labels=torch.tensor(labels)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), tokenizer


def reviews(count, seed):
    """Reviews of a few words, of which one to three are good (1) or bad (0)."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, size=count).tolist()
    rows = []
    for label in labels:
        words = [*random.choice(NEUTRAL, size=random.integers(2, 14))]
        words += [*random.choice(GOOD if label else BAD, size=random.integers(1, 4))]
        random.shuffle(words)
        rows.append(" ".join(words))
    return rows, labels


BUILDERS = {
    "classifier": lambda: bert("BertForSequenceClassification", num_labels=3),
    "clip": clip,
    "encoder": lambda: bert("BertModel"),
    "entities": lambda: bert("BertForTokenClassification", **named("O", "B-A", "I-A", "B-B")),
    "fnet": fnet,
    "gpt": lambda: gpt("GPT2LMHeadModel"),
    "gpt_classifier": lambda: gpt("GPT2ForSequenceClassification", num_labels=3),
    "masked": lambda: bert("BertForMaskedLM"),
    "nli": lambda: bert("BertForSequenceClassification", **named("contradiction", "neutral", "entailment")),
    "other_classifier": lambda: bert("BertForSequenceClassification", num_labels=3, initializer_range=0.4),
    "roberta": roberta,
    "sentiment": trained_sentiment,
    "sound": wav2vec,
    "vit": lambda: vit("ViTForImageClassification", num_labels=4),
    "vit_encoder": lambda: vit("ViTModel"),
}
