"""The live pictures of the derivation: from exact attention to the product of the three kernels."""

import torch

from nystrom_demo.analysis import error_against_landmarks, landmark_ladder, pinv_iterates, pinv_residuals
from nystrom_demo.attention import segment_means, softmax_attention_map
from nystrom_demo.lessons.case import Case, relative_error
from nystrom_demo.lessons.scene import Chart, Curve, Matrix, Reading, Scene, Sign, Words, count, percent, scale_end

STEPS = 12
PINV_CUTOFF = 0.05  # singular values of W below this share of the largest count as zero, or noise is what is inverted
TOKENS, LANDMARKS, CHANNELS = "token", "landmark", "channel"


def every_token(case: Case) -> Scene:
    """q and k of a head, the exact attention they make, and that of the layer's other heads."""
    exact = case.maps.exact
    heads = softmax_attention_map(case.inputs.q.float(), case.inputs.k.float())[0]
    n, d = case.q.shape
    i, j = divmod(int(exact.argmax()), n)
    blocks = (
        Matrix("query", "query", "q", case.q, (TOKENS, CHANNELS), "signed"),
        Matrix("key", "key", "kᵀ", case.k.T, (CHANNELS, TOKENS), "signed"),
        Sign("→"),
        Matrix("exact", "exact", "S", exact, (TOKENS, TOKENS)),
    )
    others = tuple(
        Matrix("exact", "exact", f"head {h + 1}", S, (TOKENS, TOKENS), small=True) for h, S in enumerate(heads)
    )
    readings = (
        Reading("tokens n", n),
        Reading("width of a head d", d),
        Reading("weights in S", n * n),
        Reading("largest weight", float(exact.max()), ".4f"),
        Reading("its row", i + 1),
        Reading("its column", j + 1),
    )
    facts = {
        "n": count(n),
        "weights": count(n * n),
        "n_doubled": count(2 * n),
        "weights_doubled": count(4 * n * n),
    }
    summary = (
        f"Exact attention of layer {case.inputs.layer + 1}, head {case.head + 1}: {count(n)} by {count(n)} weights; "
        f"the largest, {exact.max():.2f}, is what token {i + 1} “{case.words[i]}” gives token {j + 1} “{case.words[j]}”."
    )
    return _scene(case, (blocks, others), readings, summary, "four", facts)


def columns(case: Case) -> Scene:
    """S from m of its columns and rows, and the row sums that every one of its entries needs."""
    exact, n, m = case.maps.exact, case.n, case.m
    places = _middles(case)
    C, R, W = exact[:, places], exact[places], exact[places][:, places]
    W_inv = torch.linalg.pinv(W, rtol=PINV_CUTOFF)
    rebuilt = C @ W_inv @ R
    sums = (case.q @ case.k.T / case.q.shape[1] ** 0.5).exp().sum(1, keepdim=True)
    error = relative_error(rebuilt, exact)
    top = scale_end(exact)
    rows = (
        (
            Matrix("denominator", "neutral", "row sums", sums, (TOKENS, "sum")),
            Matrix("kernel_1", "kernel_1", "C", C, (TOKENS, "kept column"), limit=top),
            Matrix("kernel_2", "kernel_2", "W⁺", W_inv, ("kept column", "kept row"), "signed"),
            Matrix("kernel_3", "kernel_3", "R", R, ("kept row", TOKENS), limit=top),
        ),
        (
            Matrix("exact", "exact", "S", exact, (TOKENS, TOKENS), limit=top),
            Sign("≈"),
            Matrix("", "landmark", "C W⁺ R", rebuilt, (TOKENS, TOKENS), "signed", limit=top),
        ),
    )
    readings = (
        Reading("columns kept m", m),
        Reading("weights in C", n * m),
        Reading("exponentials for C", n * n, secret=True),
        Reading("error of C W⁺ R", error, ".4f"),
    )
    facts = {"m": count(m), "n": count(n), "column_entries": count(n * m), "exponentials": count(n * n)}
    summary = (
        f"{count(m)} columns and rows of S rebuild it with a relative error of {percent(error)}; their softmax "
        f"denominators needed all {count(n * n)} exponentials."
    )
    return _scene(case, rows, readings, summary, "all", facts)


