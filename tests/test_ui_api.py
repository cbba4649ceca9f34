"""The named endpoints, through gradio_client and a server on the loopback: the package's answers as plain JSON."""

import copy
import shutil

import pytest
import torch
from gradio_client import Client

from nystrom_demo import analysis, tasks
from nystrom_demo.checkpoints import Library
from nystrom_demo.config import EXACT, AttentionSettings
from nystrom_demo.errors import UserError
from nystrom_demo.limits.budget import Limits, under_limits
from nystrom_demo.ui.api import Endpoints

TEXT = "john smith went to paris and saw the river, the cat and the old house"
LANDMARKS = {0: EXACT, 3: AttentionSettings(num_landmarks=3)}


@pytest.fixture(scope="module")
def client(app_url):
    return Client(app_url, verbose=False)


def test_exactly_the_seven_endpoints_are_published(client):
    names = set(client.view_api(return_format="dict", print_info=False)["named_endpoints"])
    assert names == {
        "/fill_mask",
        "/classify",
        "/tag",
        "/answer",
        "/choose",
        "/compare_attention",
        "/time_attention",
    }


@pytest.mark.parametrize("m", LANDMARKS)
def test_fill_mask_gives_a_list_for_each_mask(client, tiny_checkpoints, m):
    text = "the [MASK] of france is [MASK]."
    found = tasks.fill_mask(tiny_checkpoints["masked-lm"], text, LANDMARKS[m], top_k=2)
    wanted = [[{"token": c.token, "score": pytest.approx(c.score)} for c in mask.candidates] for mask in found.masks]
    assert client.predict(text, m, 2, api_name="/fill_mask") == wanted


@pytest.mark.parametrize("m", LANDMARKS)
def test_classify_gives_labels_with_scores(client, tiny_checkpoints, m):
    wanted = tasks.classify(tiny_checkpoints["sequence-classification"], TEXT, LANDMARKS[m]).probabilities
    assert client.predict(TEXT, m, api_name="/classify") == pytest.approx(wanted)


@pytest.mark.parametrize("m", LANDMARKS)
def test_tag_gives_entities_in_characters(client, tiny_checkpoints, m):
    found = client.predict(TEXT, m, api_name="/tag")
    wanted = tasks.tag(tiny_checkpoints["token-classification"], TEXT, LANDMARKS[m]).entities
    assert [(e["entity"], e["start"], e["end"]) for e in found] == [(e.entity, e.start, e.end) for e in wanted]
    for entity in found:
        assert TEXT[entity["start"] : entity["end"]] == entity["word"]
        assert set(entity) == {"entity", "word", "start", "end", "score"}


@pytest.mark.parametrize("m", LANDMARKS)
def test_answer_gives_the_best_stretch_or_none(client, tiny_checkpoints, m):
    found = client.predict("who went to paris?", TEXT, m, api_name="/answer")
    wanted = tasks.answer(tiny_checkpoints["question-answering"], "who went to paris?", TEXT, LANDMARKS[m])
    if wanted.no_answer:
        assert found == {"answer": "", "start": 0, "end": 0, "score": pytest.approx(wanted.no_answer_score)}
    else:
        best = wanted.answers[0]
        score = pytest.approx(best.score)
        assert found == {"answer": best.answer, "start": best.start, "end": best.end, "score": score}


@pytest.mark.parametrize("m", LANDMARKS)
def test_choose_gives_index_choice_and_scores(client, tiny_checkpoints, m):
    options = ["he went home", "he saw paris", "the cat sat"]
    found = client.predict("what did he do?", options, TEXT, m, api_name="/choose")
    wanted = tasks.choose(tiny_checkpoints["multiple-choice"], "what did he do?", options, TEXT, LANDMARKS[m])
    assert found == {"index": wanted.index, "choice": wanted.choice, "scores": pytest.approx(list(wanted.scores))}


