// One picture: what is drawn, in numbers. The GPU (painter.ts) and the CPU (canvas.ts) draw the same.

import type { FrameMap } from "./types";

export const VIEWS = ["overlay", "side-by-side", "map", "contours", "wipe", "difference"];
export const LEVELS = [0.25, 0.5, 0.75]; // parts of white around which contours are drawn, the higher, the thicker

export interface Shown {
  map: FrameMap | null;
  gain: number; // from a level between the frame's extremes, 0 to 1, to one of the chosen scale
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
  // Whether the video shows through, which plays below: what is laid over it alone is drawn, enlarged bilinearly.
  quick: boolean;
  colours: Uint8Array; // 256 RGB
  diverging: Uint8Array;
}

export interface Draws {
  readonly kind: string;
  readonly canvas: HTMLCanvasElement;
  draw(picture: Picture): void;
  dispose(): void;
}

// Levels of a scale whose black and white are `bounds`; the frame's own extremes without any.
export function scaled(map: FrameMap | null | undefined, bounds: [number, number] | null): Shown {
  if (!map) return { map: null, gain: 0, offset: 0 };
  if (map.high <= map.low) return { map, gain: 0, offset: 0 };
  if (!bounds) return { map, gain: 1, offset: 0 };
  const range = bounds[1] - bounds[0];
  return range > 0 ? { map, gain: (map.high - map.low) / range, offset: (map.low - bounds[0]) / range } : { map, gain: 0, offset: 0 };
}
