"""Spectra, pseudo-inverses, what errors do to a model's states, padding: against float64 or by hand."""

import copy
import json

import pandas as pd
import pytest
import torch
from analysis_by_hand import HEADS, SETTINGS, M, N, errors_in_double, maps_in_double, random_inputs

from nystrom_demo import iterative_pinv, nystrom_attention, nystrom_factors, softmax_attention
from nystrom_demo.analysis import (
    collect_layers,
    compare_attention,
    hidden_state_errors,
    logit_errors,
    naive_nystrom_attention,
    padding_errors,
    pinv_iterates,
    pinv_residuals,
    singular_values,
)
from nystrom_demo.analysis.spectra import largest_singular_value
from nystrom_demo.config import EXACT, AttentionSettings


class TestSpectra:
    def test_singular_values_and_their_share_of_the_norm(self):
        table = singular_values(random_inputs(), 1, SETTINGS)
        exact, landmark = maps_in_double(random_inputs(), 1, SETTINGS)
        values = torch.linalg.svdvals(exact)
        assert list(table.value) == pytest.approx(values.tolist(), abs=1e-6)
        assert list(table.share) == pytest.approx((values.square().cumsum(0) / values.square().sum()).tolist())
        assert list(table.landmark) == pytest.approx(torch.linalg.svdvals(landmark).tolist(), abs=1e-5)
        assert not table.landmark[M:].any() and list(table["index"]) == list(range(1, N + 1))

    @pytest.mark.parametrize("kind", ["wide", "rank two", "equal", "zero"])
    def test_the_largest_singular_value_needs_no_matrix(self, kind):
        generator = torch.Generator().manual_seed(3)
        a = torch.randn(2, 131, 131, generator=generator)
        if kind == "rank two":
            a = a[..., :2] @ a[..., :2, :]
        if kind == "equal":
            a = torch.linalg.qr(a).Q * torch.tensor([3.0, 5.0])[:, None, None]
        if kind == "zero":
            a = torch.stack([a[0], torch.zeros(131, 131)])
        found = largest_singular_value(lambda x: a.mT @ (a @ x), 2, 131, tolerance=1e-6)
        wanted = torch.linalg.matrix_norm(a.double(), 2)
        torch.testing.assert_close(found.double(), wanted, rtol=2e-3 if kind == "wide" else 1e-4, atol=1e-6)

    @pytest.mark.parametrize("own_norms", [False, True])
    def test_iterates_are_those_of_the_pseudo_inverse_step_by_step(self, own_norms):
        kernel_2 = torch.rand(HEADS, M, M, generator=torch.Generator().manual_seed(2)).softmax(-1)
        iterates = pinv_iterates(kernel_2, 1, inv_coeff_init_option=own_norms, steps=5)
        for step, z in enumerate(iterates):
            wanted = iterative_pinv(kernel_2[None], step, inv_coeff_init_option=own_norms)[0, 1]
            torch.testing.assert_close(z, wanted)

    def test_residuals_equal_a_direct_computation(self):
        inputs = random_inputs()
        table = pinv_residuals(inputs, 2, SETTINGS, steps=7)
        a = nystrom_factors(inputs.q.double(), inputs.k.double(), M).kernel_2
        norm = torch.linalg.matrix_norm
        for name, own_norms in (("largest of the heads", False), ("own norms", True)):
            lines = table[table.first_estimate == name]
            assert list(lines.step) == list(range(8))
            for line in lines.to_dict("records"):
                z = iterative_pinv(a, line["step"], inv_coeff_init_option=own_norms)[0, 2]
                direct = norm(a[0, 2] @ z @ a[0, 2] - a[0, 2]) / norm(a[0, 2])
                assert line["residual"] == pytest.approx(float(direct), rel=1e-3, abs=1e-5)
                from_identity = norm(a[0, 2] @ z - torch.eye(M)) / 2
                assert line["identity_residual"] == pytest.approx(float(from_identity), rel=1e-3, abs=1e-4)
        exact = table[table.first_estimate == "torch.linalg.pinv"]
        assert exact.residual.max() < 1e-4 and exact.residual.nunique() == 1
        assert table.condition[0] == pytest.approx(float(torch.linalg.cond(a[0, 2])), rel=1e-2)

    def test_nothing_is_inverted_when_every_token_is_a_landmark(self):
        assert compare_attention(random_inputs(), 0, EXACT)["pinv_residual"] == 0


