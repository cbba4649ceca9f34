"""What every method of `approximations` keeps: padding, batch mates, m ≥ n, the rank-m bound, its own cost, errors."""

import types

import pytest
import torch
from attention_by_hand import padded, qkv
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from nystrom_demo import AttentionSettings, nystrom_attention, register_attention, softmax_attention
from nystrom_demo.analysis import collect_layers
from nystrom_demo.approximations import APPROXIMATIONS, get
from nystrom_demo.approximations.registry import load
from nystrom_demo.attention import softmax_attention_map
from nystrom_demo.config import EXACT

NAMES = list(APPROXIMATIONS)
N, M = 13, 5
every_method = pytest.mark.parametrize("name", NAMES)
UNCOUNTED = {  # multiply-adds of decompositions and solves, which formulas estimate and torch's counter does not see
    "best-rank": lambda n, m, d: 10 * n**3 - n**3,
    "nystrom-leverage": lambda n, m, d: 9 * (2 * d) ** 3,
    "skyformer": lambda n, m, d: m**3 // 3 + n * m * m,
    "spectral-shift": lambda n, m, d: 20 * m**3,
    "wildcat": lambda n, m, d: n * m * m // 2,
    "pinv": lambda n, m, d: 21 * m**3,
}


def relative(approximate: torch.Tensor, exact: torch.Tensor) -> float:
    return float((approximate - exact).norm() / exact.norm())


def test_there_are_methods_of_every_kind_and_each_says_its_facts():
    assert len(NAMES) >= 12
    for method in APPROXIMATIONS.values():
        for fact in (method.label, method.formula, method.guarantee, method.source):
            assert fact.strip() and not fact.endswith(".")
    assert len({method.label for method in APPROXIMATIONS.values()}) == len(NAMES)


def test_the_method_called_nystrom_is_the_package_s_own():
    q, k, v = qkv(N)
    torch.testing.assert_close(get("nystrom")(q, k, v, M), nystrom_attention(q, k, v, M))


@every_method
@pytest.mark.parametrize("m", [1, M])
def test_a_row_depends_on_neither_its_padding_nor_its_batch_mates(name, m):
    q, k, v = qkv(N, batch=3)
    lengths = [N, 8, 2]  # longer and shorter than m
    together = [padded(x, 2, 1, -1e4) for x in (q, k, v)]
    mask = torch.zeros(3, N + 3, dtype=torch.bool)
    for row, length in enumerate(lengths):
        mask[row, 2 : 2 + length] = True
    mask[0, 4] = False  # real tokens need not stand together
    output = get(name)(*together, m, mask, seed=7)
    maps = get(name).map(*together, m, mask, seed=7)
    for row in range(3):
        real = mask[row]
        own = [x[row : row + 1][:, :, real] for x in together]
        torch.testing.assert_close(output[row : row + 1][:, :, real], get(name)(*own, m, seed=7))
        torch.testing.assert_close(maps[row][:, real][..., real], get(name).map(*own, m, seed=7)[0])
        assert not output[row][:, ~real].any() and not maps[row][..., ~real].any() and not maps[row][:, ~real].any()


@every_method
def test_a_budget_of_every_token_is_exact_where_promised(name):
    q, k, v = qkv(N, torch.float32)
    exact, exact_map = softmax_attention(q, k, v), softmax_attention_map(q, k)
    for m in (N, N + 1):
        output, made = get(name)(q, k, v, m), get(name).map(q, k, v, m)
        if get(name).exact_at_full:
            torch.testing.assert_close(output, exact, rtol=0, atol=1e-5)
            torch.testing.assert_close(made, exact_map, rtol=0, atol=1e-5)
        else:
            assert relative(output, exact) > 0.01 and relative(made, exact_map) > 0.01


OF_ITSELF = [
    "best-rank",
    "clustered",
    "heavy-columns",
    "improved-clustered",
    "lsh",
    "nystrom-farthest-pinv",
    "nystrom-kmeans-pinv",
    "nystrom-leverage-pinv",
    "nystrom-pinv",
    "nystrom-random-pinv",
    "nystrom-strided-pinv",
    "thinformer",
    "top-keys",
    "wildcat",
    "window",
]


