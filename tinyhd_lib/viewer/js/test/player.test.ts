import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Parts } from "../src/parts";
import { Player } from "../src/player";
import type { Key, Meta } from "../src/types";

const CHUNK = 64;
const RATE = 30;

// A fake video element: the test says which frame it shows.
class FakeVideo extends EventTarget {
  currentTime = 0;
  paused = true;
  src = "";
  private shown: ((now: number, about: { mediaTime: number }) => void) | null = null;

  requestVideoFrameCallback(shown: FakeVideo["shown"]): void {
    this.shown = shown;
  }

  async play(): Promise<void> {
    this.paused = false;
  }

  pause(): void {
    this.paused = true;
  }

  shows(frame: number): void {
    this.currentTime = frame / RATE;
    this.shown?.(0, { mediaTime: frame / RATE });
  }
}

class FakeBuffer extends EventTarget {
  appendBuffer(): void {
    queueMicrotask(() => this.dispatchEvent(new Event("updateend")));
  }

  remove(): void {
    this.appendBuffer();
  }
}

class FakeMedia extends EventTarget {
  static isTypeSupported = () => true;
  readyState = "open";
  addSourceBuffer = () => new FakeBuffer();
  endOfStream(): void {}
}

const soon = () => new Promise((go) => setTimeout(go));

// A player for this many chunks, with the parts it requested and the events it reported.
async function opened(chunks: number, refused = "") {
  const frames = chunks * CHUNK;
  const meta = { frames, duration: frames / RATE, chunk: CHUNK } as Meta;
  const asked: Key[] = [];
  const told: string[] = [];
  const times = Float64Array.from({ length: frames }, (_, frame) => frame / RATE);
  const host = {
    meta,
    ask: async (keys: Key[]) => {
      asked.push(...keys);
      if (keys[0].join("|") === refused && asked.filter((key) => key.join("|") === refused).length > 1) throw new Error("no longer there");
      return keys.map(([kind]) => (kind === "times" ? times.buffer : new ArrayBuffer(16)));
    },
  };
  const watcher = { seeks: () => {}, frame: () => {}, ended: () => told.push("ended"), trouble: (text: string) => told.push(text) };
  const player = new Player(new Parts(host as never), meta, watcher);
  await player.begin();
  return { player, video: player.video as unknown as FakeVideo, asked, told };
}

describe("a player", () => {
  let refuses = false;

  beforeEach(() => {
    refuses = false;
    vi.stubGlobal("window", { MediaSource: FakeMedia, setTimeout, clearTimeout });
    vi.stubGlobal("MediaSource", FakeMedia);
    vi.stubGlobal("document", { createElement: () => new FakeVideo() });
    vi.spyOn(URL, "createObjectURL").mockImplementation((media) => {
      queueMicrotask(() => {
        if (!refuses) (media as unknown as FakeMedia).dispatchEvent(new Event("sourceopen"));
      });
      return "blob:here";
    });
  });

  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  // Play all chunks of the range, each with the next one prefetched, as the viewer does.
  async function play({ player, video }: Awaited<ReturnType<typeof opened>>): Promise<void> {
    await player.open();
    player.loop = true;
    player.play();
    await soon();
    for (let chunk = 0; chunk * CHUNK <= player.range[1]; chunk++) {
      await player.need(chunk + 1);
      video.shows(Math.min((chunk + 1) * CHUNK - 1, player.range[1]));
    }
    await soon();
  }

  const firstChunks = (asked: Key[]) => asked.filter(([kind, , chunk]) => kind === "video" && chunk === 0).length;

  it("goes on at the beginning of a range that it still has", async () => {
    const there = await opened(10);
    await play(there);
    expect(there.video.currentTime).toBeLessThan(1 / RATE);
    expect(there.video.paused).toBe(false);
    expect(firstChunks(there.asked)).toBe(1);
  });

  it("fetches the beginning of a range again that it has let go of", async () => {
    const there = await opened(50);
    await play(there);
    expect(there.video.currentTime).toBeLessThan(1 / RATE);
    expect(firstChunks(there.asked)).toBe(2);
    expect(there.told).toEqual([]);
  });

  it("goes on although the video has stopped at its own end", async () => {
    const there = await opened(50);
    there.player.range = [0, 50 * CHUNK];
    await play(there);
    there.video.pause();
    there.video.dispatchEvent(new Event("ended"));
    await soon();
    expect(there.video.paused).toBe(false);
    expect(there.video.currentTime).toBeLessThan(1 / RATE);
  });

  it("stops and says why where the beginning does not come back", async () => {
    const there = await opened(50, "video||0");
    await play(there);
    expect(there.player.playing).toBe(false);
    expect(there.told).toEqual(["ended", "no longer there"]);
  });

  it("says that a page refuses its video", async () => {
    refuses = true;
    const there = await opened(10);
    const opening = there.player.open();
    await soon();
    there.video.dispatchEvent(new Event("error"));
    await expect(opening).rejects.toThrow("security policy refuses the video");
    expect(there.player.isVideo).toBe(false);
  });
});
