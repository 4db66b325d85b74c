// Exports what is shown as a short animated WebP, which browsers and chat programs display. Playback is not disturbed.

import { Easel } from "./easel";
import { animated } from "./files";
import { Frames } from "./frames";
import { outlinesOf } from "./regions";
import type { Scene } from "./scene";
import type { Settings } from "./types";

const MOST_SECONDS = 10;
const RATE = 12.5; // frames a second, at most
const WIDE = 480;
const QUALITY = 0.8;

// The frames of the animation, and for how many milliseconds each is shown.
export function framesOf(times: ArrayLike<number>, duration: number, start: number, stop: number): [frames: number[], milliseconds: number[]] {
  const frames: number[] = [];
  for (let frame = start; frame <= stop && times[frame] - times[start] < MOST_SECONDS; frame++)
    if (!frames.length || times[frame] - times[frames[frames.length - 1]] > 1 / RATE - 1e-3) frames.push(frame);
  const end = stop + 1 < times.length ? times[stop + 1] : duration;
  const until = Math.min(end, times[start] + MOST_SECONDS);
  return [frames, frames.map((frame, n) => 1000 * ((n + 1 < frames.length ? times[frames[n + 1]] : until) - times[frame]))];
}

// The animation. `told` is called with the progress and cancels by returning false: the result is then null.
export async function animation(scene: Scene, settings: Settings, told: (done: number, total: number) => boolean): Promise<Blob | null> {
  const { parts, meta } = scene;
  const easel = new Easel(scene, () => undefined);
  const pictures = new Frames(parts, meta);
  try {
    await pictures.begin();
    const [frames, milliseconds] = framesOf(pictures.times, meta.duration, Math.max(settings.start, 0), settings.stop < 0 ? meta.frames - 1 : settings.stop);
    const [columns, rows] = easel.cells(settings.view);
    const width = 2 * Math.round(Math.min(meta.size[0], WIDE / columns) / 2);
    const height = 2 * Math.round((width * meta.size[1]) / meta.size[0] / 2);
    const files: Uint8Array[] = [];
    for (const [n, frame] of frames.entries()) {
      if (!told(n, frames.length)) return null;
      await scene.fetch(settings, frame);
      const image = await pictures.at(frame);
      easel.draw(settings, frame, image, [width, height], false, outlinesOf(settings.regions, frame));
      const blob = await new Promise<Blob | null>((resolve) => easel.flattened(settings.view).toBlob(resolve, "image/webp", QUALITY));
      if (blob?.type !== "image/webp") throw new Error("this browser cannot write WebP");
      files.push(new Uint8Array(await blob.arrayBuffer()));
    }
    told(frames.length, frames.length);
    return animated(files, milliseconds, columns * width, rows * height);
  } finally {
    pictures.dispose();
    easel.dispose();
  }
}