@pytest.mark.parametrize("name", OF_ITSELF)
def test_the_formula_itself_is_exact_with_every_token(name):
    q, k, v = (2 * x[0] for x in qkv(11))
    made = get(name).build(q, k, v, 11, 0.5, torch.Generator().manual_seed(1)).map()
    torch.testing.assert_close(made, (q @ k.mT * 0.5).softmax(-1), rtol=0, atol=1e-6)


@every_method
def test_the_map_is_the_matrix_that_the_output_is_made_with(name):
    q, k, v = qkv(N)
    output, product = get(name)(q, k, v, M, seed=3), get(name).map(q, k, v, M, seed=3) @ v
    if name == "wildcat":  # which holds its output within the range of v
        product = product.clamp(v.amin(2, keepdim=True), v.amax(2, keepdim=True))
    torch.testing.assert_close(output, product)


@every_method
def test_scale_replaces_the_root_of_head_dim(name):
    q, k, v = qkv(N)
    default, given = (get(name).map(q, k, v, M, scale=scale) for scale in (None, q.shape[-1] ** -0.5))
    assert torch.equal(default, given)
    exact = softmax_attention_map(q, k, scale=0.01)
    errors = [relative(get(name).map(q, k, v, N - 1, scale=scale), exact) for scale in (0.01, 1.0)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("method", [m for m in APPROXIMATIONS.values() if m.low_rank], ids=lambda method: method.name)
def test_no_matrix_of_rank_m_beats_the_best_of_rank_m(method):
    for seed in range(3):
        q, k, v = (x * (seed + 0.5) for x in qkv(17, seed=seed))
        exact = softmax_attention_map(q, k)
        values = torch.linalg.svdvals(exact)
        for m in (1, 3, 8):
            made = method.map(q, k, v, m, seed=seed)
            assert int(torch.linalg.matrix_rank(made, rtol=1e-9).max()) <= m
            error = torch.linalg.matrix_norm(made - exact)
            best = values[..., m:].square().sum(-1).sqrt()
            assert (error >= best * (1 - 1e-9)).all()


@every_method
@pytest.mark.parametrize(("n", "m", "d"), [(48, 6, 8), (45, 20, 4)])
def test_the_cost_is_what_torch_counts(name, n, m, d):
    method = get(name)
    q, k, v = torch.randn(3, 2, n, d, generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counter:
        made = method.operator(q, k, v, m)
        made.attend(v)
    counted, said = counter.get_total_flops() / 2 / len(q), method.cost(n, m, d)
    parts = {name, "nystrom-leverage"} if name.startswith("nystrom-leverage") else {name}
    parts |= {"pinv"} if name.endswith("-pinv") else set()
    uncounted = sum(UNCOUNTED[part](n, m, d) for part in parts & set(UNCOUNTED))
    assert counted + uncounted == said.multiply_adds
    assert said.numbers_held == made.held + (n * n if method.oracle else 0)


@every_method
def test_the_cost_of_what_is_no_oracle_grows_as_n(name):
    method = get(name)
    once, twice = (method.cost(n, 64, 64).multiply_adds for n in (8192, 16384))
    assert (twice > 3 * once) if method.oracle else (twice < 2.2 * once)


@every_method
def test_chance_comes_from_the_seed_alone(name):
    q, k, v = qkv(N)
    first, again, other = (get(name)(q, k, v, M, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other) != get(name).random
    assert torch.equal(first[:1], get(name)(q[:1], k[:1], v[:1], M, seed=1))


@every_method
def test_equal_tokens_and_large_scores_give_finite_numbers(name):
    q, k, v = qkv(N, torch.float32)
    same = q[:, :, :1].expand(-1, -1, N, -1)
    for inputs in ((same, same, v), (30 * q, 30 * k, v)):
        assert get(name)(*inputs, M).isfinite().all()


@every_method
def test_half_precision_comes_back_as_it_came(name):
    q, k, v = qkv(N, torch.bfloat16)
    output = get(name)(q, k, v, M)
    assert output.dtype == torch.bfloat16 and output.isfinite().all()


@pytest.mark.parametrize("name", ["nystrom", "wildcat", "favor", "window"])
def test_autocast_narrows_nothing_within(name):
    q, k, v = qkv(N, torch.float32)
    expected, expected_map = get(name)(q, k, v, M), get(name).map(q, k, v, M)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(get(name)(q, k, v, M), expected)
        torch.testing.assert_close(get(name).map(q, k, v, M), expected_map)


@every_method
def test_gradients_reach_what_the_output_is_made_of(name):
    q, k, v = (x.requires_grad_() for x in qkv(N))
    grads = torch.autograd.grad(get(name)(q, k, v, M).sum(), (q, k, v), allow_unused=True)
    assert grads[2].isfinite().all() and grads[2].any()


def test_bad_input_gets_the_package_s_errors():
    q, k, v = qkv(N)
    favor = get("favor")
    with pytest.raises(ValueError, match="k must have the shape of q"):
        favor(q, k[:, :, 1:], v, M)
    with pytest.raises(ValueError, match=r"key_padding_mask must be \(batch, seq\) = \(2, 13\), got \(2, 12\)"):
        favor(q, k, v, M, torch.ones(2, 12, dtype=torch.bool))
    for bad in (0, 1.5, True, "8"):
        with pytest.raises(ValueError, match=f"The budget m must be an integer of at least 1, got {bad!r}"):
            favor(q, k, v, bad)
        with pytest.raises(ValueError, match="The budget m"):
            favor.map(q, k, v, bad)
    for bad in (-1, 2**63, 0.5):
        with pytest.raises(ValueError, match="seed must be an integer from 0 to"):
            favor(q, k, v, M, seed=bad)
    with pytest.raises(ValueError, match=r"approximation must be one of agent, best-rank, .* got 'performer'"):
        get("performer")


def test_a_file_is_all_that_a_method_needs(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    source = (
        "from dataclasses import replace\n"
        "from nystrom_demo.approximations.methods.agent import METHODS as agent\n"
        "METHODS = (replace(agent[0], name='mine'),)\n"
    )
    (tmp_path / "mine" / "new_method.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    import mine

    assert isinstance(mine, types.ModuleType)
    assert list(load(mine)) == ["mine"]
    (tmp_path / "mine" / "second.py").write_text(source)
    with pytest.raises(ValueError, match="Two methods are called 'mine'"):
        load(mine)


def test_nothing_of_size_n_squared_is_held_but_by_oracles():
    n, m = 3000, 8
    q, k, v = torch.randn(3, 1, n, 8, generator=torch.Generator().manual_seed(0))
    for method in APPROXIMATIONS.values():
        if not method.oracle:
            assert method.operator(q, k, v, m).held <= 2 * n * (m + 32) < n * n / 10


# In models


@pytest.fixture(scope="module")
def encoder(tiny_checkpoints):
    return tiny_checkpoints["masked-lm"].model


@pytest.mark.parametrize("name", ["favor", "wildcat", "nystrom-kmeans"])
def test_settings_take_an_approximation_by_name(encoder, name):
    ids = torch.randint(5, encoder.config.vocab_size, (1, N), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = encoder(ids, attention_settings=EXACT).logits
        near = encoder(ids, attention_settings=AttentionSettings(name, M), output_attentions=True)
        alone = encoder(ids, attention_settings=AttentionSettings(name, M)).logits
    torch.testing.assert_close(near.logits, alone)
    assert relative(alone, exact) > 1e-4
    (first,) = collect_layers(encoder, ids, layers=[0])
    torch.testing.assert_close(near.attentions[0], get(name).map(first.q, first.k, first.v, M))


def test_an_encoder_of_transformers_runs_an_approximation_by_name():
    register_attention("favor")
    config = BertConfig(vocab_size=50, hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=32)
    model = BertModel(config).eval()
    ids = torch.randint(5, 50, (2, N), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(N) < torch.tensor([[N], [7]])
    with torch.no_grad():
        exact = model(ids, mask).last_hidden_state
        model.set_attn_implementation("favor")
        model.config.num_landmarks = M
        near, alone = model(ids, mask).last_hidden_state, model(ids[1:, :7]).last_hidden_state
    assert relative(near, exact) > 1e-4
    torch.testing.assert_close(near[1:, :7], alone, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="approximation must be one of"):
        register_attention("performer")
