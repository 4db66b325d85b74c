// The files that a reader can save: written by the kernel, and those that need no kernel by the browser.

import type { SavedFile } from "./drawer";
import { download } from "./files";
import { animation } from "./animation";
import type { Host } from "./host";
import type { Scene } from "./scene";
import type { Status } from "./status";
import type { Settings } from "./types";

const MAKING = "making the WebP";

export class Saving {
  readonly files: SavedFile[];
  private isStopped = false;

  constructor(
    private scene: Scene,
    private host: Host,
    private status: Status,
    now: () => Settings,
  ) {
    const webp: SavedFile = ["WebP", "Save the first ten seconds of the range as a picture that moves", () => void this.animation(now())];
    const kernels: SavedFile[] = [
      ["mp4", "Save the range as it is shown, with its sound", () => host.act("save_video")],
      ["JSON", "Save the view, to open it again with SaliencyViewer.from_state", () => host.act("save_state")],
      ["HTML", "Save a page that opens anywhere, without Python", () => host.act("save_html")],
    ];
    this.files = host.live ? [webp, ...kernels] : [webp];
  }

  // Save a canvas as the PNG of a frame.
  picture(frame: number, canvas: HTMLCanvasElement): void {
    canvas.toBlob((blob) => blob && download(`${this.scene.meta.name}_${frame}.png`, blob));
  }

  stop(): void {
    this.isStopped = true;
    this.host.act("cancel");
  }

  private async animation(settings: Settings): Promise<void> {
    const { scene, status } = this;
    this.isStopped = false;
    try {
      const made = await animation(scene, settings, (done, total) => {
        status.progress(MAKING, done, total, true);
        return !this.isStopped;
      });
      const name = `${scene.meta.name}_${settings.view}.webp`;
      if (made) download(name, made);
      status.tell(made ? `saved ${name}, ${(made.size / 2 ** 20).toFixed(1)} MiB` : `${MAKING}: cancelled`);
    } catch (error) {
      status.tell((error as Error).message);
    } finally {
      status.end();
    }
  }
}
