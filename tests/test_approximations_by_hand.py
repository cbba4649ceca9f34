"""One value worked by hand for each method of `approximations`, and what its published description promises."""

import math

import pytest
import torch
from attention_by_hand import qkv

from nystrom_demo.approximations import get
from nystrom_demo.approximations.hashing import gray_place, query_clusters, rotation_order, windows_in_order
from nystrom_demo.approximations.landmarks import nystrom_product
from nystrom_demo.approximations.methods import (
    favor,
    hyper,
    improved_clustered,
    linformer,
    lsh,
    nystrom_farthest,
    nystrom_kmeans,
    nystrom_leverage,
    nystrom_random,
    nystrom_strided,
    skyformer,
    spectral_shift,
    thinformer,
    wildcat,
    window,
)
from nystrom_demo.approximations.operators import Columns, take

LOG2, LOG3 = math.log(2), math.log(3)


def column(*values: float) -> torch.Tensor:
    """One head of width 1, (1, 1, n, 1)."""
    return torch.tensor(values, dtype=torch.float64).view(1, 1, -1, 1)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def close(actual: torch.Tensor, expected, **tolerance) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=actual.dtype), **tolerance)


# Nyström's landmarks


def test_segment_means_with_one_landmark_give_every_row_the_mean_query_s_attention():
    q, k = column(0, 2), column(0, LOG3)  # mean query 1: softmax(0, log 3)
    close(get("nystrom").map(q, k, k, 1)[0, 0], [[0.25, 0.75]] * 2)


def test_the_exact_inverse_makes_the_product_a_projection_of_s_where_landmarks_are_tokens():
    q, k = column(0, 1, 1), column(0, LOG2, LOG2)  # two kinds of tokens: S has rank 2, and two landmarks suffice
    made = nystrom_product(*(x[0] for x in (q, k, q[:, :, :2], k[:, :, :2])), 1.0, torch.linalg.pinv).map()
    kernel_1 = torch.tensor([[1 / 2, 1 / 2], [1 / 3, 2 / 3], [1 / 3, 2 / 3]], dtype=torch.float64)
    kernel_3 = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [1 / 5, 2 / 5, 2 / 5]], dtype=torch.float64)
    torch.testing.assert_close(made[0], kernel_1 @ torch.linalg.inv(kernel_1[:2]) @ kernel_3)
    close(made[0], [[1 / 3, 1 / 3, 1 / 3], [1 / 5, 2 / 5, 2 / 5], [1 / 5, 2 / 5, 2 / 5]])  # which is S itself


def test_strided_tokens_are_the_middles_of_equal_stretches():
    assert nystrom_strided.strided_tokens(7, 3).tolist() == [1, 3, 5]
    assert nystrom_strided.strided_tokens(4, 4).tolist() == [0, 1, 2, 3]


def test_random_tokens_are_different_ordered_and_all_as_likely():
    drawn = nystrom_random.random_tokens(2000, 5, 2, draw())
    assert (drawn[:, 0] < drawn[:, 1]).all()
    counts = torch.bincount(drawn.flatten(), minlength=5)
    assert (counts - 800).abs().max() < 5 * (2000 * 0.4 * 0.6) ** 0.5


def test_a_lloyd_step_moves_centres_to_the_means_of_what_is_nearest():
    points, centres = column(0, 1, 10, 14)[0], column(0, 6, 100)[0]
    close(nystrom_kmeans.lloyd_step(points, centres).flatten(), [0.5, 12.0, 100.0])  # nobody is nearest to the last


def test_the_farthest_tokens_by_hand():
    points = column(0, 1, 2, 10, 11)[0]  # mean 4.8: 11 is farthest, then 0, then 2 (2 from 0; 10 is 1 from 11)
    assert nystrom_farthest.farthest_tokens(points, 3).tolist() == [[4, 0, 2]]
    same = torch.zeros(1, 3, 2)
    assert sorted(nystrom_farthest.farthest_tokens(same, 3)[0].tolist()) == [0, 1, 2]


