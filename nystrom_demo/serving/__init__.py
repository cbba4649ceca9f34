"""What a public host needs around the app: limits on what comes in, a fair line, a guard, health, settings.

`validation` refuses bad input in one sentence; `memory` refuses what would not fit; `gate` runs heavy work; `edge` puts
both around a handler; `bodies` and `guard` stand before gradio's routes; `pages` and `streams` see to what the server
holds of a page and that no answer misses it; `launching` starts and ends the server.
"""
