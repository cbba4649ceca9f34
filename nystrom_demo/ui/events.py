"""How the page's events are wired; no endpoint is made of any.

Gradio drops an event that comes while its handler still answers the one before, unless told otherwise. A visitor who
chooses twice in a row would be left with the first choice.
"""

# The last choice counts: asked again with the page's values of then, once the earlier one is answered.
LAST = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
# For an event that carries its own data, since gradio would ask again with the data of the first.
EACH = LAST | {"trigger_mode": "multiple"}
# For what is started, shown at work and stopped.
ONCE = LAST | {"trigger_mode": "once"}
AT_ONCE = {"queue": False}  # for what takes no time: not behind the gate