def landmarks(case: Case) -> Scene:
    """The text's segments, and the queries and keys that they average to."""
    m = case.m
    q_landmarks, k_landmarks = (segment_means(x[None, None], m)[0][0, 0] for x in (case.q, case.k))
    ratio = float(q_landmarks.norm(dim=1).mean() / case.q.norm(dim=1).mean())
    longest = max(last - first + 1 for first, last in case.segments)
    limit = scale_end(case.q)
    rows = (
        (Words("segment", "neutral", "segments", case.words, case.factors.segments.tolist()),),
        (
            Matrix("query", "query", "q", case.q, (TOKENS, CHANNELS), "signed", limit),
            Sign("→"),
            Matrix("landmark", "query", "q̃", q_landmarks, (LANDMARKS, CHANNELS), "signed", limit),
            Matrix("", "key", "k̃", k_landmarks, (LANDMARKS, CHANNELS), "signed"),
        ),
    )
    readings = (
        Reading("landmarks m", m),
        Reading("tokens in the longest segment", longest),
        Reading("mean length of a query", float(case.q.norm(dim=1).mean()), ".4f", secret=True),
        Reading("mean length of a query landmark", float(q_landmarks.norm(dim=1).mean()), ".4f", secret=True),
    )
    outcome = "under_half" if ratio < 0.5 else "most" if ratio < 0.9 else "nearly"
    facts = {"m": count(m), "n": count(case.n), "length_ratio": f"{ratio:.2f}"}
    summary = (
        f"{count(case.n)} tokens in {count(m)} segments of at most {longest}; a query landmark is on average "
        f"{ratio:.2f} times as long as a token's query."
    )
    return _scene(case, rows, readings, summary, outcome, facts)


def kernels(case: Case) -> Scene:
    """The three kernels in the shape of their product, and S for its size."""
    n, m, factors = case.n, case.m, case.factors
    held = 2 * n * m + m * m
    rows = (
        (
            Matrix("kernel_1", "kernel_1", "F", factors.kernel_1, (TOKENS, LANDMARKS)),
            Matrix("kernel_2", "kernel_2", "A", factors.kernel_2, (LANDMARKS, LANDMARKS)),
            Matrix("kernel_3", "kernel_3", "B", factors.kernel_3, (LANDMARKS, TOKENS)),
        ),
        (Sign("in place of"), Matrix("", "exact", "S", case.maps.exact, (TOKENS, TOKENS))),
    )
    readings = (
        Reading("numbers in F", n * m),
        Reading("numbers in A", m * m),
        Reading("numbers in B", m * n),
        Reading("together", held, secret=True),
        Reading("numbers in S", n * n, secret=True),
    )
    outcome = "under_half" if 2 * held < n * n else "under_all" if held <= n * n else "more"
    break_even = (2**0.5 - 1) * n  # the root of 2 n m + m² = n²
    facts = {
        "n": count(n),
        "kernel_entries": count(held),
        "weights": count(n * n),
        "break_even": f"{break_even:.1f}",
    }
    summary = (
        f"F, A and B of {count(m)} landmarks hold {count(held)} numbers, {held / (n * n):.2f} times the {count(n * n)} "
        "of exact attention."
    )
    return _scene(case, rows, readings, summary, outcome, facts)


