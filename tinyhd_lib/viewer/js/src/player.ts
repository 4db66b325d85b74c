// Plays the video and reports which frame is on the screen. Fragments are fetched when needed and dropped later; if the
// browser does not play H.264, or while the video is still being encoded, frames come as still images.

import type { Parts } from "./parts";
import { frameAt, middleOf } from "./times";
import type { Meta } from "./types";

const MOST_BUFFERED = 40; // chunks
const LATE = 150; // milliseconds after a seek without a new frame: then the picture has not changed
const SLACK = 1e-3;
const HELD_BACK = 8; // frames that a decoder may take in before it shows the first of them
const MPEG_4 = 0x40; // AAC, and not MP3
const REFUSED = "this page's content security policy refuses the video (blob:): frames are shown one by one, without sound";

// The MIME type that a media source needs, from the video's initialisation segment.
export function mimeOf(init: Uint8Array): string {
  const find = (name: string) => {
    const letters = [...name].map((letter) => letter.charCodeAt(0));
    for (let at = 0; at + 8 < init.length; at++) if (letters.every((letter, n) => init[at + n] === letter)) return at;
    return -1;
  };
  const profile = find("avcC") + 5;
  const codec = [...init.subarray(profile, profile + 3)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const sound = find("esds");
  if (sound < 0) return `video/mp4; codecs="avc1.${codec}"`;
  // Two descriptors, each a tag and a length whose bytes continue while their highest bit is set; then the object type.
  const past = (at: number) => {
    while (init[++at] & 0x80);
    return at + 1;
  };
  const kind = init[past(past(sound + 8) + 3)];
  return `video/mp4; codecs="avc1.${codec}, mp4a.${kind === MPEG_4 ? "40.2" : kind.toString(16)}"`;
}

function updated(buffer: SourceBuffer): Promise<unknown> {
  return new Promise((resolve) => buffer.addEventListener("updateend", resolve, { once: true }));
}

export interface Watcher {
  seeks(frame: number): void; // this frame is being fetched
  frame(index: number, image: CanvasImageSource): void;
  ended(): void; // playback has stopped by itself
  trouble(text: string): void;
}

export class Player {
  readonly video = document.createElement("video");
  times: Float64Array = new Float64Array();
  shown = -1;
  playing = false;
  loop = false;
  range: [number, number];
  private speed = 1;
  private wanted = -1;
  private seeking = false;
  private plays = false; // whether frames come from the video element, not as still images
  private opening: Promise<void> | null = null;
  private media: MediaSource | null = null;
  private buffer: SourceBuffer | null = null;
  private buffered = new Map<number, Promise<void>>();
  private last: Promise<unknown> = Promise.resolve();
  private timer = 0;
  private gone = false;

  constructor(
    private parts: Parts,
    private meta: Meta,
    private watcher: Watcher,
  ) {
    this.range = [0, meta.frames - 1];
    const { video } = this;
    video.playsInline = true;
    video.preload = "auto";
    video.className = "tinyhd-video";
    video.addEventListener("seeked", () => this.onSeeked());
    video.addEventListener("ended", () => {
      if (this.shown < this.range[1]) this.show(this.range[1]); // a browser may not report the last frame
      this.turn();
    });
    video.addEventListener("error", () => this.fallBack(video.error?.message ?? "the video does not play here"));
  }

  async begin(): Promise<void> {
    this.times = new Float64Array(await this.parts.bytes(["times", "", 0]));
  }

  // Open the video, once; throws while there is none yet.
  open(): Promise<void> {
    this.opening ??= this.attach().catch((error) => {
      this.opening = null;
      throw error;
    });
    return this.opening;
  }

  // Whether frames come from the video itself, not as still images.
  get isVideo(): boolean {
    return this.plays;
  }

  setSpeed(speed: number): void {
    this.speed = speed;
    this.video.playbackRate = speed;
  }

  seek(frame: number): void {
    this.wanted = frame;
    void this.move();
  }

  play(): void {
    this.playing = true;
    const at = Math.max(this.wanted >= 0 ? this.wanted : this.shown, 0);
    const [start, stop] = this.range;
    const from = at >= stop || at < start ? start : at;
    if (!this.plays) {
      this.playStills(from);
      return;
    }
    this.need(this.parts.chunkOf(from))
      .then(() => {
        if (from !== this.shown) this.video.currentTime = middleOf(this.times, from, this.meta.duration);
        return this.playing ? this.video.play() : undefined;
      })
      .catch((error: Error) => this.halt(error));
  }

  pause(): void {
    this.playing = false;
    window.clearTimeout(this.timer);
    this.video.pause();
    if (this.shown >= 0) this.wanted = this.shown;
  }

  // Load a chunk of the video into the buffer, unless it is there.
  need(chunk: number): Promise<void> {
    if (!this.plays || chunk < 0 || chunk > this.lastChunk) return Promise.resolve();
    let coming = this.buffered.get(chunk);
    if (!coming) {
      coming = this.parts.bytes(["video", "", chunk]).then((part) => this.append(new Uint8Array(part), chunk));
      this.buffered.set(chunk, coming);
      coming.catch(() => this.buffered.delete(chunk));
      this.forget(chunk);
    }
    return coming;
  }

  dispose(): void {
    this.gone = true;
    this.pause();
    this.video.removeAttribute("src");
    this.video.load();
  }

  private async attach(): Promise<void> {
    const init = new Uint8Array(await this.parts.bytes(["video", "", -1]));
    const mime = mimeOf(init);
    if (!("MediaSource" in window) || !MediaSource.isTypeSupported(mime)) {
      this.watcher.trouble(`this browser does not play ${mime}: frames are shown one by one, without sound`);
      return;
    }
    if (this.gone) return;
    const media = (this.media = new MediaSource());
    const opened = new Promise((resolve, reject) => {
      media.addEventListener("sourceopen", resolve, { once: true });
      this.video.addEventListener("error", () => reject(new Error(REFUSED)), { once: true });
    });
    this.video.src = URL.createObjectURL(media);
    await opened;
    this.buffer = media.addSourceBuffer(mime);
    media.duration = this.meta.duration;
    await this.append(init);
    this.plays = true;
    this.video.playbackRate = this.speed;
    this.watch();
    const frame = Math.max(this.wanted, this.shown, 0);
    this.wanted = frame;
    this.shown = -1; // so far it was a still image, not the video
    this.seeking = false;
    if (this.playing) {
      window.clearTimeout(this.timer);
      this.play();
    } else await this.move();
  }

  private async move(): Promise<void> {
    if (this.seeking || this.wanted < 0) return;
    const frame = this.wanted;
    if (!this.plays) {
      await this.still(frame);
      return;
    }
    if (frame === this.shown && !this.video.seeking) return;
    this.seeking = true;
    try {
      const chunk = this.parts.chunkOf(frame);
      const coming = this.need(chunk);
      this.watcher.seeks(frame);
      await coming;
      if ((frame + HELD_BACK) % this.meta.chunk < HELD_BACK) await this.need(chunk + 1);
      this.video.currentTime = middleOf(this.times, frame, this.meta.duration);
    } catch (error) {
      this.seeking = false;
      this.watcher.trouble((error as Error).message);
    }
  }

  private onSeeked(): void {
    this.seeking = false;
    if (this.playing) return;
    window.setTimeout(() => {
      if (!this.playing && !this.seeking && this.shown !== this.wanted) this.show(frameAt(this.times, this.video.currentTime));
    }, LATE);
  }

  private watch(): void {
    const { video } = this;
    if (!("requestVideoFrameCallback" in video)) {
      const look = () => {
        if (this.gone) return;
        const frame = frameAt(this.times, (video as HTMLVideoElement).currentTime + SLACK);
        if (frame !== this.shown && !this.seeking) this.show(frame);
        requestAnimationFrame(look);
      };
      look();
      return;
    }
    video.requestVideoFrameCallback((_now, about) => {
      if (this.gone) return;
      this.show(frameAt(this.times, about.mediaTime + SLACK));
      this.watch();
    });
  }

  private show(frame: number): void {
    if (!this.plays) return;
    if (this.playing && frame > this.range[1] && frame !== this.wanted) {
      this.turn(); // a busy browser may skip the end of the range: frames beyond it are not shown
      return;
    }
    this.shown = frame;
    this.watcher.frame(frame, this.video);
    if (!this.playing) {
      if (this.wanted >= 0 && this.wanted !== frame && !this.seeking) void this.move();
      return;
    }
    this.wanted = frame;
    if (frame >= this.range[1]) this.turn();
  }

  // Handle the end of the range: stop, or begin again.
  private turn(): void {
    if (!this.playing) return;
    if (!this.loop) {
      this.stop();
      this.seek(this.range[1]);
      return;
    }
    const { video } = this;
    const [start] = this.range;
    video.currentTime = middleOf(this.times, start, this.meta.duration);
    // In a long range, the buffer has dropped the beginning: the video waits there until it is loaded again.
    this.need(this.parts.chunkOf(start))
      .then(() => (this.playing && video.paused ? video.play() : undefined)) // the video element pauses at its own end
      .catch((error: Error) => this.halt(error));
  }

  private stop(trouble = ""): void {
    this.pause();
    this.watcher.ended();
    if (trouble) this.watcher.trouble(trouble);
  }

  // Playback failed. An AbortError only means that it was paused before it began.
  private halt(error: Error): void {
    if (error.name !== "AbortError") this.stop(error.message);
  }

  private fallBack(text: string): void {
    if (!this.plays) return;
    this.plays = false;
    this.watcher.trouble(text);
  }

  private async still(frame: number): Promise<void> {
    this.seeking = true;
    try {
      const coming = this.parts.keep(["still", "", frame]);
      this.watcher.seeks(frame);
      const image = await createImageBitmap(new Blob([await coming]));
      if (this.plays || this.gone) return;
      this.shown = frame;
      this.watcher.frame(frame, image);
    } catch (error) {
      this.watcher.trouble((error as Error).message);
      return;
    } finally {
      this.seeking = false;
    }
    if (!this.playing && this.wanted !== frame) await this.move();
  }

  private playStills(from: number): void {
    const begun = performance.now();
    const next = async () => {
      if (!this.playing || this.plays || this.gone) return;
      const time = this.times[from] + ((performance.now() - begun) / 1000) * this.speed;
      const frame = Math.min(frameAt(this.times, time), this.range[1]);
      if (frame !== this.shown) await this.still(frame);
      if (frame < this.range[1]) this.timer = window.setTimeout(next, 10);
      else if (this.loop) this.playStills(this.range[0]);
      else this.stop();
    };
    void next();
  }

  // Append in turn: a source buffer handles one operation at a time.
  private append(bytes: Uint8Array<ArrayBuffer>, chunk = -1): Promise<void> {
    const work = async () => {
      const { buffer } = this;
      if (!buffer || this.gone) return;
      buffer.appendBuffer(bytes);
      await updated(buffer);
      if (chunk === this.lastChunk && this.media?.readyState === "open") this.media.endOfStream();
    };
    const turn = this.last.then(work);
    this.last = turn.catch(() => undefined);
    return turn;
  }

  private get lastChunk(): number {
    return this.parts.chunkOf(this.meta.frames - 1);
  }

  private forget(near: number): void {
    if (this.buffered.size <= MOST_BUFFERED) return;
    const farthest = [...this.buffered.keys()].reduce((a, b) => (Math.abs(a - near) > Math.abs(b - near) ? a : b));
    this.buffered.delete(farthest);
    const [start, end] = [farthest, farthest + 1].map((chunk) => this.times[chunk * this.meta.chunk] ?? this.meta.duration);
    this.last = this.last.then(async () => {
      const { buffer } = this;
      if (!buffer || this.gone || this.buffered.has(farthest)) return;
      buffer.remove(start, end);
      await updated(buffer);
    });
  }
}
