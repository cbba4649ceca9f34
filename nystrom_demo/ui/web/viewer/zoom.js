// The window that all three maps show: {row, column, span} in groups of the axis, always square, always inside.

const LEAST_SPAN = 4;

export function wholeWindow(axis) {
  return { row: 0, column: 0, span: axis.size };
}

/** The window `factor` times as wide about the point that is at shares (x, y) of it. */
export function zoomed(shown, axis, factor, x = 0.5, y = 0.5) {
  const span = Math.min(axis.size, Math.max(Math.min(LEAST_SPAN, axis.size), shown.span * factor));
  return inside(
    { row: shown.row + (shown.span - span) * y, column: shown.column + (shown.span - span) * x, span },
    axis,
  );
}

/** The window moved by shares of itself. */
export function moved(shown, axis, right, down) {
  return inside({ ...shown, row: shown.row + down * shown.span, column: shown.column + right * shown.span }, axis);
}

/** The window moved just enough to show a cell. */
export function showing(shown, axis, { row, column }) {
  const nearest = (start, place) => Math.min(Math.max(start, place + 1 - shown.span), place);
  return inside({ ...shown, row: nearest(shown.row, row), column: nearest(shown.column, column) }, axis);
}

export function inside({ row, column, span }, axis) {
  const most = axis.size - span;
  return { row: Math.min(Math.max(row, 0), most), column: Math.min(Math.max(column, 0), most), span };
}

/** The whole groups that a window touches, as a frame for makeGrids. */
export function frameOf(shown, axis) {
  const span = Math.min(axis.size, Math.ceil(shown.span) + 1);
  const start = (place) => Math.min(Math.floor(place), axis.size - span);
  return { row: start(shown.row), column: start(shown.column), span };
}

/** True when the grids in hand are as fine as this window deserves. */
export function fineEnough(grids, shown, axis) {
  const frame = frameOf(shown, axis);
  const covered =
    frame.row >= grids.frame.row &&
    frame.column >= grids.frame.column &&
    frame.row + frame.span <= grids.frame.row + grids.frame.span &&
    frame.column + frame.span <= grids.frame.column + grids.frame.span;
  const pooled = grids.frame.span > grids.size;
  const couldBeFiner = pooled && frame.span <= grids.frame.span / 2;
  return covered && !couldBeFiner;
}
