"""Code for the steps of the tour: each prints the readings that its picture shows."""

from nystrom_demo.lessons import Case, Lesson
from nystrom_demo.snippets.parts import loading

_LESSON = """\
from nystrom_demo import AttentionSettings
from nystrom_demo.analysis import collect_layers
from nystrom_demo.checkpoints import load_checkpoint

text = {text!r}
{names} = {values}  # layer and head count from 0, where the page counts from 1
settings = AttentionSettings(num_landmarks=m, pinv_iterations={pinv_iterations}, inv_coeff_init_option={own_norms})

checkpoint = {loader}
ids = checkpoint.tokenizer(text, truncation=True, max_length={most_tokens}, return_tensors="pt")["input_ids"]
inputs = collect_layers(checkpoint.model, ids, layers=[layer])[0]
q, k, v = (x[0, head].float() for x in inputs[:3])
n, d = q.shape

{body}
"""
_OWN_CONTROLS = {"pseudo_inverse": "step", "padding": "padding", "limits": "sharpness"}


def for_lesson(lesson: Lesson, case: Case) -> str:
    """A script that prints a step's readings, each as "name: number"; times are measured anew."""
    controls = case.controls
    names, values = ["layer", "head", "m"], [controls.layer, controls.head, case.m]
    if own := _OWN_CONTROLS.get(lesson.name):
        names.append(own)
        values.append(getattr(controls, own))
    return _LESSON.format(
        loader=loading(case.checkpoint),
        text=case.text,
        names=", ".join(names),
        values=", ".join(map(str, values)),
        pinv_iterations=case.settings.pinv_iterations,
        own_norms=case.settings.inv_coeff_init_option,
        most_tokens=case.most_tokens,
        body=lesson.code,
    )
