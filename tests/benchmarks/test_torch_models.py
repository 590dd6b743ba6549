"""The models of the PyTorch benchmarks: what they cost, and where their weights come from."""

import hashlib
import os

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from runinference.benchmarks.data.photos import make_photo
from runinference.benchmarks.data.sentences import make_sentences
from runinference.benchmarks.data.wordpiece import tokenizer_folder
from runinference.benchmarks.models.bert import BERT, masked_words_flops
from runinference.benchmarks.models.distilbert import DISTILBERT, sentiment_flops
from runinference.benchmarks.models.encoder import encoder_flops
from runinference.benchmarks.models.pretrained import PretrainedModel
from runinference.benchmarks.models.resnet import DECODE, RESNET, resnet_flops
from runinference.benchmarks.models.tokens import Tokenize, TokenizeMasked, find_tokenizer, mask_word
from runinference.benchmarks.settings import Settings
from runinference.errors import ConfigurationError


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("RUNINFERENCE_CACHE", str(folder))
        yield folder


def pretrained(architecture, model="tiny", weights=None):
    return PretrainedModel(architecture, Settings(1, model, weights=None if weights is None else str(weights)))


def loaded(path, model_class, arguments):
    model = model_class(**arguments)
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def counted(architecture, config, **inputs):
    """Operations of the model itself, counted by PyTorch on tensors without content."""
    config._attn_implementation = "eager"  # Of other ways, not all products are counted.
    with torch.device("meta"):
        model = getattr(transformers, architecture.model)(config).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(**{name: tensor.to("meta") for name, tensor in inputs.items()})
    return counter.get_total_flops()


@pytest.mark.parametrize("model", RESNET.models)
def test_operations_of_an_image_are_those_that_pytorch_counts(model):
    config = pretrained(RESNET, model).config()
    assert resnet_flops(config) == counted(RESNET, config, pixel_values=torch.zeros(1, 3, 224, 224))


def test_operations_of_other_resnets_are_those_that_pytorch_counts():
    for differences in (
        {"layer_type": "basic", "hidden_sizes": [64, 128], "depths": [2, 2]},
        {"downsample_in_first_stage": True, "downsample_in_bottleneck": True, "hidden_sizes": [64, 128, 256]},
    ):
        config = transformers.ResNetConfig(**{"depths": [1, 2, 2], "num_labels": 10, **differences})
        assert resnet_flops(config) == counted(RESNET, config, pixel_values=torch.zeros(1, 3, 224, 224))


def test_a_resnet_50_takes_four_billion_multiply_adds():
    assert resnet_flops(pretrained(RESNET, "resnet50").config()) == pytest.approx(2 * 4.09e9, rel=0.01)
    assert resnet_flops(pretrained(RESNET, "resnet101").config()) == pytest.approx(2 * 7.80e9, rel=0.01)
    assert resnet_flops(pretrained(RESNET, "resnet152").config()) == pytest.approx(2 * 11.51e9, rel=0.01)


@pytest.mark.parametrize("model", BERT.models)
def test_operations_of_a_sentence_are_those_that_pytorch_counts_with_the_head_for_one_token(model):
    config = pretrained(BERT, model).config()
    found = counted(BERT, config, input_ids=torch.zeros(1, 13, dtype=torch.long))
    head = 2 * (config.hidden_size**2 + config.hidden_size * config.vocab_size)
    assert masked_words_flops(config, [13]) == found - 12 * head
    assert masked_words_flops(config, []) == 0


@pytest.mark.parametrize("model", DISTILBERT.models)
def test_operations_of_a_text_are_those_that_pytorch_counts(model):
    config = pretrained(DISTILBERT, model).config()
    found = [counted(DISTILBERT, config, input_ids=torch.zeros(1, n, dtype=torch.long)) for n in (5, 60)]
    assert [sentiment_flops(config, [n]) for n in (5, 60)] == found
    assert sentiment_flops(config, [5, 60, 5]) == 2 * found[0] + found[1]


def test_operations_of_an_encoder_grow_with_the_square_of_the_length():
    assert encoder_flops([3], layers=2, width=4, inner=8) == 2 * 2 * (3 * (4 * 16 + 2 * 32) + 9 * 8)