def test_ridge_leverage_scores_of_orthogonal_points_by_hand():
    points = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))[None]
    # m = 1: λ = 4 + 1, scores σ²/(σ² + λ); m = 3: nothing is left out, and each point is needed
    close(nystrom_leverage.ridge_leverage_scores(points, 1)[0], [9 / 14, 4 / 9, 1 / 6])
    close(nystrom_leverage.ridge_leverage_scores(points, 3)[0], [1.0, 1.0, 1.0])


# Pooled and clustered queries


def test_agent_attention_by_hand():
    q, k = column(0, 2, 0, 4), column(0, LOG3, 0, 0)  # agents 1 and 2: softmax(0, log 3, 0, 0), softmax(0, 2 log 3, …)
    gathers = torch.tensor([[1, 3, 1, 1], [1, 9, 1, 1]], dtype=torch.float64)
    gathers /= gathers.sum(-1, keepdim=True)
    reads = (q[0, 0] @ torch.tensor([[1.0, 2.0]], dtype=torch.float64)).softmax(-1)
    torch.testing.assert_close(get("agent").map(q, k, k, 2)[0, 0], reads @ gathers)


def test_one_cluster_gives_every_row_the_mean_query_s_attention():
    close(get("clustered").map(column(0, 2), column(0, LOG3), column(0, 0), 1)[0, 0], [[0.25, 0.75]] * 2)


def test_clusters_part_queries_that_hash_apart_and_their_centroids_are_means():
    q = column(-3, -2, 5, 7)[0]
    cluster, centroids = query_clusters(q, 2, draw())
    assert cluster[0, 0] == cluster[0, 1] != cluster[0, 2] == cluster[0, 3]
    assert sorted(centroids.flatten().tolist()) == [-2.5, 6.0]


def test_improved_clustered_shares_out_the_top_keys_weight_by_each_query(monkeypatch):
    monkeypatch.setattr(improved_clustered, "TOP_KEYS", 2)
    q, k = column(0, 2, 1), column(0, LOG3, LOG2)  # the mean query 1 sees 1 : 3 : 2, its top keys have 5/6 together
    close(get("improved-clustered").map(q, k, k, 1)[0, 0], [
        [1 / 6, 5 / 6 * 1 / 2, 5 / 6 * 1 / 2],  # the query 0 sees both alike
        [1 / 6, 5 / 6 * 9 / 13, 5 / 6 * 4 / 13],
        [1 / 6, 3 / 6, 2 / 6],
    ])  # fmt: skip


def test_improved_clustered_is_nearer_than_clustered_row_by_row():
    q, k, v = qkv(40)
    exact = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
    clustered, improved = ((get(x).map(q, k, v, 5) - exact).abs().sum(-1) for x in ("clustered", "improved-clustered"))
    assert (improved <= clustered + 1e-12).all() and improved.sum() < 0.9 * clustered.sum()


# Shifts and other kernels


