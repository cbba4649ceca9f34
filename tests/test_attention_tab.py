"""The Attention tab's handlers, and what they send the viewer."""

import base64
import contextlib
import io
import json
import re

import gradio as gr
import numpy as np
import pytest
import torch

from nystrom_demo.analysis import LayerInputs, attention_maps, collect_layers, head_errors, head_factors
from nystrom_demo.checkpoints import Library, load_bundled
from nystrom_demo.checkpoints.capitals import mark_capitals
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.formatting import percent
from nystrom_demo.ui.refresh import fill
from nystrom_demo.ui.sidebar import head_within
from nystrom_demo.ui.state import PageState, checked
from nystrom_demo.ui.tabs import attention as attention_tab
from nystrom_demo.ui.tabs import error as error_tab
from nystrom_demo.ui.tabs.attention import TextReader, read_text, show, show_head, show_mosaic
from nystrom_demo.ui.view import NO_TEXT
from nystrom_demo.ui.viewer import ShownToken, head_payload, shown_tokens
from nystrom_demo.ui.viewer.payload import check_sizes
from nystrom_demo.ui.viewer.words import head_words

TEXT = "The film was great, and Mary walked to the bank by the river in London."


@pytest.fixture
def reader(tiny_checkpoints) -> TextReader:
    return TextReader(tiny_checkpoints)


def page_state(text: str = TEXT, num_landmarks: int = 5, **changes) -> PageState:
    return PageState(**{"text": text, "task": "masked-lm", "num_landmarks": num_landmarks} | PINV | changes)


PINV = {"pinv_iterations": 6, "inv_coeff_init_option": False, "device": "cpu"}


def random_layer(n: int, head_dim: int = 7, heads: int = 3) -> LayerInputs:
    generator = torch.Generator().manual_seed(n)
    return LayerInputs(*(2 * torch.randn(1, heads, n, head_dim, generator=generator) for _ in range(3)), None, 1)


def some_tokens(n: int) -> list[ShownToken]:
    return [ShownToken(f"word{t}", f" word{t}", t, False) for t in range(n)]


def array(payload: dict, name: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(payload[name]), dtype="<f4").reshape(shape).astype(np.float64)


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@pytest.mark.parametrize(("n", "m"), [(11, 3), (13, 5), (29, 13)])
def test_the_payload_holds_enough_to_rebuild_every_map(n, m):
    layer, settings = random_layer(n), AttentionSettings(num_landmarks=m)
    payload = head_payload(layer, 2, settings, some_tokens(n))
    q, k = array(payload, "q", n, 7), array(payload, "k", n, 7)
    inverse = array(payload, "kernel_2_inv", m, m)
    segments = np.array(payload["segments"])
    means = [np.stack([x[segments == a].mean(0) for a in range(m)]) for x in (q, k)]
    kernel_1, kernel_3 = softmax(q @ means[1].T * payload["scale"]), softmax(means[0] @ k.T * payload["scale"])

    maps = attention_maps(layer, 2, settings)
    np.testing.assert_allclose(softmax(q @ k.T * payload["scale"]), maps.exact, atol=1e-6)
    np.testing.assert_allclose(kernel_1 @ inverse @ kernel_3, maps.landmark, atol=1e-5)
    assert (payload["n"], payload["m"], payload["dim"], payload["exact"]) == (n, m, 7, False)
    assert (payload["layer"], payload["head"]) == (1, 2)


def test_the_pseudo_inverse_sent_is_that_of_all_heads_together():
    layer, settings = random_layer(13), AttentionSettings(num_landmarks=5, pinv_iterations=2)
    for head in range(3):
        sent = array(head_payload(layer, head, settings, some_tokens(13)), "kernel_2_inv", 5, 5)
        np.testing.assert_allclose(sent, head_factors(layer, head, settings).kernel_2_inv, atol=1e-7)


@pytest.mark.parametrize("settings", [EXACT, AttentionSettings(num_landmarks=11), AttentionSettings(num_landmarks=64)])
def test_with_a_landmark_a_token_no_inverse_is_sent_and_the_words_say_zero(settings):
    payload = head_payload(random_layer(11), 0, settings, some_tokens(11))
    assert payload["exact"] is True
    assert payload["kernel_2_inv"] is None
    assert payload["m"] == 11
    assert "the difference is zero everywhere" in payload["words"]["lead"]
    assert payload["words"]["difference"] == "Landmark minus exact attention: zero everywhere."


def test_the_largest_payload_of_512_tokens_stays_under_two_and_a_half_megabytes():
    layer = random_layer(512, head_dim=64, heads=1)
    payload = head_payload(layer, 0, AttentionSettings(num_landmarks=511, pinv_iterations=0), some_tokens(512))
    assert len(json.dumps(payload).encode()) < 2_500_000


def test_the_usual_payload_of_512_tokens_is_a_quarter_of_a_megabyte():
    payload = head_payload(random_layer(512, 32, 1), 0, AttentionSettings(num_landmarks=64), some_tokens(512))
    assert len(json.dumps(payload).encode()) < 300_000