@pytest.mark.parametrize(
    ("architecture", "model", "parameters"),
    [
        (RESNET, "resnet50", 25_557_032),
        (RESNET, "resnet101", 44_549_160),
        (RESNET, "resnet152", 60_192_808),
        (BERT, "bert-base-uncased", 109_514_298),
        (BERT, "bert-large-uncased", 335_174_458),
        (DISTILBERT, "distilbert-base-uncased", 66_955_010),
    ],
)
def test_models_are_of_the_size_of_the_real_ones(architecture, model, parameters):
    config = pretrained(architecture, model).config()
    with torch.device("meta"):
        module = getattr(transformers, architecture.model)(config)
    assert module.num_parameters() == parameters


@pytest.mark.parametrize("architecture", [RESNET, BERT, DISTILBERT], ids=lambda each: each.kind)
def test_random_weights_are_made_once_and_always_the_same(architecture, monkeypatch, tmp_path, cache):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    path = pretrained(architecture).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    time = path.stat().st_mtime_ns
    assert pretrained(architecture).state_dict() == path
    assert path.stat().st_mtime_ns == time
    assert path.parent == cache / "benchmarks"
    assert transformers.__version__ in path.name
    monkeypatch.setenv("RUNINFERENCE_CACHE", str(tmp_path))
    again = torch.load(pretrained(architecture).state_dict(), weights_only=True)
    first = torch.load(path, weights_only=True)
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_balanced_resnet_finds_many_classes():
    model = loaded(*pretrained(RESNET).arguments())
    photos = torch.stack([torch.from_numpy(DECODE(make_photo(index))) for index in range(32, 64)])
    with torch.no_grad():
        classes = model(photos).logits.argmax(-1)
    assert len(set(classes.tolist())) > 8


def test_padding_changes_scores_of_a_balanced_distilbert_far_less_than_texts_do():
    tokenize = Tokenize(str(tokenizer_folder()), 128)
    padded = Tokenize(str(tokenizer_folder()), 128, padded=True)
    model = loaded(*pretrained(DISTILBERT).arguments())

    def scores(how):
        with torch.no_grad():
            rows = [how(text) for text in make_sentences(40)]
            found = [model(**{name: tensor[None] for name, tensor in row.items()}).logits[0] for row in rows]
        return torch.stack([each[1] - each[0] for each in found])

    alone = scores(tokenize)
    assert 8 < int((alone > 0).sum()) < 32
    assert float((scores(padded) - alone).abs().max()) < 1e-3 * float(alone.std())


def test_the_users_state_dict_is_used_as_it_is(tmp_path):
    path = tmp_path / "own.pth"
    config = pretrained(RESNET).config()
    torch.save(transformers.ResNetForImageClassification(config).state_dict(), path)
    assert pretrained(RESNET, weights=path).state_dict() == path
    assert pretrained(RESNET, weights=path).config().depths == config.depths


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.pth").write_bytes(b"weights")
    assert pretrained(RESNET, weights="~/own.pth").state_dict() == tmp_path / "own.pth"


@pytest.fixture
def own(tmp_path):
    """A small BERT that somebody saved with its tokenizer, in two layers of another size than any here."""
    torch.manual_seed(3)
    config = transformers.BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
    )
    model = transformers.BertForMaskedLM(config).eval()
    model.save_pretrained(tmp_path / "own")
    transformers.AutoTokenizer.from_pretrained(tokenizer_folder()).save_pretrained(tmp_path / "own")
    return tmp_path / "own", model


