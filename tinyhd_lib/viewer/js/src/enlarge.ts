// How a map is enlarged: bicubically and then blurred by 5x5, as the published code does with OpenCV. Along each axis
// both together are a weighted sum of a few neighbours, with the same weights for all lines. This table of weights is
// used by painter.ts and canvas.ts.

export interface Table {
  taps: number;
  starts: Int32Array; // index of each pixel's first neighbour
  weights: Float32Array; // `taps` of them per pixel
}

const SHARPNESS = -0.75; // the parameter a of OpenCV's cubic kernel
const MOST_KNOWN = 32;
const BLUR = [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16];

function cubic(fraction: number): number[] {
  const a = SHARPNESS;
  const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  const weights = [far(fraction + 1), near(fraction), near(1 - fraction)];
  return [...weights, 1 - weights[0] - weights[1] - weights[2]];
}

function mirrored(place: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const inside = ((place % period) + period) % period;
  return inside < length ? inside : period - inside;
}

const known = new Map<string, Table>();

// The table of an axis. The most recently used tables are cached, since sizes stay the same from frame to frame.
export function enlargement(from: number, to: number): Table {
  const name = `${from}>${to}`;
  const table = known.get(name) ?? computed(from, to);
  known.delete(name);
  known.set(name, table);
  if (known.size > MOST_KNOWN) known.delete([...known.keys()][0]);
  return table;
}

function computed(from: number, to: number): Table {
  const sums: Map<number, number>[] = [];
  const plain = Array.from({ length: to }, (_, pixel) => {
    const place = ((pixel + 0.5) * from) / to - 0.5;
    const first = Math.floor(place);
    return cubic(place - first).map((weight, n): [number, number] => [
      Math.min(Math.max(first - 1 + n, 0), from - 1),
      weight,
    ]);
  });
  for (let pixel = 0; pixel < to; pixel++) {
    const sum = new Map<number, number>();
    BLUR.forEach((blur, n) => {
      for (const [place, weight] of plain[mirrored(pixel + n - 2, to)]) sum.set(place, (sum.get(place) ?? 0) + blur * weight);
    });
    sums.push(sum);
  }
  const starts = Int32Array.from(sums, (sum) => Math.min(...sum.keys()));
  const taps = Math.max(...sums.map((sum, pixel) => Math.max(...sum.keys()) - starts[pixel] + 1));
  const weights = new Float32Array(to * taps);
  sums.forEach((sum, pixel) => sum.forEach((weight, place) => (weights[pixel * taps + place - starts[pixel]] = weight)));
  return { taps, starts, weights };
}
