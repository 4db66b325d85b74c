// Thumbnails of the frames with the highest and lowest values, as buttons that go there.

import { button, h } from "./dom";
import { Frames } from "./frames";
import { extremeFrames } from "./map_traces";
import type { Parts } from "./parts";
import { short } from "./times";
import type { Meta, Trace } from "./types";

const WIDE = 96; // pixels, at most
const TALL = 64; // likewise
const OF_A_KIND = 4;
const MOST_KEPT = 64;

export class Thumbs {
  readonly root = h("div", { class: "tinyhd-thumbs" });
  private frames: Frames | null = null;
  private kept = new Map<number, HTMLCanvasElement>();
  private turn = 0;

  constructor(
    private parts: Parts,
    private meta: Meta,
    private go: (frame: number) => void,
  ) {}

  show(strip: string, trace: Trace | undefined): void {
    this.turn += 1;
    this.root.replaceChildren();
    if (!trace) return;
    const scale = Math.min(WIDE / this.meta.size[0], TALL / this.meta.size[1]);
    const [width, height] = this.meta.size.map((side) => Math.round(scale * side));
    const wanted: [frame: number, canvas: HTMLCanvasElement][] = [];
    for (const [word, lowest] of [
      ["highest", false],
      ["lowest", true],
    ] as const)
      for (const frame of extremeFrames(trace.values, lowest).slice(0, OF_A_KIND)) {
        const canvas = h("canvas", { width: `${width}`, height: `${height}`, "aria-hidden": "true" });
        const label = `${word}: ${short(trace.values[frame] ?? 0)} at ${frame}`;
        this.root.append(button(`${word} ${strip}: go to frame ${frame}`, () => this.go(frame), canvas, h("span", {}, label)));
        const known = this.kept.get(frame);
        if (known) canvas.getContext("2d")?.drawImage(known, 0, 0);
        else wanted.push([frame, canvas]);
      }
    if (wanted.length) void this.fill(wanted, this.turn).catch(() => undefined); // without images the labels remain
  }

  // Take frames from the video, which can be opened now.
  async open(): Promise<void> {
    await this.frames?.open();
  }

  dispose(): void {
    this.turn += 1;
    this.frames?.dispose();
  }

  private async fill(wanted: [frame: number, canvas: HTMLCanvasElement][], turn: number): Promise<void> {
    if (!this.frames) {
      this.frames = new Frames(this.parts, this.meta);
      await this.frames.begin();
    }
    for (const [frame, canvas] of wanted) {
      if (turn !== this.turn) return;
      canvas.getContext("2d")?.drawImage(await this.frames.at(frame), 0, 0, canvas.width, canvas.height);
      this.kept.set(frame, canvas);
      if (this.kept.size > MOST_KEPT) this.kept.delete([...this.kept.keys()][0]);
    }
  }
}
