"""A head's maps and errors, against a direct computation in float64 or by hand."""

import math

import pytest
import torch
from analysis_by_hand import HEAD_DIM, HEADS, SETTINGS, M, N, errors_in_double, maps_in_double, random_inputs
from transformers import BertConfig, BertModel

from nystrom_demo import register_attention
from nystrom_demo.analysis import (
    LayerInputs,
    attention_maps,
    best_rank_errors,
    blocked,
    blocked_errors,
    cell_recipe,
    collect_layers,
    compare_attention,
    error_against_landmarks,
    exact_map,
    head_errors,
    head_factors,
    landmark_ladder,
    landmark_lens,
    pinv_residuals,
    segment_table,
)
from nystrom_demo.benchmark import peak_bytes
from nystrom_demo.config import EXACT, AttentionSettings


class TestCollectLayers:
    def test_q_k_v_are_the_projections_of_the_hidden_states_of_the_exact_pass(self, model, input_ids):
        layers = collect_layers(model, input_ids)
        with torch.no_grad():
            states = model.base_model(input_ids, output_hidden_states=True, attention_settings=EXACT).hidden_states
            for index, inputs in enumerate(layers):
                wanted = model.base_model.encoder.layer[index].attention.self.project(states[index])
                assert inputs.layer == index
                for x, y in zip(inputs[:3], wanted, strict=True):
                    torch.testing.assert_close(x, y)
        assert len(layers) == model.config.num_hidden_layers

    def test_settings_choose_another_pass(self, model, input_ids):
        exact, landmark = (collect_layers(model, input_ids, settings=s)[1].q for s in (EXACT, SETTINGS))
        assert not torch.allclose(exact, landmark, atol=1e-3)

    @pytest.mark.parametrize("left", [0, 3])
    def test_padding_changes_nothing_of_a_text(self, model, input_ids, left):
        padded = torch.nn.functional.pad(input_ids, (left, 5 - left), value=9)
        mask = torch.nn.functional.pad(torch.ones_like(input_ids), (left, 5 - left))
        alone, among = collect_layers(model, input_ids)[1], collect_layers(model, padded, mask)[1]
        for x, y in zip(alone.text()[:3], among.text()[:3], strict=True):
            torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-5)
        assert among.text().num_tokens == N and among.text().key_padding_mask is None
        for x, y in zip(attention_maps(alone, 1, SETTINGS), attention_maps(among, 1, SETTINGS), strict=True):
            torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-5)

    def test_only_the_wanted_layers_are_kept(self, model, input_ids):
        (second,) = collect_layers(model, input_ids, layers=[1])
        assert second.layer == 1
        torch.testing.assert_close(second.q, collect_layers(model, input_ids)[1].q)

    @pytest.mark.parametrize("layers", [[2], [-1], [True], []])
    def test_a_layer_that_is_not_there_is_named(self, model, input_ids, layers):
        with pytest.raises(ValueError, match=r"layers must be integers from 0 to 1, got \["):
            collect_layers(model, input_ids, layers=layers)

    def test_a_model_in_training_is_refused(self, model, input_ids):
        model.train()
        try:
            with pytest.raises(ValueError, match=r"evaluation mode.*call \.eval\(\)"):
                collect_layers(model, input_ids)
        finally:
            model.eval()

    def test_a_transformers_encoder_gives_its_own_projections_and_keeps_its_attention(self):
        torch.manual_seed(0)
        shape = {"hidden_size": 15, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 7}
        bert = BertModel(BertConfig(vocab_size=31, **shape)).eval()
        before = bert.config._attn_implementation
        ids = torch.arange(1, 12)[None]
        mask = torch.tensor([[1] * 8 + [0] * 3])
        first, second = collect_layers(bert, ids, mask)
        with torch.no_grad():
            hidden_states = bert(ids, mask, output_hidden_states=True).hidden_states[1]
            query = bert.encoder.layer[1].attention.self.query(hidden_states).unflatten(-1, (3, 5)).transpose(1, 2)
        torch.testing.assert_close(second.q[:, :, :8], query[:, :, :8], atol=1e-5, rtol=1e-5)
        assert (first.layer, second.layer) == (0, 1) and first.text().num_tokens == 8
        assert bert.config._attn_implementation == before
        exact = (first.q[0, 2, :8] @ first.k[0, 2, :8].T / math.sqrt(5)).softmax(-1)
        torch.testing.assert_close(exact_map(first, 2), exact)

    def test_an_encoder_that_runs_under_nystrom_is_left_as_it_is_while_others_use_it(self):
        register_attention()
        shape = {"hidden_size": 15, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 7}
        bert = BertModel._from_config(BertConfig(vocab_size=31, **shape), attn_implementation="nystrom").eval()
        ids = torch.arange(1, 12)[None]
        few = AttentionSettings("nystrom", 3)
        with torch.no_grad():
            expected = bert(ids, attention_settings=few).last_hidden_state
        others = []

        def answer_another(*_) -> None:
            if not others:
                others.append(bert.config._attn_implementation)
                others.append(bert(ids, attention_settings=few).last_hidden_state)

        bert.encoder.layer[1].register_forward_pre_hook(answer_another)
        first, second = collect_layers(bert, ids)
        assert (first.layer, second.layer, others[0]) == (0, 1, "nystrom")
        torch.testing.assert_close(others[1], expected)