def test_compare_attention_gives_every_figure_of_a_head(client, tiny_checkpoints):
    checkpoint = tiny_checkpoints["masked-lm"]
    ids = torch.tensor([checkpoint.tokenizer(TEXT)["input_ids"]])
    (layer,) = analysis.collect_layers(checkpoint.model, ids, layers=[1])
    wanted = analysis.compare_attention(layer, 2, LANDMARKS[3])
    assert client.predict(TEXT, 1, 2, 3, api_name="/compare_attention") == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_time_attention_gives_a_point_for_each_way_and_length(client):
    points = client.predict([32, 64], 7, 2, 8, api_name="/time_attention")
    assert [(p["method"], p["n"]) for p in points] == [
        (name, n) for n in (32, 64) for name in ("softmax (SDPA)", "landmarks")
    ]
    assert all(p["seconds"] > 0 and p["peak_bytes"] > 0 for p in points)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("/classify", ("", 0), "text must not be empty"),
        ("/classify", (TEXT, -1), "num_landmarks must be a whole number from 0 to 16384, got -1"),
        ("/fill_mask", ("no gap here", 0, 5), "write [MASK] where a word is to be guessed"),
        ("/fill_mask", ("a [MASK]", 0, 0), "top_k must be a whole number from 1 to 100, got 0"),
        ("/choose", ("what?", ["one"], "", 0), "choices must be a list of 2 to 6 entries, got 1"),
        ("/compare_attention", (TEXT, 7, 0, 3), "layer must be a whole number from 0 to 1, got 7"),
        ("/compare_attention", (TEXT, 0, 3, 3), "head must be a whole number from 0 to 2, got 3"),
        ("/time_attention", ([64, 10**9], 7, 2, 8), "lengths[1] must be a whole number from 1 to 65536"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(client, name, arguments, said):
    with pytest.raises(Exception) as refusal:  # gradio_client's own error class
        client.predict(*arguments, api_name=name)
    assert said in str(refusal.value)


@pytest.fixture(scope="module")
def endpoints(tiny_checkpoints, tmp_path_factory) -> Endpoints:
    """Over a root with "mine", a masked-word checkpoint whose answers are not the bundled one's, and a spoiled one."""
    root = tmp_path_factory.mktemp("root")
    model = copy.deepcopy(tiny_checkpoints["masked-lm"].model)
    torch.nn.init.normal_(model.get_output_embeddings().bias, generator=torch.Generator().manual_seed(1))
    model.save_pretrained(root / "mine")
    tiny_checkpoints["masked-lm"].tokenizer.save_pretrained(root / "mine")
    shutil.copytree(root / "mine", root / "spoiled")
    (root / "spoiled" / "model.safetensors").write_bytes(b"x" * 100)
    return Endpoints(Library(tiny_checkpoints.boxes, root=root))


def test_an_endpoint_answers_with_the_checkpoint_that_is_named(endpoints):
    text = "the [MASK] of france"
    wanted = tasks.fill_mask(endpoints.checkpoints.load("mine", "masked-lm"), text, EXACT, top_k=2).masks[0]
    ((best, _),) = endpoints.fill_mask(text, 0, 2, "mine")
    assert (best["token"], best["score"]) == (wanted.candidates[0].token, pytest.approx(wanted.candidates[0].score))
    assert best != endpoints.fill_mask(text, 0, 2)[0][0]
    assert endpoints.compare_attention(TEXT, 1, 2, 3, "mine") == endpoints.compare_attention(
        TEXT, 1, 2, 3
    )  # one encoder


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda e: e.classify(TEXT, 0, "mine"), "a trained head for sequence-classification, got 'mine'."),
        (lambda e: e.tag(TEXT, 0, "mine"), "a trained head for token-classification, got 'mine'."),
        (lambda e: e.answer("who?", TEXT, 0, "mine"), "a trained head for question-answering, got 'mine'."),
        (lambda e: e.choose("who?", ["he", "it"], "", 0, "mine"), "a trained head for multiple-choice, got 'mine'."),
        (lambda e: e.classify(TEXT, 0, "theirs"), "'theirs' is not among the checkpoints here."),
        (lambda e: e.classify(TEXT, 0, "owner/name"), "'owner/name' is not among the checkpoints here."),
        (lambda e: e.tag(TEXT, 0, "../mine"), "'../mine' is not among the checkpoints here."),
        (lambda e: e.fill_mask("a [MASK]", 0, 5, "a" * 201), "checkpoint must have at most 200 characters, got 201."),
        (lambda e: e.fill_mask("a [MASK]", 0, 5, None), "checkpoint must be a text, got None."),
        (lambda e: e.compare_attention(TEXT, 0, 0, 3, "spoiled"), "safetensors"),
    ],
)
def test_a_checkpoint_that_has_not_what_is_asked_is_refused_in_a_sentence(endpoints, ask, said):
    with pytest.raises(ValueError) as refusal:
        ask(endpoints)
    assert said in str(refusal.value) and str(refusal.value).endswith(".")


def test_a_named_checkpoints_answer_asks_for_memory_as_the_pages_do(endpoints):
    with under_limits(Limits(request_bytes=1000)), pytest.raises(UserError, match="this server allows a request"):
        endpoints.fill_mask("a [MASK]", 0, 5, "mine")
