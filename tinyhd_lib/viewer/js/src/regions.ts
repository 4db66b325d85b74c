// Regions of the picture: where they are at a frame, and how much of a map, or of people's gaze, they hold.

import { COLOURS } from "./colours";
import { weigher } from "./parts";
import type { FrameMap, Point, Region } from "./types";

const LINES = 4; // looked at of every row of a map

// A region as it is drawn at a frame: closed, or still without its last corners.
export interface Outline {
  name: string;
  points: Point[];
  colour: string;
  closed: boolean;
  held: boolean; // its corners can be taken hold of
}

export function outlinesOf(regions: Region[], frame: number, selected = -1): Outline[] {
  return regions.map((region, n) => ({
    name: region.name,
    points: placed(region, frame),
    colour: COLOURS[n % COLOURS.length],
    closed: true,
    held: n === selected,
  }));
}

// Where a region is: between two key frames its corners go straight from one place to the next.
export function placed({ keys }: Region, frame: number): Point[] {
  const next = keys.findIndex((key) => key.frame >= frame);
  if (next < 0) return keys[keys.length - 1].points;
  if (next === 0) return keys[0].points;
  const [before, after] = [keys[next - 1], keys[next]];
  const part = (frame - before.frame) / (after.frame - before.frame);
  return before.points.map(([x, y], n) => [x + part * (after.points[n][0] - x), y + part * (after.points[n][1] - y)]);
}

// The region with its corners there at this frame: at a key frame of its own if it moves, else always.
export function moved(region: Region, frame: number, points: Point[], moves: boolean): Region {
  if (!moves) return { ...region, keys: [{ frame: 0, points }] };
  const others = region.keys.filter((key) => key.frame !== frame);
  return { ...region, keys: [...others, { frame, points }].sort((a, b) => a.frame - b.frame) };
}

export function rectangle([left, top]: Point, [right, bottom]: Point): Point[] {
  return [
    [left, top],
    [right, top],
    [right, bottom],
    [left, bottom],
  ];
}

export function isInside(points: Point[], [x, y]: Point): boolean {
  return crossings(points, y).filter((at) => at > x).length % 2 === 1;
}

// Where a line at this height crosses the polygon, from left to right.
function crossings(points: Point[], y: number): number[] {
  const found: number[] = [];
  points.forEach(([x1, y1], n) => {
    const [x2, y2] = points[(n + 1) % points.length];
    if (y1 <= y !== y2 <= y) found.push(x1 + ((y - y1) / (y2 - y1)) * (x2 - x1));
  });
  return found.sort((a, b) => a - b);
}

// How much of each pixel of a map lies in the polygon, 0 to 1: exactly along a row, by four lines down it.
export function coverage(points: Point[], rows: number, columns: number): Float32Array {
  const covered = new Float32Array(rows * columns);
  for (let line = 0; line < LINES * rows; line++) {
    const start = Math.floor(line / LINES) * columns;
    const edges = crossings(points, (line + 0.5) / (LINES * rows));
    for (let n = 0; n + 1 < edges.length; n += 2) {
      const [left, right] = [edges[n], edges[n + 1]].map((x) => Math.min(Math.max(x, 0), 1) * columns);
      for (let column = Math.floor(left); column < right; column++)
        covered[start + column] += (Math.min(right, column + 1) - Math.max(left, column)) / LINES;
    }
  }
  return covered;
}

// The part of the frame that is covered.
export function area(covered: Float32Array): number {
  return covered.reduce((sum, each) => sum + each, 0) / covered.length;
}

// The part of a map's mass that lies there.
export function share(map: FrameMap, covered: Float32Array): number {
  const weigh = weigher(map);
  let [inside, all] = [0, 0];
  for (let at = 0; at < covered.length; at++) {
    const value = weigh(at);
    inside += covered[at] * value;
    all += value;
  }
  return all > 0 ? inside / all : Number.NaN;
}
