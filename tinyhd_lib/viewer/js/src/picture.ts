// The description of a picture, from which painter.ts (on the GPU) and canvas.ts (on the CPU) draw the same.

import type { FrameMap } from "./types";

export const VIEWS = ["overlay", "side-by-side", "map", "contours", "wipe", "difference"];
export const LEVELS = [0.25, 0.5, 0.75]; // of the contours, where 1 is white; the higher, the thicker

export interface Shown {
  map: FrameMap | null;
  gain: number; // with `offset`: from a level between the frame's extremes, 0 to 1, to the chosen scale
  offset: number;
}

export interface Picture {
  image: CanvasImageSource;
  width: number; // of the frame as it is drawn
  height: number;
  view: string;
  first: Shown;
  second: Shown;
  alpha: number;
  floor: number;
  border: number;
  // Whether the video plays below and shows through: then only the overlay is drawn, enlarged bilinearly.
  quick: boolean;
  colours: Uint8Array; // 256 RGB colours
  diverging: Uint8Array;
}

export interface Draws {
  readonly kind: string;
  readonly canvas: HTMLCanvasElement;
  draw(picture: Picture): void;
  dispose(): void;
}

// A map scaled so that `bounds` are black and white; without bounds, the frame's own extremes are.
export function scaled(map: FrameMap | null | undefined, bounds: [number, number] | null): Shown {
  if (!map) return { map: null, gain: 0, offset: 0 };
  if (map.high <= map.low) return { map, gain: 0, offset: 0 };
  if (!bounds) return { map, gain: 1, offset: 0 };
  const range = bounds[1] - bounds[0];
  return range > 0 ? { map, gain: (map.high - map.low) / range, offset: (map.low - bounds[0]) / range } : { map, gain: 0, offset: 0 };
}
