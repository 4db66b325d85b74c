// Decodes the bytes of parts into maps, gaze points and traces, and caches the most recently used ones.

import type { Host } from "./host";
import type { FrameMap, Key, Meta, Trace } from "./types";

const MOST_MAPS = 24; // unpacked chunks: 75 MB at 192x256
const MOST_GAZE = 500; // chunks: 40 observers of twenty minutes take 20 MB
const AT_ONCE = 16; // frames that are unpacked without a pause
const HEAD = 6; // rows, columns and frames, 16 bits each
const ABOUT = 20; // low, high, the peak's x and y, and the base of a frame, 32 bits each

export async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Yield to the browser's event loop every few frames of a long computation.
export async function breathe(frame: number): Promise<void> {
  if (frame % AT_ONCE === AT_ONCE - 1) await new Promise((go) => setTimeout(go));
}

// Invert `packed_maps` of parts.py, which takes differences to the frame before, then to the pixel on the left.
export async function undifferenced(packed: Uint8Array, rows: number, columns: number, frames: number): Promise<Uint8Array> {
  const size = rows * columns;
  const levels = new Uint8Array(packed.length);
  for (let frame = 0; frame < frames; frame++) {
    await breathe(frame);
    const start = frame * size;
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      const begin = start + row * columns;
      for (let at = begin; at < begin + columns; at++) {
        sum = (sum + packed[at]) & 255;
        levels[at] = frame ? sum + levels[at - size] : sum;
      }
    }
  }
  return levels;
}

// A function that gives a pixel's value for sums of mass. Levels are truncated, so each counts as the middle of its
// interval, and level 0 as `base`.
export function weigher({ levels, low, high, base }: FrameMap): (at: number) => number {
  const gain = (high - low) / 255;
  return (at) => (levels[at] ? low + gain * (levels[at] + 0.5) : base);
}

// The maps of a chunk; null where a frame has none.
export async function unpackMaps(part: ArrayBuffer): Promise<(FrameMap | null)[]> {
  const view = new DataView(part);
  const [rows, columns, frames] = [0, 2, 4].map((at) => view.getUint16(at, true));
  const packed = await inflate(new Uint8Array(part, HEAD + ABOUT * frames));
  const levels = await undifferenced(packed, rows, columns, frames);
  return Array.from({ length: frames }, (_, n) => {
    const [low, high, x, y, base] = [0, 4, 8, 12, 16].map((at) => view.getFloat32(HEAD + ABOUT * n + at, true));
    if (Number.isNaN(low)) return null;
    return { rows, columns, levels: levels.subarray(n * rows * columns, (n + 1) * rows * columns), low, high, base, peak: [x, y] };
  });
}

// Gaze points, four numbers each: frame, observer, x and y in fractions of the width and height.
export type Points = Float32Array;

// A cache of up to `most` values by name, each computed once; the least recently read are dropped.
class Kept<Value> {
  private values = new Map<string, Promise<Value>>();
  private known = new Map<string, Value>();

  constructor(private most: number) {}

  peek(name: string): Value | undefined {
    const value = this.known.get(name);
    if (value !== undefined) {
      this.known.delete(name);
      this.known.set(name, value);
    }
    return value;
  }

  get(name: string, make: () => Promise<Value>): Promise<Value> {
    let value = this.values.get(name);
    if (!value) {
      value = make();
      this.values.set(name, value);
      value.then(
        (each) => {
          this.known.set(name, each);
          for (const oldest of this.known.keys()) {
            if (this.known.size <= this.most) break;
            this.known.delete(oldest);
            this.values.delete(oldest);
          }
        },
        () => this.values.delete(name),
      );
    }
    return value;
  }
}

export class Parts {
  private maps = new Kept<(FrameMap | null)[]>(MOST_MAPS);
  private gaze = new Kept<Points>(MOST_GAZE);
  private traces = new Kept<Trace>(100);
  private small = new Kept<ArrayBuffer>(200);
  private meta: Meta;

  constructor(private host: Host) {
    this.meta = host.meta;
  }

  chunkOf(frame: number): number {
    return Math.floor(frame / this.meta.chunk);
  }

  // A frame's map: null if it has none, undefined if it has not arrived yet.
  map(name: string, frame: number): FrameMap | null | undefined {
    return this.maps.peek(`${name}|${this.chunkOf(frame)}`)?.[frame % this.meta.chunk];
  }

  needMaps(name: string, chunk: number): Promise<(FrameMap | null)[]> {
    return this.maps.get(`${name}|${chunk}`, async () => unpackMaps(await this.bytes(["maps", name, chunk])));
  }

  // The maps of a chunk for a single use: requested with low priority and not cached, so they displace no others.
  async passing(name: string, chunk: number): Promise<(FrameMap | null)[]> {
    return this.maps.peek(`${name}|${chunk}`) ?? unpackMaps((await this.host.ask([["maps", name, chunk]], true))[0]);
  }

  // The gaze points of a chunk, if they have arrived.
  points(name: string, chunk: number): Points | undefined {
    return this.gaze.peek(`${name}|${chunk}`);
  }

  needPoints(name: string, chunk: number): Promise<Points> {
    return this.gaze.get(`${name}|${chunk}`, async () => new Float32Array(await this.bytes(["points", name, chunk])));
  }

  trace(strip: string, source: string): Promise<Trace> {
    const name = `${strip}@${source}`;
    return this.traces.get(name, async () => JSON.parse(new TextDecoder().decode(await this.bytes(["trace", name, 0]))));
  }

  bytes(key: Key): Promise<ArrayBuffer> {
    return this.host.ask([key]).then(([part]) => part);
  }

  // A small part that is requested repeatedly, and therefore cached.
  keep(key: Key): Promise<ArrayBuffer> {
    return this.small.get(key.join("|"), () => this.bytes(key));
  }
}