class TestPropagation:
    def test_accumulated_errors_are_those_of_two_passes(self, model, input_ids):
        table = hidden_state_errors(model, input_ids, SETTINGS)
        with torch.no_grad():
            exact, landmark = (
                model.base_model(input_ids, output_hidden_states=True, attention_settings=s).hidden_states
                for s in (EXACT, SETTINGS)
            )
        direct = [float((x - y).double().norm() / y.double().norm()) for x, y in zip(landmark, exact, strict=True)]
        assert list(table.accumulated) == pytest.approx(direct, rel=1e-4, abs=1e-7)
        assert list(table["layer"]) == [0, 1, 2]
        assert table.local[0] == 0 and table.local[1] == pytest.approx(table.accumulated[1])

    def test_local_errors_are_those_of_one_layer_on_exact_states(self, model, input_ids):
        table = hidden_state_errors(model, input_ids, SETTINGS)
        with torch.no_grad():
            states = model.base_model(input_ids, output_hidden_states=True, attention_settings=EXACT).hidden_states
            alone, _ = model.base_model.encoder.layer[1](states[1], None, SETTINGS)
        assert table.local[2] == pytest.approx(float((alone - states[2]).norm() / states[2].norm()), rel=1e-4)

    def test_padding_has_no_part_in_the_errors(self, model, input_ids):
        padded = torch.nn.functional.pad(input_ids, (0, 4), value=9)
        mask = torch.nn.functional.pad(torch.ones_like(input_ids), (0, 4))
        alone = hidden_state_errors(model, input_ids, SETTINGS)
        among = hidden_state_errors(model, padded, SETTINGS, mask)
        pd.testing.assert_frame_equal(alone, among, rtol=1e-3, atol=1e-5)

    @pytest.mark.parametrize("settings", [EXACT, AttentionSettings(num_landmarks=N)])
    def test_every_head_answers_alike_when_every_token_is_a_landmark(self, tiny_checkpoints, input_ids, settings):
        for task, checkpoint in tiny_checkpoints.items():
            ids = input_ids[:, None].repeat(1, 2, 1) if task == "multiple-choice" else input_ids
            errors = logit_errors(checkpoint.model, {"input_ids": ids}, settings)
            assert errors.relative < 1e-5 and errors.largest < 1e-4 and errors.agreement == 1, task

    @pytest.mark.parametrize("task", ["masked-lm", "sequence-classification", "question-answering"])
    def test_logit_errors_equal_a_direct_computation(self, tiny_checkpoints, input_ids, task):
        model = tiny_checkpoints[task].model
        errors = logit_errors(model, {"input_ids": input_ids}, SETTINGS)
        with torch.no_grad():
            outputs = [model(input_ids, attention_settings=s) for s in (EXACT, SETTINGS)]
        names = ("start_logits", "end_logits") if task == "question-answering" else ("logits",)
        exact, landmark = (torch.cat([output[name] for name in names]).double() for output in outputs)
        assert errors.relative == pytest.approx(float((landmark - exact).norm() / exact.norm()), rel=1e-4)
        assert errors.largest == pytest.approx(float((landmark - exact).abs().max()), rel=1e-4)
        moved = (landmark.softmax(-1) - exact.softmax(-1)).abs().sum(-1) / 2
        assert errors.probability == pytest.approx(float(moved.max()), rel=1e-3)
        assert errors.agreement == pytest.approx(float((landmark.argmax(-1) == exact.argmax(-1)).double().mean()))

    def test_more_than_one_text_is_refused(self, model, input_ids):
        with pytest.raises(ValueError, match="a batch of 1, got 2"):
            logit_errors(model, {"input_ids": input_ids.repeat(2, 1)}, SETTINGS)


class TestPadding:
    def test_without_padding_the_naive_form_is_landmark_attention(self):
        q, k, v = random_inputs()[:3]
        naive = naive_nystrom_attention(q, k, v, M, None, **SETTINGS.pinv_options())
        torch.testing.assert_close(naive, nystrom_attention(q, k, v, M), atol=1e-5, rtol=1e-4)

    def test_padding_moves_the_naive_form_alone(self, model, input_ids):
        table = padding_errors(model, input_ids, 1, 2, [0, 3, 11], SETTINGS)
        assert table.naive[0] == pytest.approx(table.ours[0], rel=1e-4)
        assert list(table.ours) == pytest.approx([table.ours[0]] * 3, rel=1e-3)
        assert abs(table.naive[2] - table.naive[0]) > 1e-3

    def test_a_model_of_half_precision_is_measured_in_single(self, model, input_ids):
        narrow = copy.deepcopy(model).bfloat16()
        table, wide = (padding_errors(each, input_ids, 1, 2, [0, 3], SETTINGS) for each in (narrow, model))
        assert list(table.ours) == pytest.approx(list(wide.ours), rel=0.1)

    def test_its_numbers_equal_a_direct_computation(self, model, input_ids):
        (line,) = padding_errors(model, input_ids, 0, 1, [0], SETTINGS).to_dict("records")
        q, k, v = collect_layers(model, input_ids)[0][:3]
        exact, ours = softmax_attention(q, k, v)[0, 1], nystrom_attention(q, k, v, M)[0, 1]
        assert line["ours"] == pytest.approx(float((ours - exact).norm() / exact.norm()), rel=1e-5)


class TestCompare:
    def test_every_number_is_plain_and_equals_a_direct_computation(self):
        inputs = random_inputs()
        numbers = compare_attention(inputs, 2, SETTINGS)
        assert json.loads(json.dumps(numbers)) == numbers
        direct = errors_in_double(inputs, 2, SETTINGS)
        exact, landmark = maps_in_double(inputs, 2, SETTINGS)
        sums = landmark.sum(-1)
        values = torch.linalg.svdvals(exact)
        wanted = {
            "layer": 7,
            "head": 2,
            "num_tokens": N,
            "num_landmarks": M,
            **{name: direct[name] for name in ("frobenius", "spectral", "output", "row_sum_error")},
            "best_frobenius": float(values[M:].norm() / values.norm()),
            "best_spectral": float(values[M] / values[0]),
            "largest_difference": float((landmark - exact).abs().max()),
            "negative_entries": direct["negative"],
            "negative_share": direct["negative"] / N**2,
            "lowest_entry": float(landmark.min()),
            "lowest_row_sum": float(sums.min()),
            "highest_row_sum": float(sums.max()),
        }
        for name, value in wanted.items():
            assert numbers[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
        residuals = pinv_residuals(inputs, 2, SETTINGS)
        chosen = residuals[(residuals.first_estimate == "largest of the heads") & (residuals.step == 6)]
        assert numbers["pinv_residual"] == pytest.approx(float(chosen.residual.iloc[0]), rel=1e-3)
