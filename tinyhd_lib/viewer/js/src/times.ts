// Frames and their presentation times, and how times and numbers are written.

// The frame on the screen at this time: the last one that starts at it or before.
export function frameAt(times: ArrayLike<number>, time: number): number {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= time) low = middle;
    else high = middle - 1;
  }
  return low;
}

// The middle of the interval in which this frame is on the screen.
export function middleOf(times: ArrayLike<number>, frame: number, end: number): number {
  const next = frame + 1 < times.length ? times[frame + 1] : Math.max(end, times[frame] + 0.01);
  return (times[frame] + next) / 2;
}

export function clock(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const rest = (seconds - 60 * minutes).toFixed(2);
  return minutes ? `${minutes}:${rest.padStart(5, "0")}` : `${rest} s`;
}

// A round step between the ticks of an axis of this length, for at most `most` steps.
export function tickStep(length: number, most: number): number {
  const least = length / most;
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5, 10].find((step) => step * power >= least) ?? 10);
}

// A number with two or three significant digits.
export function short(value: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 0.01 && size < 10_000)) return `${+value.toPrecision(3)}`;
  return value.toExponential(1).replace("e-", "e−").replace("e+", "e");
}
