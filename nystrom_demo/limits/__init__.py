"""What a request may ask: checks of its values, the budget of what it may take, estimates of what it would take.

`validation` refuses bad input in one sentence; `budget` holds the limits of the request under way; `estimates`
foretells bytes from shapes and `admission` refuses by them; `cache` keeps what was computed before within a bound;
`parallel` runs two passes side by side, each on half of the threads.
"""