def test_the_users_folder_becomes_a_state_dict_that_every_handler_can_load(own):
    folder, model = own
    path, model_class, arguments = pretrained(BERT, weights=folder).arguments()
    assert arguments["config"].hidden_size == 32
    ours = loaded(path, model_class, arguments)
    assert all(torch.equal(ours.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    assert pretrained(BERT, weights=folder).arguments()[0] == path


def test_a_folder_that_was_changed_is_read_anew(own):
    folder, model = own
    first = pretrained(BERT, weights=folder).state_dict()
    with torch.no_grad():
        model.cls.predictions.bias += 1
    model.save_pretrained(folder)
    os.utime(folder / "model.safetensors", ns=(0, 1))
    second = pretrained(BERT, weights=folder).state_dict()
    assert hashlib.sha256(first.read_bytes()).digest() != hashlib.sha256(second.read_bytes()).digest()


def test_safetensors_with_tied_weights_become_a_whole_state_dict(tmp_path):
    model = transformers.BertForMaskedLM(pretrained(BERT).config()).eval()
    tensors = dict(model.state_dict())
    del tensors["cls.predictions.decoder.weight"], tensors["cls.predictions.decoder.bias"]
    save_file(tensors, tmp_path / "own.safetensors")
    ours = loaded(*pretrained(BERT, weights=tmp_path / "own.safetensors").arguments())
    assert all(torch.equal(ours.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def test_weights_that_cannot_be_used_are_told(tmp_path, own):
    (tmp_path / "empty").mkdir()
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "config.json").write_text("[]")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text('{"model_type": "bert"}')
    transformers.BertModel(transformers.BertConfig(num_hidden_layers=1)).save_pretrained(tmp_path / "headless")
    for architecture, name, text in (
        (BERT, "missing.pth", "There are no weights at '.*missing.pth'; name a file or folder that is there"),
        (BERT, "empty", "'.*empty' is no folder with a model of transformers: its config.json cannot be read"),
        (BERT, "list", "'.*list' is no folder with a model of transformers"),
        (BERT, "bare", "The model in '.*bare' cannot be loaded"),
        (BERT, "headless", "The model in '.*headless' lacks .* weights of BertForMaskedLM, such as 'cls"),
        (RESNET, "own", "'.*own' holds a model of type 'bert'; this benchmark runs 'resnet'"),
    ):
        with pytest.raises(ConfigurationError, match=text):
            pretrained(architecture, weights=tmp_path / name).arguments()


def test_a_model_that_there_is_not_is_told():
    with pytest.raises(ConfigurationError, match=r"no model 'resnet110'\. Did you mean 'resnet101'\? Models: resn"):
        pretrained(RESNET, "resnet110").arguments()


def test_a_tokenizer_is_that_of_the_users_folder(own, tmp_path):
    folder, _ = own
    assert find_tokenizer(Settings(1, "tiny", weights=str(folder))) == str(folder)
    assert find_tokenizer(Settings(1, "tiny", weights=str(tmp_path / "own.pth"))) is None
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigurationError, match=r"'.*none' has no tokenizer: neither tokenizer\.json nor vocab"):
        find_tokenizer(Settings(1, "tiny", weights=str(tmp_path / "none")))


def test_the_word_in_front_of_the_last_is_masked():
    assert mask_word("a dog and a cat .", "[MASK]") == "a dog and a [MASK] ."
    assert mask_word("two words", "[MASK]") == "[MASK] words"
    assert mask_word("one", "[MASK]") == "[MASK] one"


def test_tokens_are_tensors_of_one_axis():
    folder = str(tokenizer_folder())
    row = TokenizeMasked(folder)("the old garden .")
    assert list(row) == ["input_ids", "token_type_ids", "attention_mask"]
    assert row["input_ids"].tolist()[-3:] == [TokenizeMasked(folder).mask_token_id, row["input_ids"][-2], 102]
    assert row["input_ids"].shape == (6,)
    short = Tokenize(folder, 4, padded=True)
    assert list(short("a")) == ["input_ids", "attention_mask"]
    assert short("a")["attention_mask"].tolist() == [1, 1, 1, 0]
    assert short("the garden of the king")["input_ids"].shape == (4,)


def test_lengths_are_counted_without_padding():
    folder, texts = str(tokenizer_folder()), ["the garden .", "gardens", "a dog walked"]
    for tokenize in (Tokenize(folder), Tokenize(folder, 6), TokenizeMasked(folder)):
        assert tokenize.lengths(texts) == [len(tokenize(text)["input_ids"]) for text in texts]
        assert tokenize.lengths([]) == []
    assert Tokenize(folder, 6, padded=True).lengths(texts) == Tokenize(folder, 6).lengths(texts)
