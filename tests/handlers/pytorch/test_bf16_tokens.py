"""A trained masked language model finds the same words in bf16 as in fp32."""

import random

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig, BertForMaskedLM

from runinference import MaskedTokens, PytorchModelHandlerKeyedTensor, infer

PAD, START, END, MASK = range(4)
# Words are numbers. Every animal has a food and a place of its own; the words between them say nothing.
ANIMALS, FOODS, PLACES, OTHERS = (range(start, start + 30) for start in (4, 34, 64, 94))
CONFIG = BertConfig(
    vocab_size=124,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=128,
    max_position_embeddings=32,
    # Learnt in half the time without.
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
STEPS, SENTENCES_OF_STEP = 250, 64


def masked_sentences(count, seed):
    """Sentences of 8 to 23 words of which one, that of an animal, food or place, is masked; and these words."""
    dice = random.Random(seed)
    sentences, words = [], []
    for _ in range(count):
        kind, asked = dice.randrange(30), dice.randrange(3)
        sentence = [START]
        for number, known in enumerate((ANIMALS, FOODS, PLACES)):
            sentence += [dice.choice(OTHERS) for _ in range(dice.randint(1, 6))]
            sentence.append(MASK if number == asked else known[kind])
        sentences.append(torch.tensor([*sentence, END]))
        words.append((ANIMALS, FOODS, PLACES)[asked][kind])
    return sentences, torch.tensor(words)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The file with the weights of a model that has learnt which animal eats what and where."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForMaskedLM(CONFIG).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(STEPS):
        sentences, words = masked_sentences(SENTENCES_OF_STEP, seed=step)
        tokens = pad_sequence(sentences, batch_first=True, padding_value=PAD)
        logits = model(tokens, attention_mask=(tokens != PAD).long()).logits
        optimizer.zero_grad()
        cross_entropy(logits[tokens == MASK], words).backward()
        optimizer.step()
    path = tmp_path_factory.mktemp("trained") / "bert.pth"
    torch.save(model.state_dict(), path)
    return str(path)


def found_words(path, sentences, precision):
    handler = PytorchModelHandlerKeyedTensor(
        path, BertForMaskedLM, {"config": CONFIG}, output_fn=MaskedTokens(MASK), precision=precision
    )
    rows = [{"input_ids": each, "attention_mask": torch.ones_like(each)} for each in sentences]
    results = list(infer(rows, handler))
    return torch.cat([result.inference["token_ids"][0] for result in results]), results[0].inference["scores"]


def test_a_trained_model_finds_the_same_words_in_bf16(trained):
    sentences, words = masked_sentences(500, seed=STEPS)
    in_fp32, score_in_fp32 = found_words(trained, sentences, "fp32")
    in_bf16, score_in_bf16 = found_words(trained, sentences, "bf16")
    assert (in_fp32 == words).float().mean() >= 0.95
    assert (in_bf16 == in_fp32).float().mean() >= 0.99
    assert not torch.equal(score_in_bf16, score_in_fp32)