def pseudo_inverse(case: Case) -> Scene:
    """A, the estimate of its pseudo-inverse after some steps, their product, and both first estimates' residuals."""
    step = case.controls.step
    table = pinv_residuals(case.inputs, case.head, case.landmark_settings, steps=STEPS)
    own, shared = (
        table[table.first_estimate == name].residual.tolist() for name in ("own norms", "largest of the heads")
    )
    A = case.factors.kernel_2
    scales = _first_scales(case)
    Z = pinv_iterates(_all_kernels_2(case), case.head, inv_coeff_init_option=case.settings.inv_coeff_init_option)[step]
    rows = (
        (
            Matrix("kernel_2", "kernel_2", "A", A, (LANDMARKS, LANDMARKS)),
            Matrix("estimate", "landmark", f"Z after {step}", Z, (LANDMARKS, LANDMARKS), "signed"),
            Sign("→"),
            Matrix("product", "neutral", "A Z", A @ Z, (LANDMARKS, LANDMARKS), "signed", limit=1.0),
        ),
        (
            Chart(
                "residual ‖A Z A − A‖ / ‖A‖",
                range(STEPS + 1),
                "steps t",
                "residual",
                (
                    Curve("scale", "best_rank", "c of own norms", own),
                    Curve("scale", "peer", "c the largest of the heads", shared),
                ),
                log_y=True,
                mark=step,
                secret=True,
            ),
        ),
    )
    readings = (
        Reading("condition number of A", float(table.condition.iloc[0]), ".4g"),
        Reading("residual at this step, own norms", own[step], ".3e", secret=True),
        Reading("residual at this step, largest of the heads", shared[step], ".3e", secret=True),
    )
    six = min(6, STEPS)
    tie = abs(own[six] - shared[six]) <= 0.02 * max(own[six], shared[six])
    outcome = "tie" if tie else "own" if own[six] < shared[six] else "shared"
    facts = {
        "residual_own": f"{own[six]:.3g}",
        "residual_shared": f"{shared[six]:.3g}",
        "c_own": f"{scales[case.head]:.2f}",
        "c_shared": f"{max(scales):.2f}",
    }
    summary = (
        f"The pseudo-inverse of A, {count(case.m)} by {count(case.m)} with condition number "
        f"{table.condition.iloc[0]:.3g}: after {step} steps the residual is {own[step]:.2g} from the head's own norms "
        f"and {shared[step]:.2g} from the largest of the heads."
    )
    return _scene(case, rows, readings, summary, outcome, facts)


def together(case: Case) -> Scene:
    """The product beside the exact matrix, their difference, and the error against m above its floor."""
    maps, factors, m = case.maps, case.factors, case.m
    ladder = sorted({*landmark_ladder(case.n), m})
    table = error_against_landmarks(case.inputs, case.head, ladder, case.landmark_settings)
    here = table[table.num_landmarks == m].iloc[0]
    error, best = float(here.frobenius), float(here.best_frobenius)
    top = scale_end(maps.exact)
    rows = (
        (
            Matrix("kernel_1", "kernel_1", "F", factors.kernel_1, (TOKENS, LANDMARKS)),
            Matrix("kernel_2", "kernel_2", "Z", factors.kernel_2_inv, (LANDMARKS, LANDMARKS), "signed"),
            Matrix("kernel_3", "kernel_3", "B", factors.kernel_3, (LANDMARKS, TOKENS)),
        ),
        (
            Matrix("exact", "exact", "S", maps.exact, (TOKENS, TOKENS), limit=top),
            Matrix("landmark", "landmark", "Ŝ", maps.landmark, (TOKENS, TOKENS), limit=top),
            Matrix("difference", "difference", "Ŝ − S", maps.difference, (TOKENS, TOKENS), "signed", secret=True),
        ),
        (
            Chart(
                "error against m",
                ladder,
                "landmarks m",
                "relative error",
                (
                    Curve("difference", "landmark", "landmarks", table.frobenius.tolist()),
                    Curve("best_rank", "best_rank", "best of rank m", table.best_frobenius.tolist()),
                ),
                log_x=True,
                mark=m,
                secret=True,
            ),
        ),
    )
    readings = (
        Reading("landmarks m", m),
        Reading("error of landmarks", error, ".4f", secret=True),
        Reading("least error of rank m", best, ".4f", secret=True),
    )
    ratio = error / best if best else 1.0
    outcome = "near" if ratio <= 1.25 else "double" if ratio <= 2 else "far"
    facts = {"m": count(m), "error": percent(error), "best": percent(best), "ratio": f"{ratio:.2f}"}
    summary = (
        f"With {count(m)} landmarks the relative error is {percent(error)}; no matrix of that rank has less than "
        f"{percent(best)}."
    )
    return _scene(case, rows, readings, summary, outcome, facts)


