// What the settings show of a video: which maps and gaze points are needed, and whether they have arrived.

import type { Parts, Points } from "./parts";
import type { Meta, Settings } from "./types";

const DIVERGING = "PuOr_r";

export type GazePoint = [frame: number, observer: number, x: number, y: number];

// The gaze points of the frames `first` to `last`.
export function pointsOf(chunks: (Points | undefined)[], first: number, last: number): GazePoint[] {
  const found: GazePoint[] = [];
  for (const points of chunks)
    for (let at = 0; points && at < points.length; at += 4)
      if (points[at] >= first && points[at] <= last) found.push([points[at], points[at + 1], points[at + 2], points[at + 3]]);
  return found;
}

export class Scene {
  private colours = new Map<string, Uint8Array>();
  private bounds = new Map<string, [number, number]>();

  constructor(
    readonly parts: Parts,
    readonly meta: Meta,
  ) {}

  // The map sources that the picture shows.
  sources({ view, source, other }: Settings): string[] {
    if (view === "grid") return this.meta.sources;
    return this.meta.comparing.includes(view) ? [source, other] : [source];
  }

  table(name: string): Uint8Array | undefined {
    return this.colours.get(name);
  }

  get diverging(): Uint8Array | undefined {
    return this.colours.get(DIVERGING);
  }

  // The values that are black and white; null for each frame's own extremes.
  scale(source: string, normalise: string): [number, number] | null {
    const known = this.bounds.get(source);
    if (normalise === "frame" || !known) return null;
    return normalise === "raw" ? [0, known[1]] : known;
  }

  isHere(settings: Settings, frame: number): boolean {
    return this.colours.has(settings.colormap) && this.sources(settings).every((name) => this.parts.map(name, frame) !== undefined);
  }

  async fetch(settings: Settings, frame: number): Promise<void> {
    const { normalise, colormap } = settings;
    const chunk = this.parts.chunkOf(frame);
    const wanted: Promise<unknown>[] = this.sources(settings).map((name) => this.parts.needMaps(name, chunk));
    for (const name of [colormap, DIVERGING]) if (!this.colours.has(name)) wanted.push(this.needColours(name));
    if (normalise !== "frame")
      for (const name of this.sources(settings)) if (!this.bounds.has(name)) wanted.push(this.needBounds(name));
    if (settings.points) wanted.push(...this.gazeParts(settings, frame).map((part) => this.parts.needPoints(...part)));
    await Promise.all(wanted);
  }

  async fetchAhead(settings: Settings, frame: number): Promise<void> {
    const next = this.parts.chunkOf(frame) + 1;
    if (next * this.meta.chunk >= this.meta.frames) return;
    await Promise.allSettled([
      ...this.sources(settings).map((name) => this.parts.needMaps(name, next)),
      ...(settings.points ? this.meta.gaze.map((name) => this.parts.needPoints(name, next)) : []),
    ]);
  }

  // The gaze points of a frame, and of the `span` frames before it, over which scanpaths are drawn.
  gaze(settings: Settings, frame: number): { points: GazePoint[]; span: number } {
    const from = this.firstOfTrail(settings, frame);
    const parts = this.gazeParts(settings, frame).map((part) => this.parts.points(...part));
    const isMeant = ([, observer]: GazePoint) => settings.observer < 0 || observer === settings.observer;
    return { points: pointsOf(parts, from, frame).filter(isMeant), span: frame - from };
  }

  private gazeParts(settings: Settings, frame: number): [name: string, chunk: number][] {
    const [first, last] = [this.firstOfTrail(settings, frame), frame].map((each) => this.parts.chunkOf(each));
    const chunks = Array.from({ length: last - first + 1 }, (_, n) => first + n);
    return this.meta.gaze.flatMap((name) => chunks.map((chunk): [string, number] => [name, chunk]));
  }

  private firstOfTrail({ trail }: Settings, frame: number): number {
    return Math.max(0, frame - Math.round((trail * this.meta.frames) / this.meta.duration));
  }

  private async needColours(name: string): Promise<void> {
    this.colours.set(name, new Uint8Array(await this.parts.bytes(["colours", name, 0])));
  }

  private async needBounds(name: string): Promise<void> {
    const [low, high] = new Float64Array(await this.parts.bytes(["bounds", name, 0]));
    this.bounds.set(name, [low, high]);
  }
}
