// Regions of the picture: where they are at a frame, and how much of a map's mass they contain.

import { COLOURS } from "./colours";
import { weigher } from "./parts";
import type { FrameMap, Point, Region } from "./types";

const LINES = 4; // sampled in every row of a map

// The outline of a region at a frame: closed, or open while it is being drawn.
export interface Outline {
  name: string;
  points: Point[];
  colour: string;
  closed: boolean;
  held: boolean; // its corners are shown as handles
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

// The corners of a region at a frame, interpolated linearly between two key frames.
export function placed({ keys }: Region, frame: number): Point[] {
  const next = keys.findIndex((key) => key.frame >= frame);
  if (next < 0) return keys[keys.length - 1].points;
  if (next === 0) return keys[0].points;
  const [before, after] = [keys[next - 1], keys[next]];
  const part = (frame - before.frame) / (after.frame - before.frame);
  return before.points.map(([x, y], n) => [x + part * (after.points[n][0] - x), y + part * (after.points[n][1] - y)]);
}

// The region with its corners moved to `points`: by a key frame at this frame if it moves, else for all frames.
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

// Where the horizontal line at y crosses the polygon: x from left to right.
function crossings(points: Point[], y: number): number[] {
  const found: number[] = [];
  points.forEach(([x1, y1], n) => {
    const [x2, y2] = points[(n + 1) % points.length];
    if (y1 <= y !== y2 <= y) found.push(x1 + ((y - y1) / (y2 - y1)) * (x2 - x1));
  });
  return found.sort((a, b) => a - b);
}

// How much of each pixel of a map lies in the polygon, 0 to 1: exact along x, sampled by four lines per row along y.
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

// The part of a map's mass in the covered pixels.
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