def signs(case: Case) -> Scene:
    """Ŝ with its negative weights, its row sums, and both against the steps of the pseudo-inverse."""
    factors, landmark = case.factors, case.maps.landmark
    shares, distances = [], []
    iterates = pinv_iterates(_all_kernels_2(case), case.head, inv_coeff_init_option=case.settings.inv_coeff_init_option)
    exact = case.m == case.n
    for Z in iterates:
        product = landmark if exact else factors.kernel_1 @ (Z @ factors.kernel_3)
        shares.append(float((product < 0).float().mean()))
        distances.append(float((product.sum(1) - 1).abs().max()))
    share, sums = float((landmark < 0).float().mean()), landmark.sum(1)
    rows = (
        (
            Matrix("kernel_1", "kernel_1", "F", factors.kernel_1, (TOKENS, LANDMARKS)),
            Matrix("kernel_2", "kernel_2", "Z", factors.kernel_2_inv, (LANDMARKS, LANDMARKS), "signed"),
            Matrix("kernel_3", "kernel_3", "B", factors.kernel_3, (LANDMARKS, TOKENS)),
        ),
        (
            Matrix("negative", "negative", "Ŝ", landmark, (TOKENS, TOKENS), "signed"),
            Matrix("sums", "best_rank", "row sums − 1", (sums - 1)[:, None], (TOKENS, "sum"), "signed"),
        ),
        (
            Chart(
                "against the steps of the pseudo-inverse",
                range(STEPS + 1),
                "steps t",
                "share or distance",
                (
                    Curve("negative", "negative", "share of negative weights", shares),
                    Curve("sums", "best_rank", "largest distance of a row sum from 1", distances),
                ),
                mark=min(case.settings.pinv_iterations, STEPS),
                secret=True,
            ),
        ),
    )
    readings = (
        Reading("steps t", case.settings.pinv_iterations),
        Reading("share of negative weights", share, ".4f"),
        Reading("lowest weight", float(landmark.min()), ".4f"),
        Reading("largest distance of a row sum from 1", float((sums - 1).abs().max()), ".4f"),
    )
    fewer, closer = (late < 0.5 * early for early, late in ((x[3], x[STEPS]) for x in (shares, distances)))
    outcome = {(True, True): "both", (True, False): "negatives", (False, True): "sums"}.get((fewer, closer), "neither")
    facts = {
        "negative_early": percent(shares[3]),
        "negative_late": percent(shares[STEPS]),
        "sums_early": f"{distances[3]:.2g}",
        "sums_late": f"{distances[STEPS]:.2g}",
    }
    summary = (
        f"{percent(share)} of the landmark weights are negative, the lowest {landmark.min():.3f}; row sums differ from "
        f"one by at most {(sums - 1).abs().max():.2g}."
    )
    return _scene(case, rows, readings, summary, outcome, facts)


def _scene(case: Case, rows, readings, summary, outcome, facts) -> Scene:
    return Scene(rows, readings, summary, outcome, facts, case.words, case.segments, case.note)


def _middles(case: Case) -> list[int]:
    """The middle token of each segment."""
    return [(first + last) // 2 for first, last in case.segments]


def _all_kernels_2(case: Case) -> torch.Tensor:
    """kernel_2 of every head of the layer, (heads, m, m)."""
    q_landmarks, k_landmarks = (segment_means(x.float(), case.m)[0] for x in (case.inputs.q, case.inputs.k))
    return softmax_attention_map(q_landmarks, k_landmarks)[0]


def _first_scales(case: Case) -> list[float]:
    """c of every head: its largest column sum times its largest row sum, which is one."""
    return _all_kernels_2(case).sum(-2).amax(-1).tolist()
