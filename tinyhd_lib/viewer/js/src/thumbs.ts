// The frames that are worth a look, as small pictures to press.

import { h } from "./dom";
import { extremeFrames } from "./map_traces";
import type { Parts } from "./parts";
import { Player } from "./player";
import { short } from "./times";
import type { Meta, Trace } from "./types";

const WIDE = 96;
const OF_A_KIND = 4;
const MOST_KEPT = 64;

export class Thumbs {
  readonly root = h("div", { class: "tinyhd-thumbs" });
  private player: Player | null = null; // of its own, so that nothing else moves
  private kept = new Map<number, HTMLCanvasElement>();
  private wanted: { frame: number; canvas: HTMLCanvasElement }[] = [];
  private turn = 0;

  constructor(
    private parts: Parts,
    private meta: Meta,
    private go: (frame: number) => void,
  ) {}

  show(strip: string, trace: Trace | undefined): void {
    this.turn += 1;
    this.wanted = [];
    this.root.replaceChildren();
    if (!trace) return;
    for (const [word, lowest] of [
      ["highest", false],
      ["lowest", true],
    ] as const)
      for (const frame of extremeFrames(trace.values, lowest).slice(0, OF_A_KIND)) {
        const canvas = h("canvas", { width: String(WIDE), height: String(Math.round((WIDE * this.meta.size[1]) / this.meta.size[0])), "aria-hidden": "true" });
        const label = `${word}: ${short(trace.values[frame] ?? 0)} at ${frame}`;
        const title = `${word} ${strip}: go to frame ${frame}`;
        this.root.append(h("button", { type: "button", title, click: () => this.go(frame) }, canvas, h("span", {}, label)));
        const known = this.kept.get(frame);
        if (known) canvas.getContext("2d")?.drawImage(known, 0, 0);
        else this.wanted.push({ frame, canvas });
      }
    void this.next(this.turn);
  }

  // The video can be sought now.
  async open(): Promise<void> {
    await this.player?.open().catch(() => undefined);
  }

  dispose(): void {
    this.turn += 1;
    this.player?.dispose();
  }

  private async next(turn: number): Promise<void> {
    const first = this.wanted[0];
    if (!first || turn !== this.turn) return;
    if (!this.player) {
      this.player = new Player(this.parts, this.meta, { frame: (frame, image) => this.came(frame, image), playing: () => undefined, trouble: () => undefined });
      await this.player.begin();
      await this.open();
    }
    if (turn === this.turn) this.player.seek(first.frame);
  }

  private came(frame: number, image: CanvasImageSource): void {
    const first = this.wanted[0];
    if (first?.frame !== frame) return;
    const { canvas } = first;
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    this.kept.set(frame, canvas);
    if (this.kept.size > MOST_KEPT) this.kept.delete([...this.kept.keys()][0]);
    this.wanted = this.wanted.slice(1);
    void this.next(this.turn);
  }
}
