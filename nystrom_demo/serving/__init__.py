"""What a public host needs around the app: a fair line, a guard, health, settings.

`memory` says what a request may take; `worker_pool` runs heavy work; `handlers` stands around each handler;
`request_bodies` and `guard` stand before gradio's routes; `page_states` and `event_streams` see to what the server
holds of a page and that no answer misses it; `launch` starts and ends the server.
"""
