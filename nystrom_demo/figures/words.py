"""What the measures of error are called."""

MEASURES = {
    "frobenius": "‖Ŝ − S‖F / ‖S‖F",
    "spectral": "‖Ŝ − S‖₂ / ‖S‖₂",
    "output": "‖(Ŝ − S)V‖F / ‖SV‖F",
    "negative": "negative entries",
    "row_sum_error": "largest |row sum − 1|",
}

SPOKEN = {
    "frobenius": "relative Frobenius error",
    "spectral": "relative spectral error",
    "output": "relative error of the output",
    "negative": "number of negative entries",
    "row_sum_error": "largest distance of a row's sum from one",
}
