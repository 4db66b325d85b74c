// Gives the image of any frame by its number, one request at a time, from a video player of its own.

import type { Parts } from "./parts";
import { Player } from "./player";
import type { Meta } from "./types";

const PATIENCE = 20_000; // milliseconds

export class Frames {
  private player: Player;
  private latest: { frame: number; image: CanvasImageSource } | null = null;
  private came: () => void = () => undefined;
  private last: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts, meta: Meta) {
    this.player = new Player(parts, meta, {
      frame: (frame, image) => {
        this.latest = { frame, image };
        this.came();
      },
      seeks: () => undefined,
      ended: () => undefined,
      trouble: () => undefined,
    });
  }

  get times(): Float64Array {
    return this.player.times;
  }

  async begin(): Promise<void> {
    await this.player.begin();
    await this.open();
  }

  // Use the video as soon as there is one; until then frames come as still images.
  open(): Promise<void> {
    return this.player.open().catch(() => undefined);
  }

  at(frame: number): Promise<CanvasImageSource> {
    const turn = this.last.then(() => this.sought(frame));
    this.last = turn.catch(() => undefined);
    return turn;
  }

  dispose(): void {
    this.player.dispose();
  }

  private sought(frame: number): Promise<CanvasImageSource> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`frame ${frame} does not come`)), PATIENCE);
      this.came = () => {
        if (this.latest?.frame !== frame) return;
        clearTimeout(late);
        resolve(this.latest.image);
      };
      this.came();
      this.player.seek(frame);
    });
  }
}