def test_the_spectral_shift_of_a_diagonal_kernel_by_hand():
    a = torch.diag(torch.tensor([1.0, 0.5, 0.25, 0.25], dtype=torch.float64))[None]
    core, delta = spectral_shift.shifted_core(a, 2)  # δ is the mean of the last two; 1/a − δ/a² for the first two
    close(delta, [0.25])
    close(core[0], [[0.75, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    # A shift is exact for a matrix whose values beyond the rank are all the same.
    close(a[0] @ core[0] @ a[0] + delta * torch.eye(4, dtype=torch.float64), a[0].tolist())


def test_the_gaussian_kernel_by_hand():
    kernel = skyformer.gaussian_kernel(column(0, 1)[0], column(0, 3)[0])[0]
    close(kernel, [[1, math.exp(-4.5)], [math.exp(-0.5), math.exp(-2)]])


def test_skyformer_reweighs_its_kernel_to_the_softmax(monkeypatch):
    monkeypatch.setattr(skyformer, "RIDGE", 1e-12)
    q, k, v = (x[0] for x in qkv(6))
    made = skyformer.build(q, k, v, 12, 0.4, draw()).map()  # every query and every key a landmark
    torch.testing.assert_close(made, (q @ k.mT * 0.4).softmax(-1), rtol=0, atol=1e-5)


def test_positive_features_by_hand():
    directions, x = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), torch.tensor([[[2.0, 3.0]]])
    close(favor.log_features(x, directions)[0], [[2 - 6.5, 6 - 6.5]])


def test_features_are_orthogonal_in_blocks_and_their_products_are_exp_on_average():
    directions = favor.orthogonal_directions(1, 8, 4, draw())[0]
    for block in directions.split(4):
        products = block @ block.mT
        torch.testing.assert_close(products, torch.diag(products.diagonal()), rtol=0, atol=1e-5)
    q, k = torch.tensor([[[0.3, -0.2, 0.1, 0.4]]]), torch.tensor([[[0.1, 0.5, -0.3, 0.2]]])
    features = [favor.log_features(x, favor.orthogonal_directions(1, 100_000, 4, draw())).exp() for x in (q, k)]
    assert (features[0] * features[1]).mean() == pytest.approx(math.exp(float((q * k).sum())), rel=0.01)


# Coresets


def test_wildcat_s_weights_solve_for_the_kernel_and_skip_what_is_there_already():
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [2.0, 1.0]], dtype=torch.float64)[None]
    coreset, weights = wildcat.cholesky_coreset(x, 4, draw())  # the first and the third are one
    kernel = skyformer.gaussian_kernel(x, x)[0]
    assert weights[0].isfinite().all()
    torch.testing.assert_close(kernel[:, coreset[0]] @ weights[0], kernel)
    coreset, weights = wildcat.cholesky_coreset(x[:, :2], 1, draw())
    other = 1 - int(coreset)
    assert weights[0, 0, other] == pytest.approx(math.exp(-1))  # ‖x₀ − x₁‖² = 2


def test_one_key_of_wildcat_s_gives_every_row_its_weights():
    q, k = column(1, 2), column(-1, 1)  # centred already; τ² = ρ² · 1/2; exp(−2/τ² · …) whichever is drawn
    made = get("wildcat").map(q, k, k, 1)[0, 0]
    between = math.exp(-2 * 2 / (2 * wildcat.RHO / 2))  # the Gaussian kernel of the two keys over τ
    rows = torch.tensor([1, between], dtype=torch.float64) / (1 + between)
    assert torch.allclose(made, rows.expand(2, -1)) or torch.allclose(made, rows.flip(0).expand(2, -1))


def test_kernel_halving_takes_one_of_each_pair_and_balances_by_hand(monkeypatch):
    # Points 0, 1, 1, 0 on a line, kernel x·y: the pair differences are −1 and 1, so that the second pair is taken
    # against the first: places 0 and 2 sum to 1 as do 1 and 3.
    x = torch.tensor([0.0, 1.0, 1.0, 0.0])
    monkeypatch.setattr(torch, "rand", lambda *size, **options: torch.full(size[0], 0.5))  # no chance, no swap
    assert thinformer.halve(torch.outer(x, x), 0.5, None).tolist() == [0, 2]
    y = torch.tensor([0.0, 1.0, 0.0, 1.0])
    assert thinformer.halve(torch.outer(y, y), 0.5, None).tolist() == [0, 3]


def test_thinning_halves_groups_down_to_the_budget():
    assert [thinformer.halvings(*sizes) for sizes in ((8, 8), (15, 8), (16, 8), (64, 8), (70, 8))] == [0, 0, 1, 3, 3]
    _, k, v = (x[0] for x in qkv(70))
    kept = thinformer.thinned_tokens(k, v, 8, draw())
    assert kept.shape == (3, 8) and all(len(set(row)) == 8 for row in kept.tolist())