def test_payloads_of_different_heads_have_different_keys_and_the_same_text():
    payloads = [head_payload(random_layer(7), head, EXACT, some_tokens(7)) for head in range(3)]
    assert len({payload["key"] for payload in payloads}) == 3
    assert len({payload["text"] for payload in payloads}) == 1


def test_too_many_tokens_or_landmarks_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"The maps show at most 4,096 tokens, and this text has 4,097\."):
        check_sizes(4097, 4)
    with pytest.raises(ValueError, match=r"at most 1,024 landmarks, or exact attention \(2,048 here\), got 1,025\."):
        check_sizes(2048, 1025)
    check_sizes(2048, 2048)


def test_the_words_tell_the_numbers_of_the_maps():
    n, m = 29, 5
    maps = attention_maps(random_layer(n), 1, AttentionSettings(num_landmarks=m))
    labels = [f"w{t}" for t in range(n)]
    words = head_words(maps, 1, 1, m, labels)

    error = torch.linalg.matrix_norm(maps.difference) / torch.linalg.matrix_norm(maps.exact)
    assert words["title"] == "Layer 2, head 2"
    assert f"misses the exact one by {percent(error)}" in words["lead"]
    row, column = divmod(int(maps.difference.abs().argmax()), n)
    assert f"where ‹w{row}› reads ‹w{column}›" in words["lead"]
    assert f"{float(maps.landmark[row, column]):.3f} through landmarks" in words["lead"]

    negative = int((maps.landmark < 0).sum())
    assert negative > 0
    assert words["negative"].startswith(f"{negative:,} of the {n * n:,} entries")
    sums = maps.landmark.sum(-1)
    assert f"sum to {float(sums.min()):.3f} … {float(sums.max()):.3f}" in words["row_sums"]
    assert f"{int(((sums - 1).abs() > 0.01).sum())} of {n} are more" in words["row_sums"]


def test_shown_tokens_give_the_text_back(tiny_checkpoints):
    tokenizer = tiny_checkpoints["masked-lm"].tokenizer
    text = " Great  films, walking\nand <b>unhappy</b> talk "
    encoding = tokenizer(text, return_offsets_mapping=True)
    tokens = shown_tokens(tokenizer, text, encoding)
    assert "".join(token.text for token in tokens if not token.special) == text.rstrip()
    assert [token.special for token in tokens] == [True, *[False] * (len(tokens) - 2), True]
    pieces = [token for token in tokens if token.label.startswith("##")]
    assert pieces and all(token.word is not None for token in pieces)


def test_heads_of_one_encoder_are_read_by_their_own_tokenizers():
    reader = TextReader(Library({"cpu": load_bundled("cpu")}))
    read = [reader.read(page_state("Anna came", task=f"{kind}-classification")) for kind in ("sequence", "token")]
    labels = [[token.label for token in text.tokens[1:-1]] for text in read]
    assert labels == [["anna", "came"], ["↑", "anna", "came"]]
    leads = [head_payload(text.layers[0], 0, EXACT, text.tokens)["words"]["lead"] for text in read]
    assert ["The token ↑ says" in lead for lead in leads] == [False, True]


def test_a_mark_of_a_capital_shows_no_text_and_belongs_to_its_word():
    tokenizer = mark_capitals(load_bundled("cpu")["masked-lm"].tokenizer)
    text = "Once Anna  came"
    tokens = shown_tokens(tokenizer, text, tokenizer(text, return_offsets_mapping=True))[1:-1]
    assert [token.label for token in tokens] == ["↑", "once", "↑", "anna", "came"]
    assert [token.text for token in tokens] == ["", "Once", " ", "Anna", "  came"]
    assert [tokens[i].word == tokens[i + 1].word for i in range(4)] == [True, False, True, False]


def test_a_tokenizer_without_offsets_is_refused():
    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match=r"The viewer needs a fast tokenizer, which knows offsets, got Slow\."):
        shown_tokens(Slow(), "", None)


def test_the_tab_shows_the_model_s_own_numbers(reader, tiny_checkpoints):
    viewer, _code, mosaic = show_head(reader, page_state(layer=1, head=2))
    checkpoint = tiny_checkpoints["masked-lm"]
    ids = checkpoint.tokenizer(TEXT, return_tensors="pt")["input_ids"]
    own = collect_layers(checkpoint.model, ids)[1]
    assert (viewer["layer"], viewer["head"]) == (1, 2)
    np.testing.assert_allclose(array(viewer, "q", ids.shape[1], 8), own.q[0, 2], atol=1e-6)
    assert [token["label"] for token in viewer["tokens"]] == checkpoint.tokenizer.convert_ids_to_tokens(ids[0])
    assert mosaic["chosen"] == [1, 2]
    assert all(line["frobenius"] is None for line in mosaic["heads"])


def test_the_mosaic_holds_the_errors_of_all_heads(reader):
    mosaic = show_mosaic(reader, page_state(head=1))
    errors = head_errors(reader.read(page_state()).layers, page_state().settings(), spectral=False)
    assert len(mosaic["heads"]) == len(errors) == 6
    for line, (_, wanted) in zip(mosaic["heads"], errors.iterrows(), strict=True):
        assert all(line[name] == pytest.approx(wanted[name]) for name in line)
    best = errors.frobenius.min()
    assert f"from {percent(best)} in layer" in mosaic["lead"]
    json.dumps(mosaic)


