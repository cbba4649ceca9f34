"""What a public host needs around the app: a fair line, a guard, health, settings.

`connections` bounds what arrives; `identity` says who sends it; `guard`, with `routes`, `request_bodies` and `places`,
stands before all of gradio; `compression` packs what it answers, once; `event_streams` sees that no answer misses its
page. `memory` says what a request may take; `worker_pool` runs heavy work; `handlers` stands around each handler.
`launch` starts and ends the server, and `gradio_patches` is all that reaches into gradio.
"""