def test_thinning_with_little_chance_keeps_the_output_better_than_random_keys(monkeypatch):
    n, m, rounds = 256, 32, 3
    no_chance = math.exp(0.5) * 4 * m  # at which the threshold is zero
    monkeypatch.setattr(thinformer, "FAILURE", no_chance * rounds * n / (2 * m))
    q, k, v = torch.randn(3, 3, n, 1, generator=draw(), dtype=torch.float64)
    exact = (q @ k.mT).softmax(-1) @ v

    def error(kept: torch.Tensor) -> float:
        return float((Columns((q @ take(k, kept).mT).softmax(-1), kept).apply(v) - exact).norm())

    thinned = sum(error(thinformer.thinned_tokens(k, v, m, draw(seed))) for seed in range(8))
    drawn = sum(error(nystrom_random.random_tokens(3, n, m, draw(seed))) for seed in range(8))
    assert thinned < 0.85 * drawn


def test_the_heaviest_columns_by_hand():
    q, k = column(1, 1, 1), column(0, LOG3, LOG2)
    close(get("heavy-columns").map(q, k, k, 2)[0, 0], [[0, 3 / 5, 2 / 5]] * 3)


def test_the_top_keys_of_each_row_by_hand():
    q, k = column(1, -1, 0.5), column(0, LOG3, 2 * LOG3)
    made = get("top-keys").map(q, k, k, 2)[0, 0]
    close(made[:2], [[0, 3 / 12, 9 / 12], [3 / 4, 1 / 4, 0]])


# Sparse patterns


def test_a_window_has_the_first_token_and_the_nearest_others():
    assert window.window_tokens(5, 3).tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 3, 4]]
    assert window.window_tokens(3, 1).tolist() == [[0], [1], [2]]
    assert window.centred_windows(4, 4, 3).tolist() == [[0, 1, 2], [0, 1, 2], [1, 2, 3], [1, 2, 3]]


def test_a_window_s_weights_by_hand():
    q, k = column(1, 1, 1, 1), column(LOG2, 0, LOG3, 0)
    made = get("window").map(q, k, k, 2)[0, 0]  # the first token, and one more
    close(made[2], [2 / 5, 0, 3 / 5, 0])


def test_a_query_reads_the_keys_at_its_own_place_in_their_order():
    q_order, k_order = torch.tensor([[2, 0, 1]]), torch.tensor([[1, 2, 0]])
    assert windows_in_order(q_order, k_order, torch.arange(3)[:, None]).tolist() == [[[2], [0], [1]]]


def test_what_points_the_same_way_hashes_to_the_same_bucket():
    x = torch.randn(1, 30, 6, generator=draw())
    q_order, k_order = rotation_order(x, 7 * x, 8, draw(1))
    assert torch.equal(q_order, k_order) and lsh.num_buckets(64, 8) == 8 and lsh.num_buckets(10**6, 8) == 64


def test_places_of_a_gray_code_by_hand():
    codes = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1]])  # lowest bit first: 00, 01, 11, 10
    assert gray_place(codes).tolist() == [0, 1, 2, 3]
    all_codes = torch.cartesian_prod(*[torch.arange(2)] * 5)
    in_order = all_codes[gray_place(all_codes).argsort()]
    assert (in_order.diff(dim=0).abs().sum(-1) == 1).all()


def test_a_drawn_key_of_hyper_attention_stands_for_its_share():
    q = column(0, 0, 0, 0)  # all scores alike: the near key weighs 1, the drawn one 4/1
    made = get("hyper").map(q, q, q, 2)[0, 0]
    assert {tuple(sorted(row)) for row in made.round(decimals=9).tolist()} <= {(0, 0, 0.2, 0.8), (0, 0, 0, 1)}
    assert hyper.BITS == 7


def test_linformer_with_one_projected_key_has_the_projection_for_every_row():
    q, k, v = (x[0] for x in qkv(5))
    made = linformer.build(q, k, v, 1, 1.0, draw()).map()
    torch.testing.assert_close(made, torch.randn(3, 1, 5, generator=draw()).to(made).expand(-1, 5, -1))


def test_the_best_of_rank_m_errs_by_the_rest_of_the_singular_values():
    q, k, v = qkv(9)
    exact = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
    error = torch.linalg.matrix_norm(get("best-rank").map(q, k, v, 4) - exact)
    torch.testing.assert_close(error, torch.linalg.svdvals(exact)[..., 4:].square().sum(-1).sqrt())