@pytest.mark.parametrize("num_landmarks", [0, 4096])
def test_the_mosaic_says_that_a_landmark_a_token_is_exact(reader, num_landmarks):
    mosaic = show_mosaic(reader, page_state(num_landmarks=num_landmarks))
    assert "no head differs from exact attention" in mosaic["lead"]
    assert all(line["frobenius"] == 0 for line in mosaic["heads"])


def test_another_m_changes_the_inverse_and_not_q(reader):
    few, more = (show_head(reader, page_state(num_landmarks=m))[0] for m in (3, 7))
    assert few["q"] == more["q"]
    assert few["kernel_2_inv"] != more["kernel_2_inv"]
    assert few["key"] != more["key"]


def test_a_text_that_is_too_long_is_refused_where_the_maps_would_stand(tiny_checkpoints):
    text = "great " * 5000
    with gr.Blocks():
        view = attention_tab.build(tiny_checkpoints, gr.HTML())
    (values,) = fill(view, page_state(text))
    viewer, code, mosaic = (values[part] for part in view.outputs)
    assert re.fullmatch(
        r"The maps show a text whole: this one has 5,002 tokens, and the position table of this model ends at 4,096\.",
        json.loads(viewer)["message"],
    )
    assert (code, mosaic) == ("", None)
    with pytest.raises(ValueError, match="The maps show a text whole"):
        read_text(tiny_checkpoints["masked-lm"], text)


@pytest.mark.parametrize("build", [attention_tab.build, error_tab.build])
def test_a_librarys_error_is_not_shown_but_goes_on_to_the_log(tiny_checkpoints, monkeypatch, build):
    def fail(*_):
        raise ValueError("a library's words")

    # A function of this package's would be taken for ours: the sentence has to come from elsewhere.
    monkeypatch.setattr(TextReader, "read", fail)
    with gr.Blocks():
        view = build(tiny_checkpoints, gr.HTML())
    with pytest.raises(ValueError, match="a library's words"):
        next(fill(view, page_state()))


@pytest.mark.parametrize("build", [attention_tab.build, error_tab.build])
@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text_is_said_and_nothing_is_drawn(tiny_checkpoints, build, text):
    with gr.Blocks():
        view = build(tiny_checkpoints, gr.HTML())
    (values,) = fill(view, page_state(text))
    assert any(NO_TEXT in str(value) for value in values.values())
    assert not any("[CLS]" in str(value) for value in values.values())


def test_for_another_head_the_errors_that_stand_there_stay(reader):
    pieces = list(show(reader, page_state(head=1), frozenset({"head"})))
    assert "heads" not in pieces[0] and pieces[1]["heads"]["chosen"] == [0, 1]
    assert "heads" in next(show(reader, page_state()))


def test_a_head_that_a_smaller_model_lacks_becomes_its_nearest(reader):
    text = reader.read(page_state())
    assert head_within(text.shape, 11, 11) == (1, 2)


@pytest.mark.parametrize("layer", [-3, None, 0.5, "0", 2**70])
def test_a_head_that_no_model_has_is_refused_in_a_sentence(layer):
    with pytest.raises(ValueError, match="layer must be a whole number from 1 to 1000, got "):
        checked({"layer": layer})


def test_the_reader_keeps_the_last_texts_and_no_more(tiny_checkpoints):
    reader = TextReader(tiny_checkpoints, kept=2)
    first = reader.read(page_state("great film"))
    assert reader.read(page_state("great film")) is first
    other = reader.read(page_state("great film", task="question-answering"))  # a head's encoder is its own
    assert other is not first and reader.read(page_state("great film")) is first
    reader.read(page_state("bad film"))
    reader.read(page_state("old city"))
    assert reader.read(page_state("great film")) is not first


@pytest.mark.parametrize("num_landmarks", [0, 5])
def test_the_code_for_the_view_prints_the_numbers_of_the_view(reader, tiny_box, monkeypatch, num_landmarks):
    monkeypatch.setenv("NYSTROM_DEMO_CHECKPOINTS", str(tiny_box))
    viewer, code, _ = show_head(reader, page_state(num_landmarks=num_landmarks, layer=1, head=2))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "<code for this view>", "exec"), {})
    lines, words = printed.getvalue().splitlines(), viewer["words"]
    maps = attention_maps(reader.read(page_state()).layers[1], 2, page_state(num_landmarks=num_landmarks).settings())
    row, column = viewer["strongest"]
    assert lines[3] == f"exact {maps.exact[row, column]:.5f}, landmarks {maps.landmark[row, column]:.5f}"
    if num_landmarks:
        assert lines[0].replace("misses the exact map", "misses the exact one") in words["lead"]
        assert words["negative"].startswith(lines[1].removeprefix("negative entries: "))
        assert lines[2].removeprefix("row sums: ") in words["row_sums"]