class TestMaps:
    @pytest.mark.parametrize("own_norms", [False, True])
    @pytest.mark.parametrize("head", range(HEADS))
    def test_maps_of_one_head_are_those_of_all_heads_in_float64(self, head, own_norms):
        settings = SETTINGS._replace(inv_coeff_init_option=own_norms)
        maps = attention_maps(random_inputs(), head, settings)
        exact, landmark = maps_in_double(random_inputs(), head, settings)
        torch.testing.assert_close(maps.exact.double(), exact, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(maps.landmark.double(), landmark, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(maps.difference, maps.landmark - maps.exact)

    @pytest.mark.parametrize(
        "settings", [AttentionSettings(num_landmarks=N), AttentionSettings(num_landmarks=64), EXACT]
    )
    def test_the_difference_is_zero_when_every_token_is_a_landmark(self, settings):
        maps = attention_maps(random_inputs(), 1, settings)
        assert not maps.difference.any() and torch.equal(maps.exact, maps.landmark)
        factors = head_factors(random_inputs(), 1, settings)
        torch.testing.assert_close(factors.readers @ factors.kernel_3, maps.exact)

    @pytest.mark.parametrize("head", [-1, HEADS, 1.0, True])
    def test_a_head_that_is_not_there_is_named(self, head):
        for call in (attention_maps, head_factors, blocked_errors, pinv_residuals, compare_attention):
            with pytest.raises(ValueError, match=f"head must be an integer from 0 to 2, got {head!r}"):
                call(random_inputs(), head, SETTINGS)

    def test_the_terms_of_a_cell_add_up_to_its_entry(self):
        maps, factors = attention_maps(random_inputs(), 2, SETTINGS), head_factors(random_inputs(), 2, SETTINGS)
        for i, j in ((0, 0), (3, 11), (12, 5)):
            recipe = cell_recipe(factors, i, j)
            assert list(recipe.landmark) == [0, 1, 2, 3]
            assert recipe.term.sum() == pytest.approx(float(maps.landmark[i, j]), abs=1e-6)
            weight = factors.kernel_1[i].double() @ factors.kernel_2_inv.double()
            assert list(recipe.weight) == pytest.approx(weight.tolist(), abs=1e-5)
            assert list(recipe.gathered) == pytest.approx(factors.kernel_3[:, j].tolist())

    @pytest.mark.parametrize(
        ("i", "j", "words"), [(13, 0, "i must be from 0 to 12, got 13"), (0, -1, "j must be .* -1")]
    )
    def test_a_cell_outside_the_map_is_named(self, i, j, words):
        with pytest.raises(ValueError, match=words):
            cell_recipe(head_factors(random_inputs(), 0, SETTINGS), i, j)

    def test_thirteen_tokens_in_four_segments_are_four_three_three_three(self):
        factors = head_factors(random_inputs(), 0, SETTINGS)
        table = segment_table(factors)
        assert list(table.tokens) == [4, 3, 3, 3]
        assert list(table.start) == [0, 4, 7, 10] and list(table.end) == [4, 7, 10, 13]
        assert factors.segments.tolist() == [0] * 4 + [1] * 3 + [2] * 3 + [3] * 3

    def test_the_lens_shows_a_landmarks_row_and_columns(self):
        factors = head_factors(random_inputs(), 0, SETTINGS)
        lens = landmark_lens(factors, 2)
        assert (lens.start, lens.end) == (7, 10)
        assert float(lens.gathers.sum()) == pytest.approx(1, abs=1e-6)
        torch.testing.assert_close(lens.read_by, factors.kernel_1[:, 2])
        torch.testing.assert_close(lens.weight, (factors.kernel_1 @ factors.kernel_2_inv)[:, 2])
        outputs = sum(
            landmark_lens(factors, i).weight[:, None] * landmark_lens(factors, i).gathers[None] for i in range(M)
        )
        torch.testing.assert_close(outputs, attention_maps(random_inputs(), 0, SETTINGS).landmark)

    def test_a_landmark_that_is_not_there_is_named(self):
        with pytest.raises(ValueError, match="landmark must be from 0 to 3, got 4"):
            landmark_lens(head_factors(random_inputs(), 0, SETTINGS), 4)


class TestErrors:
    @pytest.mark.parametrize("n", [N, 131])
    def test_errors_of_every_head_equal_a_direct_computation(self, n):
        inputs = random_inputs(n)
        table = head_errors([inputs, inputs._replace(layer=8)], SETTINGS)
        assert list(table["layer"]) == [7] * HEADS + [8] * HEADS and list(table["head"]) == [0, 1, 2] * 2
        for line in table[:HEADS].to_dict("records"):
            direct = errors_in_double(inputs, line["head"], SETTINGS)
            for name in ("frobenius", "spectral", "output", "row_sum_error"):
                assert line[name] == pytest.approx(direct[name], rel=2e-4, abs=1e-5), name  # abs: of sums near one
            assert abs(line["negative"] - direct["negative"]) <= n * n * 1e-3  # entries within rounding of zero

    def test_the_spectral_error_can_be_left_out(self):
        assert "spectral" not in head_errors([random_inputs()], SETTINGS, spectral=False)

    def test_errors_are_zero_when_every_token_is_a_landmark(self):
        table = head_errors([random_inputs()], AttentionSettings(num_landmarks=N))
        assert not table.drop(columns=["layer", "head"]).to_numpy().any()

    def test_rows_of_one_landmark_are_that_landmarks_row(self):
        # m = 1: kernel_1 is a column of ones and kernel_2 is 1, so each row of the map is kernel_3 and sums to one.
        inputs = random_inputs()
        maps = attention_maps(inputs, 0, AttentionSettings(num_landmarks=1))
        mean = inputs.q[0, 0].mean(0)
        row = (inputs.k[0, 0] @ mean / math.sqrt(HEAD_DIM)).softmax(-1)
        torch.testing.assert_close(maps.landmark, row.expand(N, N))
        errors = blocked_errors(inputs, 0, AttentionSettings(num_landmarks=1))
        assert errors.negative == 0 and errors.row_sum_error == pytest.approx(0, abs=1e-6)

    def test_the_best_of_rank_one_of_two_and_one_is_worked_by_hand(self):
        frobenius, spectral = best_rank_errors(torch.tensor([2.0, 1.0]), 1)
        assert frobenius == pytest.approx(1 / math.sqrt(5)) and spectral == pytest.approx(0.5)
        assert best_rank_errors(torch.tensor([2.0, 1.0]), 2) == (0.0, 0.0)

    def test_landmarks_are_never_better_than_the_best_of_their_rank(self):
        inputs = random_inputs()
        table = error_against_landmarks(inputs, 1, [1, 2, 5, 11, N, 16], SETTINGS)
        exact, _ = maps_in_double(inputs, 1, SETTINGS)
        u, s, vh = torch.linalg.svd(exact)
        norm = torch.linalg.matrix_norm
        for line in table.to_dict("records"):
            m = line["num_landmarks"]
            rest = (u[:, m:] * s[m:]) @ vh[m:]
            assert line["best_frobenius"] == pytest.approx(float(norm(rest) / norm(exact)), abs=1e-6)
            assert line["best_spectral"] == pytest.approx(float(norm(rest, 2) / norm(exact, 2)), abs=1e-6)
            assert line["frobenius"] >= line["best_frobenius"] and line["spectral"] >= line["best_spectral"] - 1e-6
        assert not table[table.num_landmarks >= N].drop(columns="num_landmarks").to_numpy().any()
        direct = errors_in_double(inputs, 1, SETTINGS._replace(num_landmarks=5))
        assert table.frobenius[2] == pytest.approx(direct["frobenius"], rel=2e-4)

    @pytest.mark.parametrize(("n", "ladder"), [(1, [1]), (2, [1, 2]), (13, [1, 2, 4, 8, 13]), (16, [1, 2, 4, 8, 16])])
    def test_the_ladder_doubles_and_ends_with_exact_attention(self, n, ladder):
        assert landmark_ladder(n) == ladder


class TestBlocked:
    def test_small_blocks_give_what_one_block_gives(self, monkeypatch):
        inputs = random_inputs(131)
        whole = blocked_errors(inputs, 2, SETTINGS)
        monkeypatch.setattr(blocked, "_BLOCK_BYTES", 4 * 131 * 7)  # seven rows a block, five in the last
        parts = blocked_errors(inputs, 2, SETTINGS)
        assert parts.negative == whole.negative
        assert parts == pytest.approx(whole, rel=1e-5)
        direct = errors_in_double(inputs, 2, SETTINGS)
        assert parts.spectral == pytest.approx(direct["spectral"], rel=2e-4)
        assert (parts.num_tokens, parts.num_landmarks) == (131, M)

    def test_no_square_matrix_is_held(self, monkeypatch):
        n, settings = 1021, AttentionSettings(num_landmarks=11)
        monkeypatch.setattr(blocked, "_BLOCK_BYTES", 2**17)
        inputs = LayerInputs(*torch.randn(3, 1, 1, n, HEAD_DIM))
        assert peak_bytes(lambda: blocked_errors(inputs, 0, settings), torch.device("cpu")) < 4 * n * n / 2

    @pytest.mark.slow
    def test_sixteen_thousand_tokens_take_less_than_a_gigabyte(self):
        inputs, settings = LayerInputs(*torch.randn(3, 1, 1, 16_384, HEAD_DIM)), AttentionSettings(num_landmarks=64)
        peak = peak_bytes(lambda: blocked_errors(inputs, 0, settings, spectral=False), torch.device("cpu"))
        assert peak < 2**28  # a quarter of the promise; the square matrix alone would be a whole one

    def test_progress_reaches_the_end_of_each_pass_and_can_stop_the_work(self, monkeypatch):
        monkeypatch.setattr(blocked, "_BLOCK_BYTES", 4 * N * 5)
        shares = []
        blocked_errors(random_inputs(), 0, SETTINGS, spectral=False, progress=shares.append)
        assert shares == pytest.approx([5 / 13, 10 / 13, 1])

        def stop(share):
            raise InterruptedError

        with pytest.raises(InterruptedError):
            blocked_errors(random_inputs(), 0, SETTINGS, progress=stop)
