// What is seen of a video at some settings: which maps that takes, and whether they have come.

import type { Parts } from "./parts";
import type { Meta, Settings } from "./types";

const DIVERGING = "PuOr_r";

export class Scene {
  private colours = new Map<string, Uint8Array>();
  private bounds = new Map<string, [number, number]>();

  constructor(
    readonly parts: Parts,
    readonly meta: Meta,
  ) {}

  // Map sources that are on the picture.
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

  // What is black and what is white; null for each frame's own extremes.
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
    if (settings.points)
      for (const name of this.meta.gaze)
        for (let each = this.parts.chunkOf(this.firstOfTrail(settings, frame)); each <= chunk; each++)
          wanted.push(this.parts.needPoints(name, each));
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

  // The first frame whose gaze is still seen at this one.
  firstOfTrail({ trail }: Settings, frame: number): number {
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
