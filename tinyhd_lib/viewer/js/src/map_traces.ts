// Traces computed from the maps alone: how much a map changes, how far it spreads, and how far its peak is off centre.

import { breathe, type Parts, weigher } from "./parts";
import type { FrameMap, Meta, Trace } from "./types";

const ROWS = 48; // of the coarse maps that are compared
const COLUMNS = 64;
const LISTED = 8;

// A map's mass in coarse cells, with sum 1; uniform if the map has no mass.
export function density(map: FrameMap): Float64Array {
  const cells = new Float64Array(ROWS * COLUMNS);
  const counts = new Float64Array(ROWS * COLUMNS);
  const weigh = weigher(map);
  for (let row = 0; row < map.rows; row++)
    for (let column = 0; column < map.columns; column++) {
      const cell = Math.floor((row * ROWS) / map.rows) * COLUMNS + Math.floor((column * COLUMNS) / map.columns);
      cells[cell] += weigh(row * map.columns + column);
      counts[cell] += 1;
    }
  const means = cells.map((sum, cell) => (counts[cell] ? sum / counts[cell] : 0));
  const total = means.reduce((sum, each) => sum + each, 0);
  return total > 0 ? means.map((each) => each / total) : means.fill(1 / means.length);
}

// How much of the mass moves: the total variation distance, 0 (none) to 1 (all).
export function change(before: Float64Array, after: Float64Array): number {
  return after.reduce((sum, each, cell) => sum + Math.abs(each - before[cell]), 0) / 2;
}

// Over how much of the frame the mass spreads: the exponential of its entropy, in percent of the area.
export function spread(cells: Float64Array): number {
  const nats = cells.reduce((sum, each) => (each > 0 ? sum - each * Math.log(each) : sum), 0);
  return (100 * Math.exp(nats)) / cells.length;
}

// How far the peak is from the centre, in percent of half the diagonal.
export function offCentre({ peak: [x, y] }: FrameMap): number {
  return (100 * Math.hypot(x - 0.5, y - 0.5)) / Math.SQRT1_2;
}

const UNITS: Record<string, string> = {
  "map change": "of the map's mass moves",
  "map spread": "% of the frame",
  "peak from centre": "% of half the diagonal",
};

export function isOfMaps(strip: string): boolean {
  return strip in UNITS;
}

// The frames of the highest (or lowest) values, the most extreme first; only one of several frames close together.
export function extremeFrames(values: (number | null)[], lowest: boolean): number[] {
  const known = values.flatMap((value, frame) => (value === null ? [] : [[value, frame] as const]));
  known.sort(([a], [b]) => (lowest ? a - b : b - a));
  const apart = Math.max(1, Math.floor(values.length / 40));
  const chosen: number[] = [];
  for (const [, frame] of known)
    if (chosen.length < LISTED && chosen.every((other) => Math.abs(other - frame) >= apart)) chosen.push(frame);
  return chosen;
}

// All traces of a source's maps, by name. `told` is called with the progress, and cancels by returning false.
export async function mapTraces(parts: Parts, meta: Meta, source: string, told: (done: number, total: number) => Promise<boolean>): Promise<Record<string, Trace> | null> {
  const names = Object.keys(UNITS);
  const values = Object.fromEntries(names.map((name) => [name, new Array<number | null>(meta.frames).fill(null)]));
  const chunks = Math.ceil(meta.frames / meta.chunk);
  let before: Float64Array | null = null;
  for (let chunk = 0; chunk < chunks; chunk++) {
    const maps = await parts.passing(source, chunk);
    for (const [n, map] of maps.entries()) {
      await breathe(n);
      const frame = chunk * meta.chunk + n;
      const cells = map && density(map);
      if (map && cells) {
        values["map change"][frame] = before && change(before, cells);
        values["map spread"][frame] = spread(cells);
        values["peak from centre"][frame] = offCentre(map);
      }
      before = cells;
    }
    if (!(await told(chunk + 1, chunks))) return null;
  }
  return Object.fromEntries(names.map((name) => [name, { unit: UNITS[name], values: values[name] }]));
}
